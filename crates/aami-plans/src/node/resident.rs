//! What the agent's daemon has to know of what the plan placed: units by their exporters, and the file by which it
//! asks for a round of checks.

use std::path::Path;

use aami_install::Host;
use aami_model::exporter::ExporterKind;

use super::layout::{Form, Layout};
use super::{check_units, installed};

/// The unit of a round of checks.
pub const CHECKS_UNIT: &str = check_units::SERVICE;
/// In the daemon's folder: when it was written last, a round of all checks was asked for.
pub const ASKED: &str = "asked";
/// The daemon's folder below the node's own.
pub(crate) const SPOOL: &str = "spool";

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
