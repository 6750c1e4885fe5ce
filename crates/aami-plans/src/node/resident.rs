//! What the agent's daemon has to know of what the plan placed: units by their exporters, and the file by which it
//! asks for a round of checks.

use std::path::Path;

use aami_install::Host;
use aami_model::exporter::ExporterKind;

use super::layout::{Form, Layout};
use super::unit::quoted;
use super::{agent_unit, check_units, installed, update_unit};

/// The unit of a round of checks.
pub const CHECKS_UNIT: &str = check_units::SERVICE;
/// In the daemon's folder: when it was written last, a round of all checks was asked for.
pub const ASKED: &str = "asked";
/// The daemon's folder below the node's own.
pub(crate) const SPOOL: &str = "spool";
/// The daemon's unit.
pub const AGENT_UNIT: &str = agent_unit::UNIT;
/// The unit that replaces the agent.
pub const UPDATE_UNIT: &str = update_unit::UNIT;
/// In the daemon's folder: which update is asked for. The daemon writes it, so the updater believes nothing of it.
pub const REQUEST: &str = "update.json";
/// In the daemon's folder: which agent the control plane last acknowledged.
pub const STANDING: &str = "standing.json";
/// The updater's own folder, which the daemon can only read.
pub const UPDATE_FOLDER: &str = "/var/lib/aami/agent/update";
/// In the updater's folder: how far it is.
pub const UPDATE_JOURNAL: &str = "journal.json";
/// In the updater's folder: how the last update ended.
pub const OUTCOME: &str = "outcome.json";
/// Who signs releases that this node's agent may be replaced by.
pub const RELEASE_KEY: &str = "/etc/aami/release.pub";

/// Where the agent of a version is placed on a host.
pub fn program_of(version: &str) -> String {
    format!("/opt/aami/aami-agent-{version}/aami-agent")
}

/// What the daemon's unit runs: a program, and whose node this is.
pub fn daemon_command(program: &str, cluster: &str) -> String {
    format!("{} daemon --cluster {}", quoted(program), quoted(cluster))
}

/// The unit of an exporter that was installed here by AAMI; `None` for one that was here before, or is not.
pub fn exporter_unit(root: &Path, form: Form, cluster: &str, kind: ExporterKind) -> Option<String> {
    let host = match form {
        Form::Host => Host::system(),
        Form::Foreground => Host::folder(root),
    };
    let (host, layout) = (host.ok()?, Layout::of(form, cluster).ok()?);
    let name = match kind {
        ExporterKind::NodeExporter | ExporterKind::DcgmExporter | ExporterKind::AllSmi => kind.name(),
        // Several may be custom ones, and the agent does not restart itself.
        ExporterKind::Custom | ExporterKind::Aami => return None,
    };
    // The install leaves a note of each that it placed, and takes it back with it.
    installed::read::<installed::Exporter>(&host, &layout, name)?;
    Some(format!("aami-{}.service", name.replace('_', "-")))
}

/// When a round of all checks was last asked for below this root.
pub fn asked_at(root: &Path) -> Option<std::time::SystemTime> {
    let path = root.join("var/lib/aami/agent").join(SPOOL).join(ASKED);
    std::fs::metadata(path).ok()?.modified().ok()
}
