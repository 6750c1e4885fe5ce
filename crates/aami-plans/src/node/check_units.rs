//! What starts a round of checks each minute: a unit with its timer, or a line for cron.

use super::unit::HARDENING;
use crate::unit_words::quoted;

/// The unit.
pub(crate) const SERVICE: &str = crate::units::CHECKS;
/// Its timer.
pub(crate) const TIMER: &str = crate::units::CHECKS_TIMER;

/// The unit of one round. It begins as root, since only root may hand a process to another user and read the
/// node's credential, and runs each check as `aami-check`. Everything a round starts lives in the unit's group and
/// ends with it. The limit is on the start, since a unit of this type is never "running" (systemd.service(5),
/// `RuntimeMaxSec=`). A check that takes too much memory ends alone (`OOMPolicy=`), and one that cannot die is not
/// waited for longer than a few seconds.
///
/// It writes into the folder that node_exporter reads, which may be somebody else's who was here before; without
/// `CAP_DAC_OVERRIDE` root may not. That gives away nothing: with `CAP_SETUID` and `CAP_SETGID`, which it needs, it
/// could be that somebody, and `ReadWritePaths=` names the only places that can be written at all.
pub(crate) fn service(program: &str) -> String {
    let program = quoted(program);
    let limit = super::check::LONGEST.as_secs();
    format!(
        "[Unit]\nDescription=Checks of this node, one round, run by AAMI\nAfter=network.target\n\n\
         [Service]\nType=oneshot\nExecStart={program} checks run\nEnvironmentFile=-/etc/aami/proxy.env\n\
         TimeoutStartSec={limit}\nTimeoutStopSec=5\nKillMode=control-group\nNice=5\nTasksMax=256\nMemoryMax=512M\n\
         OOMPolicy=continue\nLimitCORE=0\n\
         RuntimeDirectory=aami-checks\nRuntimeDirectoryMode=0711\n\
         ReadWritePaths=/var/lib/aami/checks /var/lib/node_exporter/textfile\n\
         CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SYS_RAWIO CAP_SYS_ADMIN\n\
         SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n{HARDENING}"
    )
}

/// Each minute, the first time at once.
pub(crate) fn timer() -> String {
    format!(
        "[Unit]\nDescription=Checks of this node, each minute, run by AAMI\n\n\
         [Timer]\nOnActiveSec=1s\nOnUnitActiveSec=60s\nAccuracySec=1s\nUnit={SERVICE}\n\n\
         [Install]\nWantedBy=timers.target\n"
    )
}

/// The same for a host without systemd. A round that finds another at work does nothing.
pub(crate) fn cron(program: &str) -> String {
    format!("* * * * * root {program} checks run >/dev/null 2>&1\n")
}
