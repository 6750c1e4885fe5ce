//! The operating system, the processor and the memory.

use serde::Serialize;

use crate::host::Host;

/// The operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct System {
    /// `ID` of os-release(5), e.g. `debian`; `linux` where there is none, as its page says.
    pub os: String,
    /// `VERSION_ID`, e.g. `12`; empty on rolling distributions.
    pub os_version: String,
    /// `PRETTY_NAME`, for people.
    pub os_name: String,
    /// Kernel release, e.g. `6.1.0-18-amd64`.
    pub kernel: Option<String>,
    /// `glibc 2.36`, `musl`.
    pub libc: Option<String>,
    /// The version of systemd where it is the running init (`sd_booted(3)`).
    pub systemd: Option<u32>,
    /// The kind of container this runs in, e.g. `systemd-nspawn`, `docker`; `None` on a machine.
    pub container: Option<String>,
    /// machine-id(5), where one has been made.
    pub machine_id: Option<String>,
}

/// Reads the operating system.
pub fn system(host: &Host<'_>) -> System {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| host.read(path))
        .unwrap_or_default();
    let value = |name| os_release_value(&release, name);
    System {
        os: value("ID").unwrap_or_else(|| "linux".to_owned()),
        os_version: value("VERSION_ID").unwrap_or_default(),
        os_name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        kernel: host.read("/proc/sys/kernel/osrelease"),
        libc: libc(host),
        systemd: systemd_version(host),
        container: container(host),
        machine_id: host
            .read("/etc/machine-id")
            .filter(|id| aami_model::machine::is_machine_id(id)),
    }
}

/// One value of an os-release(5) file: `NAME=value`, quoted as a shell would read it.
pub(crate) fn os_release_value(text: &str, name: &str) -> Option<String> {
    let raw = text.lines().find_map(|line| {
        let (key, value) = line.trim().split_once('=')?;
        (key == name).then_some(value)
    })?;
    let quoted = |quote: char| raw.strip_prefix(quote)?.strip_suffix(quote);
    let inner = quoted('"').or_else(|| quoted('\'')).unwrap_or(raw);
    let mut value = String::new();
    let mut escaped = false;
    for c in inner.chars().filter(|c| !c.is_control()).take(256) {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        value.push(c);
    }
    (!value.is_empty()).then_some(value)
}

fn libc(host: &Host<'_>) -> Option<String> {
    if let Ok(output) = host.commands.run("getconf", &["GNU_LIBC_VERSION"])
        && output.status == Some(0)
        && let Some(version) = output.stdout.trim().strip_prefix("glibc ")
    {
        return Some(format!("glibc {}", crate::error::one_line(version)));
    }
    host.list("/lib")
        .iter()
        .any(|name| name.starts_with("ld-musl-"))
        .then(|| "musl".to_owned())
}

/// The version of the running systemd, where systemd is the running init.
fn systemd_version(host: &Host<'_>) -> Option<u32> {
    // sd_booted(3): this folder is there exactly when systemd was booted.
    if !host.exists("/run/systemd/system") {
        return None;
    }
    let output = host.commands.run("systemctl", &["--version"]).ok()?;
    parse_systemd_version(&output.stdout)
}

/// `systemd 252 (252.39-1~deb12u2)`.
fn parse_systemd_version(text: &str) -> Option<u32> {
    let rest = text.lines().next()?.strip_prefix("systemd ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The container this runs in. The ways of saying so are those of systemd's container interface
/// (<https://systemd.io/CONTAINER_INTERFACE>) and of docker and podman.
pub(crate) fn container(host: &Host<'_>) -> Option<String> {
    if let Some(kind) = host.read("/run/systemd/container") {
        return Some(crate::error::one_line(&kind));
    }
    if let Some(environment) = host.read("/proc/1/environ")
        && let Some(kind) = environment
            .split('\0')
            .find_map(|pair| pair.strip_prefix("container="))
        && !kind.is_empty()
    {
        return Some(crate::error::one_line(kind));
    }
    if host.exists("/run/.containerenv") {
        return Some("podman".to_owned());
    }
    host.exists("/.dockerenv").then(|| "docker".to_owned())
}

/// The processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Logical processors, as the kernel counts those online.
    pub cores: Option<u32>,
    /// E.g. `AMD EPYC 9654 96-Core Processor`; arm64 kernels do not say.
    pub model: Option<String>,
}

/// Reads `/proc/cpuinfo`.
pub fn cpu(host: &Host<'_>) -> Cpu {
    host.read("/proc/cpuinfo")
        .map_or_else(Cpu::default, |text| parse_cpuinfo(&text))
}

fn parse_cpuinfo(text: &str) -> Cpu {
    let pairs = || text.lines().filter_map(|line| line.split_once(':'));
    let cores = pairs().filter(|(key, _)| key.trim() == "processor").count();
    let model = pairs()
        .find(|(key, _)| key.trim() == "model name")
        .map(|(_, value)| crate::error::one_line(value));
    Cpu {
        cores: u32::try_from(cores).ok().filter(|n| *n > 0),
        model: model.filter(|text| !text.is_empty()),
    }
}

/// Memory the kernel has, in bytes: a little less than what is plugged in.
pub fn memory_bytes(host: &Host<'_>) -> Option<u64> {
    parse_meminfo(&host.read("/proc/meminfo")?)
}

fn parse_meminfo(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn os_release_is_read_as_a_shell_would() {
        let text =
            "NAME=\"Red Hat\"\nID=rhel\nVERSION_ID='9.4'\nPRETTY_NAME=\"A \\\"B\\\" \\\\ C\"\nEMPTY=\n";
        let value = |name| os_release_value(text, name);
        assert_eq!(value("ID").as_deref(), Some("rhel"));
        assert_eq!(value("VERSION_ID").as_deref(), Some("9.4"));
        assert_eq!(value("PRETTY_NAME").as_deref(), Some("A \"B\" \\ C"));
        assert_eq!(value("EMPTY"), None);
        assert_eq!(value("VERSION"), None);
    }

    #[test]
    fn the_version_of_systemd_is_a_number() {
        assert_eq!(
            parse_systemd_version("systemd 252 (252.39-1~deb12u2)\n+PAM"),
            Some(252)
        );
        assert_eq!(
            parse_systemd_version("systemd 256~rc3-1 (256~rc3-1)\n"),
            Some(256)
        );
        assert_eq!(parse_systemd_version("runit"), None);
    }

    #[test]
    fn processors_and_memory_are_counted() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(
            parse_cpuinfo(text),
            Cpu {
                cores: Some(2),
                model: Some("AMD EPYC".into())
            }
        );
        assert_eq!(
            parse_cpuinfo("Hardware : x\n").cores,
            None,
            "not measured is not 0"
        );
        assert_eq!(
            parse_meminfo("MemFree: 1 kB\nMemTotal:       16384 kB\n"),
            Some(16_777_216)
        );
        assert_eq!(parse_meminfo("MemTotal: 99999999999999999999 kB"), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in "(?s).{0,200}") {
            let _ = os_release_value(&text, "ID");
            let _ = parse_systemd_version(&text);
            let _ = parse_cpuinfo(&text);
            let _ = parse_meminfo(&text);
        }
    }
}
