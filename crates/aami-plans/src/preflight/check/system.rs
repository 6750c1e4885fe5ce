//! The operating system, its service manager, processors and memory.

use aami_inventory::distribution::Standing;
use aami_inventory::docker::is_at_least;
use aami_model::code;

use super::super::facts::Facts;
use super::super::report::{Category, Check};
use super::super::request::Runtime;

/// The oldest systemd whose units do what ours say; RHEL 8 has it.
const OLDEST_SYSTEMD: u32 = 239;
/// The oldest kernel among the distributions AAMI is run on; RHEL 8 has it.
const OLDEST_KERNEL: &str = "4.18";
const GIB: u64 = 1 << 30;

/// What people ask first.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![os(facts), cpu(facts), memory(facts)]
}

/// What stands behind it.
pub(super) fn deeper(facts: &Facts) -> Vec<Check> {
    vec![kernel(facts), init(facts)]
}

fn check(key: &str, title: &str) -> Check {
    Check::new(Category::System, key, title)
}

fn os(facts: &Facts) -> Check {
    let distribution = &facts.distribution;
    let name = &distribution.name;
    let check = check("os", "OS").measured(name.as_str()).from("/etc/os-release");
    match distribution.standing() {
        Standing::Supported => check.passed(format!("{name} (supported)")),
        Standing::TooOld(oldest) => check.limit(oldest).warned(
            code::OS_UNTESTED,
            format!("{name} (oldest supported: {oldest})"),
            format!(
                "{name} is older than {oldest}, the oldest {} that AAMI is run on",
                distribution.id
            ),
        ),
        Standing::Unknown => check.warned(
            code::OS_UNTESTED,
            format!("{name} (not tried)"),
            format!("{name} is not among the distributions that AAMI is run on"),
        ),
    }
}

fn kernel(facts: &Facts) -> Check {
    let check = check("kernel", "Kernel")
        .limit(OLDEST_KERNEL)
        .from("/proc/sys/kernel/osrelease")
        .quiet();
    let libc = facts
        .system
        .libc
        .clone()
        .map_or_else(String::new, |libc| format!(", {libc}"));
    match &facts.system.kernel {
        Some(kernel) if is_at_least(kernel, OLDEST_KERNEL) => {
            check.measured(kernel.as_str()).passed(format!("{kernel}{libc}"))
        }
        Some(kernel) => check
            .measured(kernel.as_str())
            .failed(
                code::OS_UNSUPPORTED,
                format!("{kernel} (minimum: {OLDEST_KERNEL})"),
                format!("The kernel is {kernel}, and {OLDEST_KERNEL} is the oldest that works"),
            )
            .advice("Upgrade the distribution"),
        None => check.failed(
            code::OS_UNSUPPORTED,
            "unknown",
            "This is no Linux: /proc/sys/kernel/osrelease cannot be read",
        ),
    }
}

/// Which systemd, and whether it is well.
fn init(facts: &Facts) -> Check {
    let check = check("init", "systemd").limit(OLDEST_SYSTEMD).from("systemctl");
    let init = &facts.init;
    if !init.is_systemd {
        if facts.choice.runtime == Runtime::Compose {
            return check.skipped("containers need no systemd");
        }
        let instead = init.program.as_deref().unwrap_or("unknown");
        return check
            .measured(instead)
            .from("/run/systemd/system")
            .failed(
                code::SYSTEMD_NOT_RUNNING,
                format!("not running (process 1 is {instead})"),
                format!("systemd is not the running init: there is no /run/systemd/system, and process 1 is {instead}"),
            )
            .advice("Use a machine or container that boots systemd");
    }
    if let Some(silence) = &init.silence {
        return check
            .measured(silence.as_str())
            .from("systemctl is-system-running")
            .failed(
                code::SYSTEMD_NOT_RUNNING,
                format!("does not answer ({silence})"),
                format!("systemd does not answer: {silence}"),
            )
            .advice("Look at 'journalctl -b -u dbus' and reboot if nothing else helps");
    }
    let state = init.state.as_deref().unwrap_or("unknown");
    let version = match facts.system.systemd {
        Some(version) if version < OLDEST_SYSTEMD => {
            return check
                .measured(version)
                .from("systemctl --version")
                .failed(
                    code::OS_UNSUPPORTED,
                    format!("{version} (minimum: {OLDEST_SYSTEMD})"),
                    format!("systemd is {version}, and {OLDEST_SYSTEMD} is the oldest that works"),
                )
                .advice("Upgrade the distribution");
        }
        Some(version) => version.to_string(),
        None => "of unknown version".to_owned(),
    };
    let check = check.measured(version.as_str());
    match state {
        "degraded" => check
            .from("systemctl list-units --failed")
            .warned(
                code::SYSTEMD_DEGRADED,
                format!("{version}, degraded ({} failed)", init.failed.join(", ")),
                format!("Units of this system have failed: {}", init.failed.join(", ")),
            )
            .remedy("Look at them", &["systemctl", "--failed"]),
        "maintenance" | "stopping" => check
            .from("systemctl is-system-running")
            .failed(
                code::SYSTEMD_NOT_RUNNING,
                format!("{version}, {state}"),
                format!("systemd is in the state {state}, in which no service is started"),
            )
            .advice("Bring the system up: 'systemctl default', or reboot"),
        _ => check.passed(format!("{version} ({state})")),
    }
}

fn cpu(facts: &Facts) -> Check {
    let minimum = facts.choice.minima().cores;
    let check = check("cpu", "CPU").limit(minimum).from("/proc/cpuinfo");
    let Some(cores) = facts.cores else {
        return check.warned(
            code::DETECTION_FAILED,
            "unknown",
            "/proc/cpuinfo does not say how many processors there are",
        );
    };
    let noun = if cores == 1 { "core" } else { "cores" };
    let summary = format!("{cores} {noun} (minimum: {minimum})");
    let check = check.measured(cores);
    if cores >= minimum {
        return check.passed(summary);
    }
    let message = format!("This machine has {cores} {noun} and the minimum is {minimum}");
    check
        .failed(code::CPU_TOO_FEW, summary, message)
        .advice("Give the machine more processors")
}

/// Memory is sold in GB and counted in bytes less what firmware and kernel keep: a machine with 4 GB says
/// 3.8 GiB. So a fifth less than the minimum still passes.
fn memory(facts: &Facts) -> Check {
    let minimum = facts.choice.minima().memory_gb;
    let check = check("ram_gb", "RAM").limit(minimum);
    let Some(bytes) = facts.memory else {
        return check.from("/proc/meminfo").warned(
            code::DETECTION_FAILED,
            "unknown",
            "/proc/meminfo does not say how much memory there is",
        );
    };
    let (bytes, source) = match facts.confinement.memory_limit {
        Some(limit) if limit < bytes => (limit, "the memory limit of the control group"),
        _ => (bytes, "/proc/meminfo"),
    };
    let least = minimum * GIB / 5 * 4;
    let whole = (bytes + GIB / 2) / GIB;
    let check = check
        .from(source)
        .measured(whole)
        .member("value", whole)
        .member("minimum", minimum);
    let check = check.member("bytes", bytes);
    let swap = facts.confinement.swap_bytes.unwrap_or(0);
    let check = check.member("swap_bytes", swap);
    if bytes >= least {
        return check.passed(format!("{whole}GB (minimum: {minimum}GB)"));
    }
    let exact = format!("{}.{}GB", bytes / GIB, bytes % GIB * 10 / GIB);
    check
        .failed(
            code::MEMORY_TOO_SMALL,
            format!("{exact} (minimum: {minimum}GB)"),
            format!("This machine has {exact} of memory by {source}, and the minimum is {minimum}GB"),
        )
        .advice("Give the machine more memory")
}
