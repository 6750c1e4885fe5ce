//! The plug of a machine: whoever holds it makes the machine stand still, as the moment of a power cut does.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait_until;

/// A machine's plug. It outlives the machine, and is good for nothing then.
#[derive(Debug)]
pub struct Plug {
    pid: u32,
    qemu: OwnedFd,
}

/// A machine that stands still until this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Still<'a>(&'a Plug);

impl Plug {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let id = id.context("a process id that is none")?;
        let qemu = pidfd_open(id, PidfdFlags::empty()).context("the machine has ended")?;
        Ok(Self { pid, qemu })
    }

    /// Stops it. What it had given to the kernel by then has been written when this returns, as after a `kill -9`;
    /// what it had not never will be, as long as it stands still.
    pub(super) fn hold(&self) -> Result<Still<'_>> {
        pidfd_send_signal(&self.qemu, Signal::STOP).context("the machine has ended")?;
        let still = Still(self);
        // A thread in the middle of a write stops behind it.
        wait_until(Duration::from_secs(30), "the machine stands still", || {
            for thread in fs::read_dir(format!("/proc/{}/task", self.pid))? {
                let stat = fs::read_to_string(thread?.path().join("stat"))?;
                ensure!(state(&stat) == Some('T'), "a thread runs: {stat}");
            }
            Ok(())
        })?;
        Ok(still)
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        // One that has ended needs nothing more.
        let _ = pidfd_send_signal(&self.0.qemu, Signal::CONT);
    }
}

/// The third field of `/proc/PID/stat`, behind a name that may hold anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Process, keeper};

    #[test]
    fn a_machine_whose_plug_is_held_stands_still_and_runs_on_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = keeper::mortal("sh");
        command.args(["-c", "while :; do echo on; done"]);
        let log = folder.path().join("log");
        let process = Process::start("a machine", command, &log).expect("it starts");
        let size = || fs::metadata(&log).expect("a log").len();
        let grows = |than: u64| {
            wait_until(Duration::from_secs(10), "it writes", || {
                ensure!(size() > than, "{} bytes", size());
                Ok(())
            })
            .expect("it runs");
        };
        grows(0);

        let plug = Plug::of(process.pid()).expect("a plug");
        let still = plug.hold().expect("it stands still");
        let held = size();
        // Long enough for thousands of lines.
        let busy = std::time::Instant::now();
        while busy.elapsed() < Duration::from_millis(20) {
            assert_eq!(size(), held);
        }
        drop(still);
        grows(held);
    }

    #[test]
    fn a_name_with_parentheses_hides_no_state() {
        assert_eq!(state("7 (a) b) T 1 7"), Some('T'));
        assert_eq!(state("7"), None);
    }
}
