//! The package manager: who holds its lock, whether its records are whole, and what is installed.

use std::fs::File;

use rustix::process::{Flock, FlockType, fcntl_getlk};
use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// The record of dpkg comes to about 10 MB on a machine with everything.
const LONGEST_STATUS: u64 = 64 * 1024 * 1024;

/// A lock that somebody holds, or that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// The file.
    pub path: String,
    /// The process that holds it; `None` when it was left behind by one that is gone.
    pub pid: Option<u32>,
    /// The name of that process.
    pub process: Option<String>,
}

/// What is known of the package manager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Packages {
    /// Locks that keep a package from being installed now.
    pub locks: Vec<Lock>,
    /// What an interrupted installation left half done; the names of packages, or what else is wrong.
    pub broken: Vec<String>,
}

/// Files that dpkg, apt and rpm lock with `fcntl(2)`: the lock ends with its process.
const KERNEL_LOCKS: [&str; 5] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
];

/// Files in which dnf, yum and zypper write their process number, and which outlive it.
const NUMBER_FILES: [&str; 6] = [
    "/var/lib/dnf/rpmdb_lock.pid",
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
    "/var/lib/dnf/log_lock.pid",
    "/run/yum.pid",
    "/run/zypp.pid",
];

/// Looks at the package manager.
pub fn packages(host: &Host<'_>) -> Packages {
    Packages {
        locks: locks(host),
        broken: broken(host),
    }
}

fn locks(host: &Host<'_>) -> Vec<Lock> {
    let process = |pid: u32| {
        host.read(&format!("/proc/{pid}/comm"))
            .map(|name| one_line(&name))
    };
    let mut found = Vec::new();
    for path in KERNEL_LOCKS {
        let Ok(file) = File::open(host.path(path)) else {
            continue;
        };
        let Ok(Some(lock)) = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)) else {
            continue;
        };
        // A holder outside this process namespace has no number here.
        let pid = lock
            .pid
            .and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        found.push(Lock {
            path: path.to_owned(),
            process: pid.and_then(process).or_else(|| Some("a process".to_owned())),
            pid: pid.or(Some(0)),
        });
    }
    for path in NUMBER_FILES {
        let Some(text) = host.read(path) else { continue };
        let pid = text.trim().parse::<u32>().ok();
        let alive = pid.filter(|pid| host.exists(&format!("/proc/{pid}")));
        found.push(Lock {
            path: path.to_owned(),
            pid: alive,
            process: alive.and_then(process),
        });
    }
    found
}

/// What dpkg was interrupted in: `dpkg --configure -a` would go on with it.
fn broken(host: &Host<'_>) -> Vec<String> {
    if !host.exists("/var/lib/dpkg") {
        return Vec::new();
    }
    // dpkg's journal of a run that did not end; its files are named by numbers.
    let is_journal = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let mut found = Vec::new();
    if host.list("/var/lib/dpkg/updates").iter().any(is_journal) {
        found.push("an interrupted dpkg run".to_owned());
    }
    match host.read_up_to("/var/lib/dpkg/status", LONGEST_STATUS) {
        Some(status) => found.extend(half_done(&status)),
        // A container image may be made without dpkg's record; a Debian with dpkg has it.
        None if host.exists("/usr/bin/dpkg") => found.push("an empty /var/lib/dpkg/status".to_owned()),
        None => {}
    }
    found
}

/// The packages of a dpkg status file that are neither installed nor gone (dpkg-query(1), package
/// states), or want to be installed again.
fn half_done(status: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut package = "";
    for line in status.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            package = name;
        } else if let Some(words) = line.strip_prefix("Status: ") {
            let mut words = words.split(' ').skip(1);
            let (flag, state) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let is_half_done = matches!(state, "half-installed" | "half-configured" | "unpacked");
            if is_half_done || flag.starts_with("reinst") {
                found.push(format!("{} ({state})", one_line(package)));
            }
        }
    }
    found
}

/// Which of these packages are installed, by dpkg's or rpm's record.
pub fn installed<'a>(host: &Host<'_>, names: &[&'a str]) -> Vec<&'a str> {
    if let Some(status) = host.read_up_to("/var/lib/dpkg/status", LONGEST_STATUS) {
        let mut found = Vec::new();
        let mut package = "";
        for line in status.lines() {
            if let Some(name) = line.strip_prefix("Package: ") {
                package = name;
            } else if line
                .strip_prefix("Status: ")
                .is_some_and(|words| words.ends_with(" installed"))
            {
                found.extend(names.iter().copied().filter(|name| *name == package));
            }
        }
        return found;
    }
    let mut arguments = vec!["-q", "--queryformat", "%{NAME}\\n"];
    arguments.extend(names);
    let Ok(output) = host.commands.run("rpm", &arguments) else {
        return Vec::new();
    };
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).collect();
    names
        .iter()
        .copied()
        .filter(|name| lines.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: curl\nStatus: install ok installed\nVersion: 7\n\n\
        Package: prometheus-node-exporter\nStatus: install ok half-configured\n\n\
        Package: old\nStatus: deinstall ok config-files\n\n\
        Package: torn\nStatus: install reinstreq half-installed\n";

    #[test]
    fn what_dpkg_left_half_done_is_named() {
        assert_eq!(
            half_done(STATUS),
            [
                "prometheus-node-exporter (half-configured)",
                "torn (half-installed)"
            ]
        );
    }

    #[test]
    fn a_number_file_of_a_dead_process_is_a_lock_left_behind() {
        let root = crate::made_up::Root::new();
        let host = root.host();
        let write = |path: &str, text: &str| root.write(path, text);
        write("/run/yum.pid", "4194399\n");
        write("/var/lib/dpkg/status", STATUS);
        let found = packages(&host);
        assert_eq!(found.locks.len(), 1);
        assert_eq!(found.locks[0].pid, None);
        assert_eq!(found.broken.len(), 2);
        assert_eq!(installed(&host, &["curl", "old", "wget"]), ["curl"]);

        write("/proc/4194399/comm", "yum");
        assert_eq!(packages(&host).locks[0].process.as_deref(), Some("yum"));
    }

    #[test]
    fn a_lock_file_that_nobody_holds_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("var/lib/dpkg/lock-frontend");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        let commands = crate::SystemCommands::default();
        let host = Host {
            root: folder.path(),
            privileged: true,
            commands: &commands,
        };
        assert_eq!(packages(&host).locks, [], "a file alone is no lock");
    }
}
