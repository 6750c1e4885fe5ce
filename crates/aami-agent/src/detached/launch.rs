//! How a run's process begins, so that it lives on when whoever started it is gone.
//!
//! Where systemd is, it is a transient unit: outside of every login session, with a journal of its own, and told in time
//! when the machine goes down. Elsewhere, or where that does not work, it is a process in a session of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aami_install::host;

/// How long the service manager may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a run may take to end between two effects when the machine goes down.
const STOP: &str = "--property=TimeoutStopSec=90";
/// systemd is asked for nothing but to keep it; errors of the program itself are told by the run's own file.
const BOOTED: &str = "/run/systemd/system";

/// How it begins.
pub(crate) enum Launcher<'a> {
    /// As a unit, where there is a service manager.
    Unit(&'a dyn host::Commands),
    /// In a session of its own.
    Session,
}

/// What is to begin.
pub(super) struct Process<'a> {
    pub(super) program: PathBuf,
    /// Its run.
    pub(super) id: &'a str,
    pub(super) attempt: u32,
    /// Where its runs lie.
    pub(super) runs: &'a Path,
}

impl Process<'_> {
    /// Its arguments.
    fn arguments(&self) -> Vec<String> {
        let (attempt, runs) = (self.attempt.to_string(), self.runs.display().to_string());
        ["run", "work", self.id, "--attempt", &attempt, "--runs", &runs]
            .map(str::to_owned)
            .into()
    }

    /// The name of its unit. No run's name has a dot.
    fn unit(&self) -> String {
        match self.attempt {
            1 => format!("aami-run-{}", self.id),
            attempt => format!("aami-run-{}.{attempt}", self.id),
        }
    }

    /// Begins it; that it began is not yet known then.
    pub(super) fn begin(&self, how: &Launcher<'_>) -> Result<(), String> {
        match how {
            Launcher::Unit(commands) if Path::new(BOOTED).is_dir() => {
                // `exec` tells when the program itself cannot be started (systemd.service(5)); it is not known to those
                // before 240.
                let first = self.as_unit(*commands, &["--property=Type=exec"]);
                let began = first.or_else(|_| self.as_unit(*commands, &[]));
                began.or_else(|why| {
                    self.in_session()
                        .map_err(|error| format!("{why}; and in a session of its own: {error}"))
                })
            }
            Launcher::Unit(_) | Launcher::Session => self.in_session().map_err(|error| error.to_string()),
        }
    }

    fn as_unit(&self, commands: &dyn host::Commands, more: &[&str]) -> Result<(), String> {
        let mut argv = vec![
            "systemd-run".to_owned(),
            format!("--unit={}", self.unit()),
            format!("--description=AAMI, run {}", self.id),
            "--collect".to_owned(),
            "--quiet".to_owned(),
            "--property=KillMode=mixed".to_owned(),
            STOP.to_owned(),
        ];
        argv.extend(more.iter().map(|more| (*more).to_owned()));
        argv.push("--".to_owned());
        argv.push(self.program.display().to_string());
        argv.extend(self.arguments());
        let command = host::Command::change(argv).within(PATIENCE);
        commands
            .succeed(&command)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// The process makes the session itself: only one that leads no group may.
    fn in_session(&self) -> io::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments()).env_clear().current_dir("/");
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Whoever started it ends at once, and init takes it over.
        command.spawn().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_a_unit_of_its_own_that_no_other_run_can_have() {
        let process = |attempt| Process {
            program: PathBuf::from("/opt/aami-agent"),
            id: "r1",
            attempt,
            runs: Path::new("/var/lib/aami/runs"),
        };
        assert_eq!(process(1).unit(), "aami-run-r1");
        assert_eq!(process(2).unit(), "aami-run-r1.2");
        assert_eq!(
            process(2).arguments(),
            [
                "run",
                "work",
                "r1",
                "--attempt",
                "2",
                "--runs",
                "/var/lib/aami/runs"
            ]
        );
    }
}
