//! `aami nodes token`.

use std::path::Path;

use aami_api::node::NodeView;
use aami_api::node_token::{EXPIRES_IN, GenerateToken, GeneratedToken};
use aami_model::node_status::NodeStatus;
use aami_model::secret::Secret;
use aami_model::{Exit, NodeId, Timestamp, code};
use clap::Args;
use http::Method;
use serde::Serialize;

use crate::cli::dry::{Change, Dry};
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::secret::Secrecy;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;

/// Make the script that installs the agent on one node; scripts made before no longer work
#[derive(Debug, Args)]
#[command(after_help = "\
The script holds a token that enrols this node, once. It is saved to a file only you can read.

Examples:
  aami nodes token gpu-01 --save-to gpu-01.sh && ssh gpu-01 sudo sh < gpu-01.sh
  aami nodes token gpu-01 --show-secret | ssh gpu-01 sudo sh
  aami nodes token gpu-01 --expires-in 30d -o json
  aami nodes token gpu-01 --dry-run")]
pub(crate) struct Token {
    /// Hostname or id
    node: String,
    #[command(flatten)]
    terms: Terms,
}

/// What a script is made with.
#[derive(Debug, Args)]
pub(super) struct Terms {
    /// How long the token lasts, 1h to 365d
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    expires_in: Seconds,
    /// The version of the agent [default: the control plane's]
    #[arg(long, value_name = "VERSION")]
    agent_version: Option<String>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    dry: Dry,
}

impl Token {
    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        issue(session, surroundings, &self.node, &self.terms, false)
    }
}

/// What programs get: where the script is instead of the script.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'a> {
    node_id: &'a NodeId,
    script_file: &'a Path,
    expires_at: Timestamp,
    install_method: &'a str,
    daemon_version: &'a str,
    download_url: &'a str,
    checksum: &'a str,
    documentation_url: &'a str,
}

/// Makes a script, and shows where it is.
pub(super) fn issue(
    session: &mut Session,
    surroundings: &Surroundings,
    name: &str,
    terms: &Terms,
    rotates: bool,
) -> Result<Exit, Failure> {
    let node = find::node(session, name)?;
    let wanted = GenerateToken {
        expires_in: Some(terms.expires_in.0),
        daemon_version: terms.agent_version.clone(),
        ..GenerateToken::default()
    };
    let verb = if rotates { "rotate" } else { "token" };
    let change = Change::new(Method::POST, format!("/api/v1/nodes/{}/{verb}", node.id), &wanted);
    let is_shown = terms.secrecy.show_secret && terms.secrecy.save_to.is_none();
    if terms.dry.dry_run {
        judge(&node, &wanted)?;
        let kept = match is_shown {
            true => "shown".to_owned(),
            false => terms.secrecy.would_keep(surroundings, "scripts")?,
        };
        let taken = if rotates {
            ", and its key and credential refused from then on"
        } else {
            ""
        };
        let line = format!("a script for {} would be made and {kept}{taken}", node.hostname);
        return change.tell(session, &node.id, line);
    }
    // Before the token is made, so that none is made that cannot be kept.
    let place = match is_shown {
        true => None,
        false => Some(terms.secrecy.kept(surroundings, "scripts")?),
    };
    let made: GeneratedToken = change.send(session)?;
    if rotates {
        session.screen.note(&format!(
            "The key and credential of {} are refused from now on.",
            node.hostname
        ));
    }
    let Some(place) = place else {
        if session.screen.format().is_for_programs() {
            session.screen.show(&made, |_| Table::of_one())?;
        } else {
            session.screen.write(&made.install_script)?;
        }
        return Ok(Exit::Ok);
    };
    let id = Secret::parse(&made.token).map_or_else(|_| node.id.to_string(), |token| token.id().to_owned());
    let file = place.save(&id, made.install_script.trim_end())?;
    show(session, &node.id, &node.hostname, &made, &file)?;
    Ok(Exit::Ok)
}

/// Refuses what the control plane refuses before it makes a script.
fn judge(node: &NodeView, wanted: &GenerateToken) -> Result<(), Failure> {
    if wanted
        .expires_in
        .is_some_and(|seconds| !EXPIRES_IN.contains(&seconds))
    {
        return Err(Failure::invalid(format!(
            "expiresIn: it is {} to {} seconds",
            EXPIRES_IN.start(),
            EXPIRES_IN.end()
        )));
    }
    if node.status == NodeStatus::Inactive {
        return Err(Failure::found(
            code::NODE_DECOMMISSIONED,
            format!("the node {} has been retired", node.hostname),
        ));
    }
    Ok(())
}

fn show(
    session: &mut Session,
    node: &NodeId,
    hostname: &str,
    made: &GeneratedToken,
    file: &Path,
) -> Result<(), Failure> {
    let kept = Kept {
        node_id: node,
        script_file: file,
        expires_at: made.expires_at,
        install_method: &made.install_method,
        daemon_version: &made.daemon_version,
        download_url: &made.download_url,
        checksum: &made.checksum,
        documentation_url: &made.documentation_url,
    };
    session.screen.show(&kept, |_| {
        let mut table = Table::of_one();
        table.line("Node", hostname);
        table.line("Script", file.display());
        table.line("Until", made.expires_at);
        table.line(
            "Agent",
            format!("{} from {}", made.daemon_version, made.download_url),
        );
        table.line("Checksum", &made.checksum);
        table.line("Guide", &made.documentation_url);
        table.line("Run it", format!("ssh {hostname} sudo sh < {}", file.display()));
        table
    })
}
