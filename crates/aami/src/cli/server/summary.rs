//! What there is after an installation: addresses, where secrets lie, what to do next.

use std::fs;
use std::path::{Path, PathBuf};

use aami_api::client::{Client, Settings};
use aami_plans::stack::{Part, Session};
use serde::Serialize;

use super::shown;

/// The same for programs.
#[derive(Serialize)]
struct Server<'a> {
    r#type: &'static str,
    cluster: &'a str,
    version: &'a str,
    runtime: &'static str,
    urls: Vec<(&'static str, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_key_file: Option<PathBuf>,
    grafana_password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_line_file: Option<PathBuf>,
    /// Whether the control plane still takes the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_valid: Option<bool>,
    missing: std::collections::BTreeMap<String, String>,
}

fn outside(path: &aami_install::HostPath) -> PathBuf {
    PathBuf::from(path.as_str())
}

fn has(session: &Session, part: Part) -> bool {
    session.wishes().wants(part) && !session.missing().contains_key(part.name())
}

/// Where people open a part.
fn url(session: &Session, part: Part) -> String {
    let wishes = session.wishes();
    match (
        part,
        wishes.public_url(),
        wishes.domain.as_ref().filter(|_| wishes.expose),
    ) {
        (Part::ControlPlane, Some(url), _) => url,
        (Part::ControlPlane, None, _) => format!("https://localhost:{}", wishes.port(part)),
        (_, _, Some(domain)) => format!("http://{domain}:{}", wishes.port(part)),
        _ => format!("http://localhost:{}", wishes.port(part)),
    }
}

/// Whether the control plane takes the token in this file. What it does not know is not shown.
fn is_valid(session: &Session, file: &Path) -> bool {
    let Ok(token) = fs::read_to_string(file) else {
        return false;
    };
    let settings = Settings {
        timeout: std::time::Duration::from_secs(3),
        ..Settings::new(session.wishes().near(Part::ControlPlane))
    };
    Client::new(&settings).is_ok_and(|client| client.with_bearer(token.trim()).validate_only().is_ok())
}

/// Line by line; the token only to a person.
pub(super) fn lines(session: &Session, to_a_person: bool) -> Vec<String> {
    let layout = session.layout();
    let mut lines = vec!["Access URLs:".to_owned()];
    for part in [
        Part::ControlPlane,
        Part::Grafana,
        Part::Prometheus,
        Part::Alertmanager,
    ] {
        if !has(session, part) {
            continue;
        }
        let more = if part == Part::Grafana { " (admin)" } else { "" };
        lines.push(format!(
            "  {:<15}{}{more}",
            format!("{}:", part.title()),
            url(session, part)
        ));
    }
    if has(session, Part::Grafana) {
        lines.push(format!("  Grafana's password is in {}", layout.grafana_password));
    }
    if !session.wishes().control_plane {
        lines.extend(missing(session));
        lines.push(String::new());
        lines.push(
            "Next: `aami nodes add`, `aami nodes install --all`, `aami alerts apply-preset`.".to_owned(),
        );
        return lines;
    }
    lines.push(format!("  The admin key is in {}", layout.admin_key));
    lines.push(String::new());
    let one_line = fs::read_to_string(outside(&layout.one_line)).ok();
    match one_line.filter(|_| is_valid(session, &outside(&layout.token))) {
        Some(one_line) if to_a_person => {
            lines.push("Run this on a machine to make it a node:".to_owned());
            lines.push(format!("  {}", one_line.trim()));
        }
        Some(_) => lines.push(format!(
            "The line that makes a machine a node is in {}",
            layout.one_line
        )),
        None => lines
            .push("`aami tokens create --name NAME` prints the line that makes a machine a node.".to_owned()),
    }
    lines.extend(missing(session));
    lines.push(String::new());
    lines.push("Next: `aami status`, `aami nodes list`, `aami server status`.".to_owned());
    lines
}

/// What could not be had.
fn missing(session: &Session) -> Vec<String> {
    let line = |(name, why): (&String, &String)| [String::new(), format!("Missing: {name} ({why})")];
    session.missing().iter().flat_map(line).collect()
}

/// For programs: where secrets are, never the secrets.
pub(super) fn json(session: &Session) {
    let (wishes, layout) = (session.wishes(), session.layout());
    let parts = Part::ALL.into_iter().filter(|part| has(session, *part));
    // What only a control plane has.
    let of_plane = |path| wishes.control_plane.then(|| outside(path));
    shown::json(&Server {
        r#type: "server",
        cluster: &wishes.cluster,
        version: &wishes.version,
        runtime: wishes.runtime.name(),
        urls: parts.map(|part| (part.name(), url(session, part))).collect(),
        admin_key_file: of_plane(&layout.admin_key),
        grafana_password_file: has(session, Part::Grafana).then(|| outside(&layout.grafana_password)),
        token_file: of_plane(&layout.token),
        one_line_file: of_plane(&layout.one_line),
        token_valid: of_plane(&layout.token).map(|file| is_valid(session, &file)),
        missing: session.missing(),
    });
}
