//! What the kernel holds back: security modules, limits, control groups, namespaces, swap.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// SELinux' mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Selinux {
    /// Not loaded.
    #[default]
    Disabled,
    /// Loaded, and only logs.
    Permissive,
    /// Refuses.
    Enforcing,
}

/// What holds processes back on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// SELinux.
    pub selinux: Selinux,
    /// The profiles that AppArmor enforces, as far as the reader may see them; `None` where it is off.
    pub apparmor: Option<Vec<String>>,
    /// The most files a process of the service manager may open, by its hard limit.
    pub open_files: Option<u64>,
    /// The mode bits this process takes away from what it makes, octal as in umask(2).
    pub umask: Option<u32>,
    /// `v2`, `v1` or `hybrid`; `None` where no control groups are mounted.
    pub cgroups: Option<&'static str>,
    /// Controllers of control groups that units of services set limits by and that are not at work here.
    pub idle_controllers: Vec<&'static str>,
    /// Whether mount namespaces can be made: hardened units need them.
    pub mount_namespaces: bool,
    /// Whether root here is somebody else outside (a user namespace).
    pub user_namespace: bool,
    /// Swap in bytes.
    pub swap_bytes: Option<u64>,
    /// Memory this process' control group may use at most, where there is a limit.
    pub memory_limit: Option<u64>,
    /// First and last of the ports the kernel gives to outgoing connections.
    pub outgoing_ports: Option<(u16, u16)>,
    /// Whether the loopback device is up.
    pub loopback: bool,
}

/// Looks at what holds processes back.
pub fn confinement(host: &Host<'_>) -> Confinement {
    let mounts = host.read("/proc/self/mountinfo").unwrap_or_default();
    let status = host.read("/proc/self/status").unwrap_or_default();
    Confinement {
        selinux: match host.read("/sys/fs/selinux/enforce").as_deref() {
            Some("1") => Selinux::Enforcing,
            Some(_) => Selinux::Permissive,
            None => Selinux::Disabled,
        },
        apparmor: apparmor(host),
        open_files: host.read("/proc/1/limits").and_then(|text| open_files(&text)),
        umask: status.lines().find_map(|line| {
            let bits = line.strip_prefix("Umask:")?;
            u32::from_str_radix(bits.trim(), 8).ok()
        }),
        cgroups: cgroups(&mounts),
        idle_controllers: idle_controllers(host, cgroups(&mounts)),
        mount_namespaces: host.read("/proc/sys/user/max_mnt_namespaces").as_deref() != Some("0"),
        user_namespace: host.read("/proc/self/uid_map").is_some_and(|map| !is_whole(&map)),
        swap_bytes: host
            .read("/proc/meminfo")
            .and_then(|text| kibibytes(&text, "SwapTotal:")),
        memory_limit: [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ]
        .into_iter()
        .find_map(|path| host.read(path)?.parse().ok()),
        outgoing_ports: host
            .read("/proc/sys/net/ipv4/ip_local_port_range")
            .and_then(|text| range(&text)),
        loopback: host
            .read("/sys/class/net/lo/flags")
            .is_none_or(|flags| is_up(&flags)),
    }
}

/// No list of AppArmor's profiles is longer.
const LONGEST_PROFILES: u64 = 4 << 20;

/// What AppArmor enforces. Its list of profiles is root's to read, and needs securityfs to be mounted.
fn apparmor(host: &Host<'_>) -> Option<Vec<String>> {
    if host.read("/sys/module/apparmor/parameters/enabled").as_deref() != Some("Y") {
        return None;
    }
    let list = host
        .read_up_to("/sys/kernel/security/apparmor/profiles", LONGEST_PROFILES)
        .unwrap_or_default();
    Some(enforced(&list))
}

/// The profiles of lines `NAME (enforce)`; others only complain, or let their programs end.
fn enforced(profiles: &str) -> Vec<String> {
    let names = profiles
        .lines()
        .filter_map(|line| line.trim().strip_suffix(" (enforce)"));
    names.map(one_line).collect()
}

/// The hard limit in the line `Max open files   soft   hard   files` of `/proc/PID/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let rest = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn cgroups(mounts: &str) -> Option<&'static str> {
    let has = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
    match (has("cgroup2"), has("cgroup")) {
        (true, false) => Some("v2"),
        (true, true) => Some("hybrid"),
        (false, true) => Some("v1"),
        (false, false) => None,
    }
}

/// What units of services set limits by: `MemoryMax=` and `TasksMax=`.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// The controllers that are not at work, as far as anything says so.
fn idle_controllers(host: &Host<'_>, layout: Option<&str>) -> Vec<&'static str> {
    let kernel = host.read("/proc/cgroups").unwrap_or_default();
    // The topmost group of a machine lists all there are. A container sees a group of its host's, which need not give
    // it any.
    let topmost = crate::system::container(host)
        .is_none()
        .then(|| host.read("/sys/fs/cgroup/cgroup.controllers"))
        .flatten()
        // The group of the whole machine is the only one without a type.
        .filter(|_| layout == Some("v2") && host.read("/sys/fs/cgroup/cgroup.type").is_none());
    let is_idle = |name: &&str| {
        is_switched_off(&kernel, name)
            || topmost
                .as_ref()
                .is_some_and(|list| !list.split_whitespace().any(|one| one == *name))
    };
    CONTROLLERS.into_iter().filter(is_idle).collect()
}

/// Whether a row of `/proc/cgroups` (`memory  0  131  0`: name, hierarchy, groups, enabled) says that the controller was
/// switched off when the kernel was started. A kernel without its older form lists it not at all.
fn is_switched_off(rows: &str, name: &str) -> bool {
    rows.lines().any(|row| {
        let mut fields = row.split_whitespace();
        fields.next() == Some(name) && fields.nth(2) == Some("0")
    })
}

/// Whether a map of user numbers is the identity over all of them, as outside every user namespace.
fn is_whole(map: &str) -> bool {
    let numbers: Vec<&str> = map.split_whitespace().collect();
    numbers == ["0", "0", "4294967295"]
}

fn kibibytes(meminfo: &str, name: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `IFF_UP` of `include/uapi/linux/if.h` is the lowest bit.
fn is_up(flags: &str) -> bool {
    let hex = flags.trim().trim_start_matches("0x");
    u32::from_str_radix(hex, 16).is_ok_and(|flags| flags & 1 == 1)
}

/// What keeps the clock right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClockKeeper {
    /// The unit that does, where one is at work.
    pub unit: Option<String>,
    /// Units that could and are installed, but are not at work.
    pub idle: Vec<String>,
}

/// Programs that keep a clock right, by their units.
const KEEPERS: [&str; 8] = [
    "systemd-timesyncd.service",
    "chronyd.service",
    "chrony.service",
    "ntpd.service",
    "ntp.service",
    "ntpsec.service",
    "openntpd.service",
    "phc2sys.service",
];

/// Looks for what keeps the clock right.
pub fn clock_keeper(host: &Host<'_>) -> ClockKeeper {
    let mut found = ClockKeeper::default();
    for unit in crate::init::stand(host, &KEEPERS) {
        if unit.active == "active" && found.unit.is_none() {
            found.unit = Some(unit.name);
        } else if unit.load == "loaded" {
            found.idle.push(one_line(&unit.name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_maps_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(524_288));
        assert_eq!(open_files("Max open files  1 unlimited files"), Some(u64::MAX));
        assert!(is_whole("         0          0 4294967295"));
        assert!(!is_whole("0 100000 65536"));
        assert_eq!(range("32768\t60999"), Some((32768, 60999)));
        assert_eq!(range("1024 70000"), None);
        assert!(is_up("0x9") && !is_up("0x8") && !is_up(""));
    }

    #[test]
    fn apparmor_is_off_or_on_and_tells_what_it_enforces_to_who_may_read_it() {
        let root = crate::made_up::Root::new();
        let host = root.host();
        let seen = || confinement(&host).apparmor;
        assert_eq!(seen(), None, "a kernel without it");
        root.write("/sys/module/apparmor/parameters/enabled", "N\n");
        assert_eq!(seen(), None, "switched off");
        root.write("/sys/module/apparmor/parameters/enabled", "Y\n");
        assert_eq!(seen(), Some(Vec::new()), "what it enforces cannot be read");
        root.write(
            "/sys/kernel/security/apparmor/profiles",
            "/opt/aami/node_exporter-1.9.1/node_exporter (enforce)\nman_filter (complain)\ndocker-default (enforce)\n\
             snap.a b (kill)\n",
        );
        let enforced = ["/opt/aami/node_exporter-1.9.1/node_exporter", "docker-default"];
        assert_eq!(seen(), Some(enforced.map(str::to_owned).to_vec()));
    }

    #[test]
    fn control_groups_are_told_apart() {
        let (one, two) = (
            "1 2 0:1 / /a rw - cgroup cgroup rw",
            "1 2 0:1 / /b rw - cgroup2 cgroup2 rw",
        );
        assert_eq!(cgroups(two), Some("v2"));
        assert_eq!(cgroups(one), Some("v1"));
        assert_eq!(cgroups(&format!("{one}\n{two}")), Some("hybrid"));
        assert_eq!(cgroups("1 2 0:1 / / rw - ext4 /dev/sda rw"), None);
    }

    #[test]
    fn a_controller_is_idle_where_the_kernel_or_the_topmost_group_says_so() {
        let rows =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t131\t0\npids\t9\t1\t1\n";
        assert!(is_switched_off(rows, "memory"));
        assert!(!is_switched_off(rows, "pids") && !is_switched_off(rows, "cpuset"));
        let root = crate::made_up::Root::new();
        let host = root.host();
        let write = |path: &str, text: &str| root.write(path, text);
        assert!(idle_controllers(&host, Some("v2")).is_empty(), "nobody says so");
        write("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
        assert_eq!(idle_controllers(&host, Some("v2")), ["memory"]);
        assert!(idle_controllers(&host, Some("v1")).is_empty());
        // Any other group than the machine's own has a type: so a pod sees the one it is in.
        write("/sys/fs/cgroup/cgroup.type", "domain\n");
        assert!(idle_controllers(&host, Some("v2")).is_empty());
        std::fs::remove_file(host.path("/sys/fs/cgroup/cgroup.type")).unwrap();
        assert_eq!(idle_controllers(&host, Some("v2")), ["memory"]);
        // A container is given what its host gives it.
        write("/run/systemd/container", "systemd-nspawn\n");
        assert!(idle_controllers(&host, Some("v2")).is_empty());
        write("/proc/cgroups", rows);
        assert_eq!(idle_controllers(&host, Some("v2")), ["memory"]);
    }
}
