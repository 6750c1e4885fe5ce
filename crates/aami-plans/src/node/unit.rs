//! The systemd unit of an exporter, with as few rights as it can work with.

use std::fmt::Write as _;

pub(super) use crate::unit_words::quoted;

/// What a unit runs.
pub(crate) struct Unit<'a> {
    /// For people.
    pub(crate) description: &'a str,
    /// Where to read about it.
    pub(crate) homepage: Option<&'a str>,
    /// The user it runs as.
    pub(crate) user: &'a str,
    /// The program's absolute path.
    pub(crate) program: &'a str,
    /// Its arguments.
    pub(crate) arguments: &'a [String],
    /// A command that is run before it and may fail.
    pub(crate) before: Option<&'a str>,
    /// What it may do.
    pub(crate) hardening: Hardening,
    /// Whether it is kept to this machine, because it cannot be told to listen there alone.
    pub(crate) is_local: bool,
}

/// What a unit may do on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hardening {
    /// Next to nothing.
    Tight,
    /// The same, but it must reach device nodes with their drivers' calls, as GPU exporters must, which are root for
    /// it: they keep the few capabilities that reading GPUs takes.
    Devices,
    /// It speaks to a service of this host by its socket, as root, and does nothing itself.
    Client,
    /// Everything: it makes a container out of what it has.
    None,
}

/// Settings every exporter can live with (systemd.exec(5)). Those a systemd does not know yet it
/// passes over with a warning in its log, so newer ones cost nothing on older hosts. `/proc` stays
/// whole: an exporter's job is to read it. So does the clock, which node_exporter reads with the call that
/// would also set it; without a capability it cannot.
pub(super) const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
UMask=0077
";

/// What reading GPUs takes of root's rights: counters of performance (`SYS_ADMIN`), whose processes use a GPU
/// (`SYS_PTRACE`, `DAC_READ_SEARCH`), device nodes that are others' or still to be made (`DAC_OVERRIDE`, `MKNOD`),
/// memory that is locked for the driver and how it is scheduled. `SYS_ADMIN` is much; the rest of root's is not needed:
/// no module is loaded, no packet filtered, nobody else's rights taken on.
const GPU_CAPABILITIES: &str = "CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RAWIO CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH \
                                CAP_MKNOD CAP_IPC_LOCK CAP_SYS_NICE CAP_SYS_RESOURCE";

impl Unit<'_> {
    /// The text of the unit file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("[Unit]\nDescription={}\n", self.description);
        if let Some(homepage) = self.homepage {
            let _ = writeln!(text, "Documentation={homepage}");
        }
        text.push_str("After=network.target\n\n[Service]\nType=simple\n");
        let _ = writeln!(text, "User={}", self.user);
        if let Some(before) = self.before {
            let _ = writeln!(text, "ExecStartPre=-{before}");
        }
        let _ = write!(text, "ExecStart={}", quoted(self.program));
        for argument in self.arguments {
            let _ = write!(text, " {}", quoted(argument));
        }
        text.push_str("\nRestart=on-failure\nRestartSec=5\n");
        if self.hardening != Hardening::None {
            text.push_str(HARDENING);
        }
        if self.hardening == Hardening::Tight {
            text.push_str("CapabilityBoundingSet=\nDevicePolicy=closed\nMemoryDenyWriteExecute=yes\n");
            // A call that is not on the list fails and is seen in the exporter's log; the default would kill it.
            text.push_str(
                "SystemCallFilter=@system-service adjtimex clock_adjtime\nSystemCallErrorNumber=EPERM\n",
            );
        }
        match self.hardening {
            Hardening::Tight | Hardening::None => {}
            Hardening::Devices => {
                let _ = writeln!(text, "CapabilityBoundingSet={GPU_CAPABILITIES}");
            }
            Hardening::Client => text.push_str("CapabilityBoundingSet=\nDevicePolicy=closed\n"),
        }
        if self.is_local {
            // systemd.resource-control(5): packets from and to other machines are dropped.
            text.push_str("IPAddressAllow=localhost\nIPAddressDeny=any\n");
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_what_it_runs_and_as_whom() {
        let arguments = ["--web.listen-address=:9100".to_owned(), "--x=a b%$".to_owned()];
        let unit = Unit {
            description: "Prometheus node_exporter",
            homepage: Some("https://example.com"),
            user: "node_exporter",
            program: "/opt/aami/node_exporter-1/node_exporter",
            arguments: &arguments,
            before: None,
            hardening: Hardening::Tight,
            is_local: false,
        };
        let text = unit.text();
        let line =
            "ExecStart=/opt/aami/node_exporter-1/node_exporter --web.listen-address=:9100 \"--x=a b%%$$\"\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\nUser=node_exporter\n") && text.contains("\nNoNewPrivileges=yes\n"));
        assert!(text.contains("\nCapabilityBoundingSet=\n"));
    }

    #[test]
    fn a_unit_that_runs_as_root_keeps_only_the_capabilities_its_work_takes() {
        let text = |hardening| {
            Unit {
                description: "x",
                homepage: None,
                user: "root",
                program: "/x",
                arguments: &[],
                before: None,
                hardening,
                is_local: false,
            }
            .text()
        };
        let bound = |text: &str| -> Option<Vec<String>> {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))?;
            Some(line.split_whitespace().map(str::to_owned).collect())
        };
        // One that reads GPUs has its devices, and can neither load a module nor become somebody else.
        let gpu = text(Hardening::Devices);
        let kept = bound(&gpu).expect("bounded");
        assert!(
            !gpu.contains("DevicePolicy") && gpu.contains("NoNewPrivileges=yes"),
            "{gpu}"
        );
        assert!(kept.contains(&"CAP_SYS_ADMIN".to_owned()), "{kept:?}");
        for gone in [
            "CAP_SYS_MODULE",
            "CAP_SETUID",
            "CAP_NET_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_CHOWN",
        ] {
            assert!(!kept.contains(&gone.to_owned()), "{gone}");
        }
        // One that only speaks to Docker has none at all.
        let client = text(Hardening::Client);
        assert_eq!(bound(&client), Some(Vec::new()));
        assert!(client.contains("DevicePolicy=closed") && client.contains("ProtectSystem=strict"));
        // Podman makes the container out of what it has.
        assert_eq!(bound(&text(Hardening::None)), None);
    }

    #[test]
    fn a_unit_that_cannot_listen_on_loopback_alone_is_kept_to_it() {
        let mut unit = Unit {
            description: "all-smi",
            homepage: None,
            user: "root",
            program: "/opt/aami/all_smi-1/all-smi",
            arguments: &[],
            before: None,
            hardening: Hardening::Devices,
            is_local: true,
        };
        let text = unit.text();
        let (_, service) = text.split_once("[Service]").unwrap();
        let (service, _) = service.split_once("[Install]").unwrap();
        assert!(
            service.contains("\nIPAddressAllow=localhost\nIPAddressDeny=any\n"),
            "{text}"
        );
        unit.is_local = false;
        assert!(!unit.text().contains("IPAddress"));
    }
}
