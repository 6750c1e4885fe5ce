//! The same command once more, where everything is as it should be.

use std::time::Duration;

use anyhow::Result;
use rig::{Node, wait_until};

use crate::{row, timed};

/// How soon it has to be over.
const SOON: Duration = Duration::from_secs(1);
/// The first run of the checks is over by then: they run each minute.
const FIRST_CHECKS: Duration = Duration::from_secs(90);
/// Older than everything that is written later.
const MARK: &str = "/run/before-the-second-run";
/// What a node writes whoever does nothing, and what the services themselves write.
const RESTLESS: [&str; 8] = [
    "/var/lib/systemd/",
    "/var/lib/private/",
    "/var/lib/aami/server",
    "/var/lib/aami/prometheus",
    "/var/lib/aami/alertmanager",
    "/var/lib/aami/targets",
    "/var/lib/node_exporter/textfile/aami_checks.prom",
    "/checks/checks.json",
];

/// What a second run did.
pub(crate) struct Again {
    took: Duration,
    written: Vec<String>,
    restarted: bool,
}

impl Again {
    /// Types `line` on a node where it has been typed before, and looks at what it wrote, and whether one of `units`
    /// has another process or begun again since.
    pub(crate) fn of(node: &Node, line: &str, units: &[&str]) -> Result<Self> {
        let pids = || -> Result<String> {
            let show = format!("systemctl show -P MainPID -P NRestarts {}", units.join(" "));
            node.sh(&show)?.ok()
        };
        // The checks begin beside the first run, and write what they found: not in the middle of the second.
        let rested = "! systemctl --quiet is-active aami-checks.timer || { \
                      [ -n \"$(systemctl show -P InactiveEnterTimestamp aami-checks.service)\" ] && \
                      [ \"$(systemctl show -P ActiveState aami-checks.service)\" = inactive ]; }";
        wait_until(FIRST_CHECKS, "the checks have run once", || {
            node.sh(rested)?.ok().map(drop)
        })?;
        let before = pids()?;
        // A file's time is as coarse as the kernel's tick: what is written later has a later one.
        node.sh(&format!(
            "touch {MARK}; until touch {MARK}.next && [ {MARK}.next -nt {MARK} ]; do :; done"
        ))?
        .ok()?;
        let took = timed(node, line)?;
        let listed = node
            .sh(&format!(
                "find /etc /opt /usr /var/lib /var/tmp /root /home -xdev -newercc {MARK}"
            ))?
            .ok()?;
        let is_quiet = |path: &&str| !RESTLESS.iter().any(|part| path.contains(part));
        let written = listed.lines().filter(is_quiet).map(str::to_owned).collect();
        Ok(Self {
            took,
            written,
            restarted: pids()? != before,
        })
    }

    pub(crate) fn row(&self, what: &str) {
        let restarts = if self.restarted { "restarts" } else { "no restart" };
        let mut measured = format!("{:.2?}, {} writes, {restarts}", self.took, self.written.len());
        if !self.written.is_empty() {
            measured.push_str(&format!(" ({})", self.written.join(", ")));
        }
        let holds = self.took < SOON && self.written.is_empty() && !self.restarted;
        row(what, &measured, "under 1s, 0 writes, no restart", holds);
    }
}

/// The slowest of those that did something, else the one in the middle by time.
pub(crate) fn median(mut all: Vec<Again>) -> Option<Again> {
    all.sort_by_key(|one| (!one.written.is_empty() || one.restarted, one.took));
    let at = match all.last() {
        Some(last) if !last.written.is_empty() || last.restarted => all.len() - 1,
        _ => all.len() / 2,
    };
    all.into_iter().nth(at)
}
