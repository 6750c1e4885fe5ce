//! What is shown of a plan before and after, and where its components come from.

use std::collections::BTreeSet;
use std::path::Path;

use aami_api::client::{Settings, Trust};
use aami_install::executor::{DryRun, StepStanding};
use aami_model::Exit;
use aami_plans::components;
use aami_plans::download::{Access, Credential};
use aami_plans::node::Session;
use aami_plans::obtain::{Mirror, Source};
use serde_json::json;

use super::super::failure::Failure;
use super::super::screen;

/// What the command line says about where components come from.
pub(crate) struct Named<'a> {
    /// The control plane, where there is one.
    pub(crate) api: Option<&'a Settings>,
    pub(crate) mirror: Option<&'a str>,
    pub(crate) mirror_credential: Option<&'a Path>,
    pub(crate) components: Option<&'a Path>,
}

/// The folder and the mirror where they are named, and then nothing else: whoever names one may have no
/// way out. Otherwise the control plane, then each publisher.
pub(crate) fn sources(named: &Named<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    sources.extend(named.components.map(|folder| Source::Folder(folder.to_owned())));
    if let Some(url) = named.mirror {
        let credential = named.mirror_credential.map(Credential::from_file).transpose();
        let credential = credential.map_err(|error| Failure::invalid(error.to_string()))?;
        // A mirror beside the control plane has the same certificate; any other has one people know.
        let is_beside = |api: &&Settings| host(url).is_some() && host(url) == host(&api.server);
        let trust = named
            .api
            .filter(is_beside)
            .map_or(&Trust::System, |api| &api.trust);
        let access = Access {
            trust: trust.clone(),
            credential,
        };
        sources.push(Source::Mirror(Mirror {
            url: url.to_owned(),
            access,
        }));
    }
    if !sources.is_empty() {
        return Ok(sources);
    }
    if let Some(api) = named.api {
        let access = Access {
            trust: api.trust.clone(),
            credential: None,
        };
        let arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let url = format!("{}/dist/{arch}", api.server.trim_end_matches('/'));
        sources.push(Source::Mirror(Mirror { url, access }));
    }
    sources.push(Source::Publisher);
    Ok(sources)
}

fn host(url: &str) -> Option<String> {
    Some(url.parse::<ureq::http::Uri>().ok()?.host()?.to_ascii_lowercase())
}

/// Shows exactly what a run would do.
pub(crate) fn show(dry: &DryRun, is_json: bool) -> Result<Exit, Failure> {
    if is_json {
        screen::json(dry);
        return Ok(Exit::Ok);
    }
    // A folder that two steps need is made by the first of them.
    let mut shown = BTreeSet::new();
    for (at, step) in dry.steps.iter().enumerate() {
        let standing = match &step.standing {
            StepStanding::Holds => "holds already".to_owned(),
            StepStanding::Missing(why) => why.clone(),
            StepStanding::NotApplicable(why) => format!("not done: {why}"),
            StepStanding::Unknown(why) => format!("cannot be told before it is its turn: {why}"),
        };
        screen::line(&format!(
            "[{}/{}] {}: {standing}",
            at + 1,
            dry.steps.len(),
            step.title
        ));
        for planned in &step.effects {
            if shown.insert(&planned.effect) {
                screen::line(&format!("      {}", planned.effect));
            }
        }
    }
    screen::line(&format!(
        "{} changes to this host. Nothing was changed.",
        shown.len()
    ));
    Ok(Exit::Ok)
}

/// What there is now, line by line.
pub(crate) fn summary_lines(session: &Session) -> Vec<String> {
    let facts = session.summary();
    let unknown = || "unknown".to_owned();
    let is_alone = facts.server.is_none();
    let mut lines = vec![
        "Node information:".to_owned(),
        format!("  Host name:     {}", facts.hostname),
    ];
    if let Some(server) = facts.server {
        lines.push(format!(
            "  Node:          {}",
            facts.node_id.unwrap_or_else(unknown)
        ));
        lines.push(format!(
            "  Status:        {}",
            facts.status.unwrap_or_else(unknown)
        ));
        lines.extend(facts.group.map(|group| format!("  Group:         {group}")));
        lines.push(format!("  Control plane: {server}"));
    } else {
        lines.push(format!(
            "  Address:       {}",
            facts.address.unwrap_or_else(unknown)
        ));
        lines.push("  Control plane: none".to_owned());
    }
    lines.push(String::new());
    lines.push("Exporters:".to_owned());
    lines.extend(
        facts
            .exporters
            .into_iter()
            .map(|exporter| format!("  {exporter}")),
    );
    if let Some(unit) = facts.agent {
        lines.push(String::new());
        lines.push("Agent:".to_owned());
        lines.push(format!("  Service:       {unit} is active"));
        lines.push(format!("  Its log:       journalctl -u {unit} -f"));
        lines.push(format!("  How it stands: systemctl status {unit}"));
    }
    lines.push(String::new());
    let next = if is_alone {
        "Prometheus scrapes it once its operator's files name it."
    } else {
        "Prometheus picks the node up within 30 seconds."
    };
    lines.push(next.to_owned());
    lines
}

/// The same for programs, and for those whose screen had no place for it.
pub(super) fn summary(session: &Session, is_json: bool, has_screen: bool) {
    if is_json {
        screen::json(&json!({ "type": "node", "node": session.summary() }));
    } else if !has_screen {
        screen::line("");
        for line in summary_lines(session) {
            screen::line(&line);
        }
    }
}

/// A container image, named so that another cannot come in its place.
pub(crate) fn image(text: &str) -> Result<String, String> {
    if components::is_pinned_image(text) {
        return Ok(text.to_owned());
    }
    Err("an image is named with its digest: NAME@sha256:... (a tag can be moved to another image)".to_owned())
}
