//! How busy the machine is, from `/proc` and `/sys`; GPUs of NVIDIA through their own tool, with a deadline.
//!
//! What cannot be read is zero or absent, never waited for.

mod gpu;

use std::path::Path;

use aami_api::link::Resources;
use aami_inventory::Host;

pub(super) use gpu::Visible;

/// What one look has to know of the one before.
#[derive(Debug, Default)]
pub(super) struct Looker {
    busy: Option<Cpu>,
}

/// Ticks since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cpu {
    idle: u64,
    total: u64,
}

impl Looker {
    /// One look, and what it saw of GPUs.
    pub(super) fn look(&mut self, host: &Host<'_>) -> (Resources, Visible) {
        let (gpus, visible) = gpu::look(host);
        let now = host.read("/proc/stat").and_then(|text| cpu(&text));
        let cpu_percent = match (self.busy, now) {
            (Some(before), Some(now)) => percent(before, now),
            _ => 0.0,
        };
        self.busy = now;
        let memory = host.read("/proc/meminfo").unwrap_or_default();
        let total = meminfo(&memory, "MemTotal:");
        let free = meminfo(&memory, "MemAvailable:");
        let (disk_used, disk_total) = disk(host.root);
        let first = |path: &str| host.read(path).and_then(|text| first_number(&text));
        let resources = Resources {
            cpu_percent,
            load1: first("/proc/loadavg").map_or(0.0, narrowed),
            memory_used: total.saturating_sub(free),
            memory_total: total,
            disk_used,
            disk_total,
            uptime_seconds: first("/proc/uptime").map_or(0, whole),
            gpus,
        };
        (resources, visible)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no digit beyond matters")]
const fn narrowed(number: f64) -> f32 {
    number as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest whole number that there is"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

fn first_number(text: &str) -> Option<f64> {
    let number: f64 = text.split_whitespace().next()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
fn cpu(text: &str) -> Option<Cpu> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|word| word.parse().ok())
        .collect();
    Some(Cpu {
        idle: ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0)),
        total: ticks.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)),
    })
}

fn percent(before: Cpu, now: Cpu) -> f32 {
    let total = now.total.saturating_sub(before.total);
    let idle = now.idle.saturating_sub(before.idle).min(total);
    if total == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = (total - idle) as f64 / total as f64;
    narrowed(share * 100.0)
}

fn meminfo(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes: Option<u64> = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// Used and all of the file system that the root is on.
fn disk(root: &Path) -> (u64, u64) {
    let Ok(found) = rustix::fs::statvfs(root) else {
        return (0, 0);
    };
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    (bytes(used), bytes(found.f_blocks))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aami_inventory::SystemCommands;

    use super::*;

    #[test]
    fn a_look_reads_what_the_kernel_says() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        fs::create_dir(&proc).unwrap();
        let write = |name: &str, text: &str| fs::write(proc.join(name), text).unwrap();
        write("stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n");
        write(
            "meminfo",
            "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n",
        );
        write("loadavg", "1.50 1.00 0.50 1/2 3\n");
        write("uptime", "12345.67 1.0\n");
        let commands = SystemCommands::default();
        let host = Host {
            root: folder.path(),
            privileged: false,
            commands: &commands,
        };
        let mut looker = Looker::default();
        let (first, _) = looker.look(&host);
        assert_eq!((first.memory_used, first.memory_total), (600 * 1024, 1000 * 1024));
        assert_eq!(first.uptime_seconds, 12345);
        assert!((first.load1 - 1.5).abs() < 0.001 && first.cpu_percent.abs() < 0.001);
        assert!(first.disk_total >= first.disk_used && first.disk_total > 0);
        write("stat", "cpu  150 0 100 750 100 0 0 0 0 0\n");
        let (second, _) = looker.look(&host);
        assert!(
            (second.cpu_percent - 50.0).abs() < 0.001,
            "{}",
            second.cpu_percent
        );
    }

    #[test]
    fn what_the_kernel_does_not_say_is_nothing_and_no_panic() {
        for text in [
            "",
            "cpu",
            "cpu  a b c",
            "cpu  1",
            "cpu  18446744073709551615 9 9 9",
        ] {
            let _ = cpu(text).map(|now| percent(Cpu { idle: 5, total: 9 }, now));
        }
        assert_eq!(
            meminfo("MemTotal: 18446744073709551615 kB", "MemTotal:"),
            u64::MAX
        );
        assert_eq!(first_number("-1 2"), None);
        assert_eq!(first_number("inf"), None);
    }
}
