//! The unit that replaces the agent: started by the daemon, which itself can change nothing on the host, and at boot
//! where an update was cut off.

use super::resident::{REQUEST, SPOOL, UPDATE_FOLDER, UPDATE_JOURNAL};
use crate::unit_words::quoted;

/// The unit.
pub(crate) const UNIT: &str = crate::units::AGENT_UPDATE;

/// Its text. It runs the agent that is installed, never the one that is tried: whoever has to take a step back must be
/// able to. It is an installer, so it may write where programs and units are; the network part of it fetches from the
/// control plane alone, and what it fetches is judged by the key on this host before anything of it runs.
///
/// Killed, it is started again and goes on by its journal; older service managers do that for no unit of the type
/// `oneshot`. A request that was answered is an empty file.
pub(crate) fn text(program: &str, cluster: &str, agent_folder: &str) -> String {
    let (program, cluster) = (quoted(program), quoted(cluster));
    format!(
        "[Unit]\nDescription=Replacing this node's agent, by AAMI\nAfter=network-online.target\n\
         Wants=network-online.target\nStartLimitIntervalSec=0\n\
         ConditionFileNotEmpty=|{UPDATE_FOLDER}/{UPDATE_JOURNAL}\n\
         ConditionFileNotEmpty=|{agent_folder}/{SPOOL}/{REQUEST}\n\n\
         [Service]\nType=simple\nExecStart={program} update --cluster {cluster}\nEnvironmentFile=-/etc/aami/proxy.env\n\
         Restart=on-failure\nRestartSec=2\nRuntimeMaxSec=1500\nTimeoutStopSec=10\nMemoryMax=512M\nTasksMax=64\n\
         LimitCORE=0\nNice=5\nNoNewPrivileges=yes\nPrivateTmp=yes\nProtectHome=yes\nProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\nProtectControlGroups=yes\nProtectClock=yes\nRestrictNamespaces=yes\n\
         RestrictRealtime=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nSystemCallArchitectures=native\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_the_installed_agent_and_goes_on_after_a_cut() {
        let text = text(
            "/opt/aami/aami-agent-1.0.0/aami-agent",
            "racks",
            "/var/lib/aami/agent",
        );
        for line in [
            "Type=simple",
            "RuntimeMaxSec=1500",
            "ExecStart=/opt/aami/aami-agent-1.0.0/aami-agent update --cluster racks",
            "ConditionFileNotEmpty=|/var/lib/aami/agent/update/journal.json",
            "ConditionFileNotEmpty=|/var/lib/aami/agent/spool/update.json",
            "Restart=on-failure",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
