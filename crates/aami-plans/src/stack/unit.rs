//! The systemd unit of a part, with as few rights as it can work with.

use std::fmt::Write as _;

use crate::unit_words::quoted;

/// What a unit runs.
pub(crate) struct Unit<'a> {
    /// For people.
    pub(crate) description: &'a str,
    /// Where to read about it.
    pub(crate) homepage: Option<&'a str>,
    /// The user it runs as, and its group.
    pub(crate) user: &'a str,
    /// The program's absolute path and its arguments.
    pub(crate) command: &'a [String],
    /// The only folders it may write to.
    pub(crate) writes: &'a [String],
    /// Units it is started after.
    pub(crate) after: &'a [&'a str],
    /// Whether it listens on a port below 1024.
    pub(crate) low_port: bool,
    /// Whether it reads its configuration again on SIGHUP.
    pub(crate) reloads: bool,
    /// Whether it is started again even where it ended by itself and without an error: whoever may speak to it can make
    /// it end so.
    pub(crate) comes_back: bool,
}

/// Settings every part can live with (systemd.exec(5)). Those a systemd does not know yet it passes
/// over with a warning in its log, so newer ones cost nothing on older hosts.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
UMask=0077
";

impl Unit<'_> {
    /// The text of the unit file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("[Unit]\nDescription={}\n", self.description);
        if let Some(homepage) = self.homepage {
            let _ = writeln!(text, "Documentation={homepage}");
        }
        let after = self
            .after
            .iter()
            .map(|unit| format!(" {unit}"))
            .collect::<String>();
        let _ = writeln!(
            text,
            "Wants=network-online.target\nAfter=network-online.target{after}"
        );
        let _ = write!(
            text,
            "\n[Service]\nType=simple\nUser={0}\nGroup={0}\nExecStart=",
            self.user
        );
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        text.push_str(&words.join(" "));
        if self.reloads {
            text.push_str("\nExecReload=/bin/kill -HUP $MAINPID");
        }
        let restart = if self.comes_back { "always" } else { "on-failure" };
        let _ = write!(text, "\nRestart={restart}\nRestartSec=5\nLimitNOFILE=65536\n");
        text.push_str(HARDENING);
        let capability = if self.low_port { "CAP_NET_BIND_SERVICE" } else { "" };
        let _ = writeln!(text, "CapabilityBoundingSet={capability}");
        if self.low_port {
            let _ = writeln!(text, "AmbientCapabilities={capability}");
        }
        if !self.writes.is_empty() {
            let _ = writeln!(text, "ReadWritePaths={}", self.writes.join(" "));
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit<'a>(command: &'a [String], writes: &'a [String], low_port: bool) -> String {
        Unit {
            description: "Prometheus, installed by AAMI",
            homepage: Some("https://example.com"),
            user: "aami-prometheus",
            command,
            writes,
            after: &["aami-server.service"],
            low_port,
            reloads: true,
            comes_back: false,
        }
        .text()
    }

    #[test]
    fn a_unit_says_what_it_runs_as_whom_and_where_it_may_write() {
        let command = [
            "/opt/aami/prometheus-3/prometheus".to_owned(),
            "--x=a b%$".to_owned(),
        ];
        let text = unit(&command, &["/var/lib/aami/prometheus".to_owned()], false);
        for line in [
            "After=network-online.target aami-server.service",
            "User=aami-prometheus",
            "Group=aami-prometheus",
            "ExecStart=/opt/aami/prometheus-3/prometheus \"--x=a b%%$$\"",
            "ReadWritePaths=/var/lib/aami/prometheus",
            "CapabilityBoundingSet=",
            "NoNewPrivileges=yes",
            "MemoryDenyWriteExecute=yes",
            "ExecReload=/bin/kill -HUP $MAINPID",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_low_port_takes_one_capability_and_no_other() {
        let text = unit(&["/x".to_owned()], &[], true);
        assert!(text.contains(
            "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
        ));
        assert!(!text.contains("ReadWritePaths"));
    }
}
