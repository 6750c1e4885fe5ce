//! The unit of the agent's daemon: it stays connected with the control plane.

use super::resident::daemon_command;

/// The unit.
pub(crate) const UNIT: &str = crate::units::AGENT;

/// Its text. The credential is a file that only root can read; it stands in no argument and no variable.
///
/// It runs as root, as reading that file, results of checks and serial numbers wants, and has next to none of root's
/// power. What it has beside is written where it is given.
///
/// `server` is the control plane's address, where there is one: it serves the page that explains this unit.
pub(crate) fn text(program: &str, cluster: &str, server: Option<&str>) -> String {
    let command = daemon_command(program, cluster);
    let documentation = server.and_then(documentation).unwrap_or_default();
    format!(
        "[Unit]\nDescription=Connection of this node to its control plane, by AAMI\n{documentation}\
         After=network-online.target\nWants=network-online.target\nStartLimitIntervalSec=0\n\n\
         [Service]\nType=notify\nNotifyAccess=main\nExecStart={command}\n\
         EnvironmentFile=-/etc/aami/proxy.env\n\
         WatchdogSec=90\nTimeoutStartSec=60\nTimeoutStopSec=10\nRestart=always\nRestartSec=5\n\
         # A node that is not enrolled is not helped by starting again.\nRestartPreventExitStatus=78\n\
         MemoryMax=256M\nTasksMax=64\nLimitCORE=0\nNice=5\n{HARDENING}\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// Where the agent's page of the guide is; nothing where the address would be more than one word to systemd
/// (systemd.unit(5), `Documentation=`).
fn documentation(server: &str) -> Option<String> {
    let server = server.trim_end_matches('/');
    let is_address = server.starts_with("https://") || server.starts_with("http://");
    let is_word = server
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'));
    (is_address && is_word).then(|| {
        let server = server.replace('%', "%%");
        format!("Documentation={server}/docs/guide/agent\n")
    })
}

/// As few rights as it can work with (systemd.exec(5)). Each exception says what it is for, in the unit itself.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
# Reports that wait, and which commands were done.
ReadWritePaths=/var/lib/aami/agent/spool
# Alert rules, where a Prometheus runs here and its operator made the folder.
ReadWritePaths=-/etc/aami/rules
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectClock=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
UMask=0077
# What `systemd-analyze security` still counts, and why it is so.
# User=, PrivateUsers=: serial numbers of disks and cards, results of checks and the credential are readable by their
# owner alone, and that is root. A user namespace would take just that away; it has no capability to make up for it.
# CapabilityBoundingSet=, ProtectKernelLogs=: the kernel's log is where Xids are, and CAP_SYSLOG reads it where it is
# kept from others.
CapabilityBoundingSet=CAP_SYSLOG
# DeviceAllow=, PrivateDevices=: GPU drivers are asked through their devices; nothing else below /dev is open.
DevicePolicy=closed
DeviceAllow=/dev/kmsg r
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-caps rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-drm rw
DeviceAllow=char-kfd rw
# RestrictAddressFamilies=, PrivateNetwork=, IPAddressDeny=: it is there to reach the control plane, wherever that is;
# the service manager's sockets are AF_UNIX, links of network cards are asked for by AF_NETLINK.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
# ProtectProc=, ProcSubset=: what the host is and how busy it is stands in /proc, also which processes hold a GPU.
# RootDirectory=: vendors' tools are run where the host has them.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# SystemCallFilter=: its own children are ended in time, and it lowers their priority with its own.
SystemCallFilter=setpriority
SystemCallErrorNumber=EPERM
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_when_it_is_ready_is_watched_and_carries_no_secret() {
        let server = Some("https://aami.example.com:8080/");
        let text = text("/opt/aami/aami-agent-1.0.0/aami-agent", "racks", server);
        for line in [
            "Documentation=https://aami.example.com:8080/docs/guide/agent",
            "Type=notify",
            "WatchdogSec=90",
            "ExecStart=/opt/aami/aami-agent-1.0.0/aami-agent daemon --cluster racks",
            "RestartPreventExitStatus=78",
            "CapabilityBoundingSet=CAP_SYSLOG",
            "PrivateMounts=yes",
            "ReadWritePaths=/var/lib/aami/agent/spool",
            "ReadWritePaths=-/etc/aami/rules",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(
            !text.contains("aamin_") && !text.contains("Environment="),
            "{text}"
        );
    }

    #[test]
    fn an_address_that_is_no_word_and_none_at_all_name_no_page() {
        let of = |server| text("/x", "racks", server);
        for server in [
            None,
            Some("ftp://x"),
            Some("https://x y"),
            Some("https://x\nExecStart=/y"),
        ] {
            assert!(!of(server).contains("Documentation"), "{server:?}");
        }
        let zone = of(Some("http://[fe80::1%eth0]:8080"));
        assert!(
            zone.contains("Documentation=http://[fe80::1%%eth0]:8080/docs/guide/agent\n"),
            "{zone}"
        );
    }
}
