//! What the agent's daemon has to know of what the plan placed: units by their exporters, and the file by which it
//! asks for a round of checks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::{fs, io};

use aami_install::Host;
use aami_model::exporter::ExporterKind;

use super::layout::{Form, Layout};
use super::unit::quoted;
use super::{agent_unit, check_units, installed, update_unit};

/// The unit of a round of checks.
pub const CHECKS_UNIT: &str = check_units::SERVICE;
/// Where the daemon serves its own metrics: to this machine, or where the note of it says.
pub(crate) const METRICS_PORT: u16 = 9105;
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

/// Where a new agent lies while it is tried. Not its later place: that is the plan's to make, or taking the plan back
/// would leave it.
pub const TRIAL: &str = "/opt/aami/aami-agent-trial/aami-agent";
/// What lets the daemon's unit run it; the last of its kind wins.
pub const TRIAL_DROP_IN: &str = "/etc/systemd/system/aami-agent.service.d/90-aami-update.conf";
/// In the updater's folder: what it fetched.
pub const FETCHED: &str = "fetched";

/// Takes away what an update leaves that nobody ends any more: no receipt has it, and the next agent's unit would run
/// what was on trial. Answers whether there was something; whoever asks makes the service manager read its units again.
pub fn forget_trial(root: &Path) -> io::Result<bool> {
    let real = |path: &str| root.join(path.trim_start_matches('/'));
    let absent = |done: io::Result<()>| match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    let drop_in = real(TRIAL_DROP_IN);
    let mut found = absent(fs::remove_file(drop_in.with_extension("new")))?;
    found |= absent(fs::remove_file(&drop_in))?;
    if found && let Some(folder) = drop_in.parent() {
        // Somebody else's drop-ins stay.
        let _ = fs::remove_dir(folder);
    }
    let trial = real(TRIAL);
    found |= absent(fs::remove_dir_all(trial.parent().unwrap_or(&trial)))?;
    found |= absent(fs::remove_dir_all(real(UPDATE_FOLDER).join(FETCHED)))?;
    Ok(found)
}

/// Where the agent of a version is placed on a host.
pub fn program_of(version: &str) -> String {
    format!("/opt/aami/aami-agent-{version}/aami-agent")
}

/// What the daemon's unit runs: a program, and whose node this is.
pub fn daemon_command(program: &str, cluster: &str) -> String {
    format!("{} daemon --cluster {}", quoted(program), quoted(cluster))
}

/// Where the daemon of a node serves its metrics: to this machine alone, unless the install noted otherwise, as it does
/// for a node on its own.
pub fn metrics_address(root: &Path, form: Form, cluster: &str) -> SocketAddr {
    let note = || -> Option<installed::Agent> {
        let host = match form {
            Form::Host => Host::system(),
            Form::Foreground => Host::folder(root),
        };
        installed::read(&host.ok()?, &Layout::of(form, cluster).ok()?, installed::AGENT)
    };
    let serves = note().and_then(|agent| agent.serves);
    serves.map_or_else(
        || (Ipv4Addr::LOCALHOST, METRICS_PORT).into(),
        |serves| serves.address,
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_trial_goes_whole_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            path
        };
        assert!(!forget_trial(root.path()).unwrap());
        let gone = [
            put(TRIAL),
            put(TRIAL_DROP_IN),
            put(&format!("{UPDATE_FOLDER}/{FETCHED}/parts/x")),
        ];
        let stay = [
            put(&program_of("1.0.0")),
            put("/etc/systemd/system/aami-agent.service.d/10-site.conf"),
            put(&format!("{UPDATE_FOLDER}/{OUTCOME}")),
        ];
        assert!(forget_trial(root.path()).unwrap());
        assert!(gone.iter().all(|path| !path.exists()));
        assert!(stay.iter().all(|path| path.exists()));
        assert!(!root.path().join("opt/aami/aami-agent-trial").exists());
        assert!(!forget_trial(root.path()).unwrap());
    }
}
