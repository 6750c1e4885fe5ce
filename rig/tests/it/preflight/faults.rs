//! The conditions that break an install, each with how it comes about on a real node and how it goes away.
//!
//! Files of the kernel are changed by mounting another over them; whatever answers on a network is a real
//! process; programs that cannot be had here (Docker, a firewall, a GPU's tool) are stand-ins that say what
//! the real ones say.

mod containers;
mod network;

use anyhow::Result;
use rig::Node;

/// What is typed after `preflight`.
pub(super) enum Say {
    /// As for a node that enrols with the control plane.
    Node,
    /// As for a server of systemd units.
    Server,
    /// As for a server of containers.
    Compose,
    /// This.
    This(String),
}

/// One condition.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) inject: String,
    pub(super) heal: String,
    /// What stands before the program on its command line.
    pub(super) before: String,
    pub(super) say: Say,
    pub(super) mirror: String,
    pub(super) code: &'static str,
    /// A part of its sentence: the thing that is wrong.
    pub(super) names: &'static str,
    pub(super) is_warning: bool,
}

/// The files the faults are made of, below `/srv/f`.
pub(super) fn prepare(node: &Node) -> Result<()> {
    node.sh(PREPARE)?.ok().map(drop)
}

const PREPARE: &str = include_str!("faults/prepare.sh");

/// Every condition. `control` and `portal` are addresses.
pub(super) fn all(control: &str, portal: &str) -> Vec<Fault> {
    let mut all = machine();
    all.extend(identity());
    all.extend(storage());
    all.extend(software());
    all.extend(containers::docker());
    all.extend(network::network(control, portal));
    all.extend(network::proxies(control));
    all.extend(ports());
    all.extend(permissions());
    all.extend(hardware());
    for fault in &mut all {
        if fault.mirror.is_empty() {
            fault.mirror = format!("http://{portal}");
        }
    }
    all
}

fn fault(name: &'static str, code: &'static str, names: &'static str, inject: &str, heal: &str) -> Fault {
    Fault {
        name,
        inject: inject.to_owned(),
        heal: heal.to_owned(),
        before: String::new(),
        say: Say::Node,
        mirror: String::new(),
        code,
        names,
        is_warning: false,
    }
}

/// Another file in the place of one.
fn over(name: &'static str, code: &'static str, names: &'static str, file: &str, place: &str) -> Fault {
    fault(
        name,
        code,
        names,
        &format!("mount --bind /srv/f/{file} {place}"),
        &format!("umount {place}"),
    )
}

/// Something that stands there for as long as the look takes.
fn placed(name: &'static str, code: &'static str, names: &'static str, make: &str, path: &str) -> Fault {
    fault(name, code, names, make, &format!("rm -rf {path}"))
}

/// A stranger's process for as long as the look takes.
fn stranger(name: &'static str, code: &'static str, names: &'static str, arguments: &str) -> Fault {
    fault(name, code, names, &start(arguments), STOP)
}

/// Starts a stranger and waits until it is ready.
fn start(arguments: &str) -> String {
    format!(
        "rm -f /run/ready; systemd-run --quiet --unit=stranger perl /srv/stranger.pl {arguments}\n\
         i=0; until [ -e /run/ready ]; do i=$((i+1)); [ $i -lt 300 ] || {{ journalctl -u stranger --no-pager; exit 1; }}; busybox usleep 10000; done"
    )
}

const STOP: &str =
    "systemctl stop stranger; systemctl reset-failed stranger 2> /dev/null || true; rm -f /run/ready";

impl Fault {
    fn warns(mut self) -> Self {
        self.is_warning = true;
        self
    }

    fn on(mut self, say: Say) -> Self {
        self.say = say;
        self
    }

    fn after(mut self, before: &str) -> Self {
        self.before = before.to_owned();
        self
    }

    fn and(mut self, inject: &str, heal: &str) -> Self {
        self.inject = format!("{}\n{inject}", self.inject);
        self.heal = format!("{heal}\n{}", self.heal);
        self
    }
}

fn machine() -> Vec<Fault> {
    let silent =
        "mount -t tmpfs none /run/systemd && mkdir /run/systemd/system && mount -t tmpfs none /run/dbus";
    vec![
        over("too little memory for a node", "MEMORY_TOO_SMALL", "0.6GB", "meminfo-node", "/proc/meminfo"),
        over("too little memory for a server", "MEMORY_TOO_SMALL", "2.8GB", "meminfo-server", "/proc/meminfo").on(Say::Server),
        over("one processor for a server", "CPU_TOO_FEW", "1 core", "cpuinfo", "/proc/cpuinfo").on(Say::Server),
        over("an old distribution", "OS_UNTESTED", "CentOS Linux 7", "centos7", "/etc/os-release").warns(),
        over("a distribution nobody tried", "OS_UNTESTED", "Arch Linux", "arch", "/etc/os-release").warns(),
        over("an old kernel", "OS_UNSUPPORTED", "3.10.0", "kernel", "/proc/sys/kernel/osrelease"),
        placed(
            "an old systemd",
            "OS_UNSUPPORTED",
            "systemd is 219",
            "cp /srv/f/systemctl-219 /usr/local/sbin/systemctl",
            "/usr/local/sbin/systemctl",
        ),
        fault(
            "no systemd",
            "SYSTEMD_NOT_RUNNING",
            "/run/systemd/system",
            "mount -t tmpfs none /run/systemd",
            "umount /run/systemd",
        ),
        fault(
            "a systemd that does not answer",
            "SYSTEMD_NOT_RUNNING",
            "does not answer",
            silent,
            "umount /run/dbus; umount /run/systemd",
        ),
        fault(
            "a unit that failed",
            "SYSTEMD_DEGRADED",
            "torn.service",
            "systemd-run --quiet --unit=torn false; i=0; until systemctl is-failed --quiet torn; do i=$((i+1)); [ $i -lt 500 ]; busybox usleep 10000; done",
            "systemctl reset-failed torn",
        )
        .warns(),
        over("a low limit of open files", "LIMIT_TOO_LOW", "512", "limits", "/proc/1/limits"),
        // Everything but these is as before: a look in a place of its own that they were taken out of.
        fault("no control groups", "CGROUPS_MISSING", "No control groups", "", "")
            .after(r#"unshare --mount sh -c 'umount --recursive --lazy /sys/fs/cgroup && exec "$0" "$@"'"#),
        over("a controller that is switched off", "CONTROLLERS_OFF", "switched off: memory", "cgroups-off", "/proc/cgroups").warns(),
        over("no mount namespaces", "NAMESPACES_DISABLED", "max_mnt_namespaces", "zero", "/proc/sys/user/max_mnt_namespaces"),
        fault("a user namespace", "USER_NAMESPACE", "ordinary user", "", "")
            .after("unshare --user --map-root-user")
            .warns(),
        fault("a umask that locks everybody out", "UMASK_UNUSABLE", "777", "", "").after("umask 0777;"),
        fault("a umask that lets everybody in", "UMASK_UNUSABLE", "000", "", "").after("umask 0;").warns(),
    ]
}

fn identity() -> Vec<Fault> {
    let rename =
        |bytes: &str| format!("perl -e '$n = q({bytes}); syscall(170, $n, length $n) == 0 or die $!'");
    vec![
        over("an empty machine-id", "MACHINE_ID_INVALID", "empty", "empty", "/etc/machine-id"),
        over("an uninitialized machine-id", "MACHINE_ID_INVALID", "uninitialized", "uninitialized", "/etc/machine-id"),
        over("an image's machine-id", "DUPLICATE_MACHINE_ID", "1111", "ones", "/etc/machine-id"),
        fault(
            "a copied disk with two machine-ids",
            "DUPLICATE_MACHINE_ID",
            "differ",
            "mkdir -p /var/lib/dbus; mv /var/lib/dbus/machine-id /srv/dbus-id; cp /srv/f/ones /var/lib/dbus/machine-id",
            "mv -f /srv/dbus-id /var/lib/dbus/machine-id",
        )
        .warns(),
        fault("a host called localhost", "HOSTNAME_GENERIC", "localhost", "hostname localhost", "hostname node1"),
        fault("a hostile host name", "HOSTNAME_INVALID", "ev", &rename("ev\"il"), "hostname node1"),
        fault("a host name with a blank", "HOSTNAME_INVALID", "a b", &rename("a b"), "hostname node1"),
        over("a host name nobody knows", "HOSTNAME_UNRESOLVABLE", "stranger9", "nsswitch", "/etc/nsswitch.conf")
            .and("hostname stranger9", "hostname node1")
            .warns(),
    ]
}

fn storage() -> Vec<Fault> {
    let small = |place: &str, options: &str| format!("mount -t tmpfs -o {options} none {place}");
    let frozen = |place: &str| format!("mount --bind {place} {place} && mount -o remount,ro,bind {place}");
    let mounted = |name, code, place: &'static str, inject: String| {
        fault(name, code, place, &inject, &format!("umount {place}"))
    };
    vec![
        mounted(
            "no room for programs",
            "DISK_FULL",
            "/opt",
            small("/opt", "size=2m"),
        ),
        mounted(
            "no room for data",
            "DISK_FULL",
            "/var/lib/aami",
            small("/var/lib/aami", "size=100m"),
        ),
        mounted(
            "less room than a node should have",
            "DISK_FULL",
            "/var/lib/aami",
            small("/var/lib/aami", "size=3g"),
        ),
        mounted(
            "less room than a server should have",
            "DISK_FULL",
            "/var/lib/aami",
            small("/var/lib/aami", "size=9g"),
        )
        .on(Say::Server),
        mounted(
            "no inodes for programs",
            "INODES_FULL",
            "/opt",
            small("/opt", "nr_inodes=20"),
        ),
        mounted(
            "no inodes for data",
            "INODES_FULL",
            "/var/lib/aami",
            small("/var/lib/aami", "size=60g,nr_inodes=20"),
        ),
        mounted(
            "programs that may not be run",
            "NOEXEC",
            "/opt",
            small("/opt", "noexec"),
        ),
        mounted(
            "a read-only place for programs",
            "READ_ONLY",
            "/opt",
            frozen("/opt"),
        ),
        mounted(
            "a read-only place for units",
            "READ_ONLY",
            "/etc/systemd/system",
            frozen("/etc/systemd/system"),
        ),
        mounted(
            "a read-only place for data",
            "READ_ONLY",
            "/var/lib",
            frozen("/var/lib"),
        ),
        mounted(
            "a read-only place for links",
            "READ_ONLY",
            "/usr/local/bin",
            frozen("/usr/local/bin"),
        ),
        mounted("a full /tmp", "DISK_FULL", "/tmp", small("/tmp", "size=16k")),
        mounted(
            "a /tmp of root alone",
            "NOT_WRITABLE",
            "/tmp",
            small("/tmp", "mode=0755"),
        ),
        placed(
            "a file where programs go",
            "NOT_A_FOLDER",
            "/opt/aami",
            "touch /opt/aami",
            "/opt/aami",
        ),
        placed(
            "a link that leads nowhere",
            "NOT_A_FOLDER",
            "/opt/aami",
            "ln -s /nowhere/at/all /opt/aami",
            "/opt/aami",
        ),
        placed(
            "a file where configuration goes",
            "NOT_A_FOLDER",
            "/etc/aami",
            "touch /etc/aami",
            "/etc/aami",
        ),
        placed(
            "a folder that takes nothing",
            "NOT_WRITABLE",
            "/etc/aami",
            "mkdir /etc/aami && chown 65534 /etc/aami && chmod 500 /etc/aami",
            "/etc/aami",
        )
        .after("setpriv --bounding-set=-dac_override,-dac_read_search"),
    ]
}

fn software() -> Vec<Fault> {
    let hidden = |name, program: &'static str, path: &str| {
        fault(
            name,
            "TOOL_MISSING",
            program,
            &format!("mount --bind /dev/null {path}"),
            &format!("umount {path}"),
        )
    };
    vec![
        hidden("no useradd", "useradd", "/usr/sbin/useradd"),
        hidden("no groupadd", "groupadd", "/usr/sbin/groupadd"),
        hidden("no usermod", "usermod", "/usr/sbin/usermod"),
        hidden("no systemctl", "systemctl", "/usr/bin/systemctl"),
        hidden("neither curl nor wget", "curl", "/usr/bin/curl")
            .and("mount --bind /dev/null /usr/bin/wget", "umount /usr/bin/wget")
            .warns(),
        stranger("dpkg at work", "PACKAGES_LOCKED", "perl (PID: ", "lock /var/lib/dpkg/lock-frontend"),
        stranger("apt at work", "PACKAGES_LOCKED", "/var/lib/apt/lists/lock", "lock /var/lib/apt/lists/lock"),
        placed(
            "dnf at work",
            "PACKAGES_LOCKED",
            "(PID: 1)",
            "mkdir /var/lib/dnf && echo 1 > /var/lib/dnf/rpmdb_lock.pid",
            "/var/lib/dnf",
        ),
        placed("a lock left behind", "PACKAGE_LOCK_STALE", "/run/yum.pid", "echo 4194303 > /run/yum.pid", "/run/yum.pid"),
        over("a package half configured", "PACKAGES_BROKEN", "torn (half-configured)", "status-half", "/var/lib/dpkg/status"),
        over("no record of packages", "PACKAGES_BROKEN", "/var/lib/dpkg/status", "empty", "/var/lib/dpkg/status"),
        placed(
            "an interrupted dpkg",
            "PACKAGES_BROKEN",
            "interrupted",
            "touch /var/lib/dpkg/updates/0001",
            "/var/lib/dpkg/updates/0001",
        ),
        placed(
            "our unit masked",
            "UNIT_BLOCKED",
            "aami-node-exporter.service",
            "ln -s /dev/null /etc/systemd/system/aami-node-exporter.service && systemctl daemon-reload",
            "/etc/systemd/system/aami-node-exporter.service && systemctl daemon-reload",
        ),
        placed(
            "an exporter installed by hand",
            "FOREIGN_INSTALL",
            "the unit node_exporter.service",
            "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/node_exporter.service && systemctl daemon-reload",
            "/etc/systemd/system/node_exporter.service && systemctl daemon-reload",
        )
        .warns(),
        over(
            "an exporter of the distribution",
            "FOREIGN_INSTALL",
            "the package prometheus-node-exporter",
            "status-exporter",
            "/var/lib/dpkg/status",
        )
        .warns(),
        stranger("a Prometheus that somebody started", "FOREIGN_INSTALL", "prometheus", "listen 127.0.0.1 19090 prometheus")
            .on(Say::Server)
            .warns(),
    ]
}

fn ports() -> Vec<Fault> {
    let stand_in = |name, names, program: &str| {
        let path = format!("/usr/local/sbin/{program}");
        placed(
            name,
            "FIREWALL_CLOSED",
            names,
            &format!("cp /srv/f/{program} {path}"),
            &path,
        )
        .warns()
    };
    vec![
        stranger(
            "a stranger on the exporter's port",
            "PORT_IN_USE",
            "Port 9100 is in use by stranger (PID: ",
            "listen 0.0.0.0 9100 stranger",
        ),
        stranger(
            "a stranger on one address alone",
            "PORT_IN_USE",
            "9100",
            "listen 127.0.0.9 9100 stranger",
        ),
        stranger(
            "a stranger on IPv6 alone",
            "PORT_IN_USE",
            "9100",
            "listen ::1 9100 stranger",
        ),
        stranger(
            "a stranger on a port of choice",
            "PORT_IN_USE",
            "9199",
            "listen :: 9199 stranger",
        )
        .on(Say::This("--mode node --port 9199".to_owned())),
        stranger(
            "a stranger on the server's port",
            "PORT_IN_USE",
            "8080",
            "listen 0.0.0.0 8080 stranger",
        )
        .on(Say::Server),
        stranger(
            "a Prometheus on its port",
            "PORT_IN_USE",
            "9090",
            "listen 0.0.0.0 9090 prometheus",
        )
        .on(Say::Server),
        stranger(
            "an Alertmanager on its port",
            "PORT_IN_USE",
            "9093",
            "listen 0.0.0.0 9093 alertmanager",
        )
        .on(Say::Server),
        stranger(
            "a Grafana on its port",
            "PORT_IN_USE",
            "3000",
            "listen 0.0.0.0 3000 grafana",
        )
        .on(Say::Server),
        over(
            "ports that are given away",
            "PORT_EPHEMERAL",
            "9100",
            "ports",
            "/proc/sys/net/ipv4/ip_local_port_range",
        )
        .warns(),
        stand_in("ufw with the port closed", "ufw", "ufw"),
        stand_in("firewalld with the port closed", "firewalld", "firewall-cmd"),
    ]
}

fn permissions() -> Vec<Fault> {
    let held = "mkdir -p /run/aami && echo '{\"pid\":77,\"plan\":\"default/node\",\"started_at\":\"2026-01-01T00:00:00Z\"}' > /run/aami/install.lock";
    vec![
        fault("a user without rights", "NOT_ROOT", "root", "", "")
            .after("setpriv --reuid=65534 --regid=65534 --clear-groups"),
        placed(
            "a lock of /etc/passwd left empty",
            "ACCOUNTS_LOCKED",
            "/etc/passwd.lock",
            "touch /etc/passwd.lock",
            "/etc/passwd.lock",
        ),
        placed(
            "somebody changing groups",
            "ACCOUNTS_LOCKED",
            "process 1",
            "echo 1 > /etc/group.lock",
            "/etc/group.lock",
        ),
        over(
            "an empty /etc/passwd",
            "ACCOUNTS_LOCKED",
            "/etc/passwd",
            "empty",
            "/etc/passwd",
        ),
        // A container has a /sys of its own, which takes more.
        fault(
            "SELinux that is enforcing",
            "SELINUX_ENFORCING",
            "SELinux is enforcing",
            "mount -o remount,rw /sys; mkdir -p /sys/fs/selinux && echo 1 > /sys/fs/selinux/enforce",
            "rm -r /sys/fs/selinux",
        )
        .warns(),
        fault(
            "AppArmor that confines an exporter",
            "APPARMOR_ENFORCING",
            "/opt/aami/node_exporter",
            "mount -o remount,rw /sys; mkdir -p /sys/module/apparmor/parameters && echo Y > /sys/module/apparmor/parameters/enabled\n\
             mount -t tmpfs none /sys/kernel/security && mkdir /sys/kernel/security/apparmor\n\
             echo '/opt/aami/node_exporter (enforce)' > /sys/kernel/security/apparmor/profiles",
            "umount /sys/kernel/security; rm -r /sys/module/apparmor; rmdir /sys/module 2> /dev/null || true",
        )
        .warns(),
        fault(
            "another installer at work",
            "LOCKED",
            "process 77",
            held,
            "rm -r /run/aami",
        )
        .and(&start("flock /run/aami/install.lock"), STOP),
    ]
}

fn hardware() -> Vec<Fault> {
    // A container has a /sys of its own, without modules. The rest of the machine has none that are asked for.
    let machine = |name, code, names, bus: &str, modules: &str| {
        fault(
            name,
            code,
            names,
            &format!(
                "mount -o remount,rw /sys; mkdir -p /sys/module /sys/bus/pci/devices\n\
                 mount --bind /srv/f/{bus} /sys/bus/pci/devices && mount --bind /srv/f/{modules} /sys/module"
            ),
            "umount /sys/module; umount /sys/bus/pci/devices; rmdir /sys/module 2> /dev/null || true",
        )
    };
    let smi = |fault: Fault, file: &str| {
        fault.and(
            &format!("cp /srv/f/{file} /usr/local/bin/nvidia-smi"),
            "rm /usr/local/bin/nvidia-smi",
        )
    };
    let nodes = (
        "mknod /dev/nvidia0 c 1 3; mknod /dev/nvidiactl c 1 3",
        "rm /dev/nvidia0 /dev/nvidiactl",
    );
    let library = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.90.07";
    vec![
        machine("a GPU without a driver", "GPU_DRIVER_MISSING", "0000:18:00.0", "bus-bare", "modules-none"),
        machine("a GPU held by nouveau", "GPU_NOUVEAU", "nouveau", "bus-nouveau", "modules-nouveau"),
        smi(
            machine("a driver older than its library", "GPU_DRIVER_MISMATCH", "550.90.07", "bus-nvidia", "modules-nvidia"),
            "smi",
        )
        .and(&format!("mkdir -p /usr/lib/x86_64-linux-gnu && touch {library}"), &format!("rm {library}")),
        smi(
            machine("a GPU without device files", "GPU_DEVICE_MISSING", "/dev/nvidiactl", "bus-nvidia", "modules-nvidia"),
            "smi",
        ),
        smi(
            machine("a GPU tool that fails", "VENDOR_TOOL_FAILED", "nvidia-smi", "bus-nvidia", "modules-nvidia"),
            "smi-broken",
        )
        .and(nodes.0, nodes.1),
        smi(
            machine("a GPU that its tool does not show", "GPU_LOST", "0000:18:00.0", "bus-nvidia", "modules-nvidia"),
            "smi-none",
        )
        .and(nodes.0, nodes.1),
        smi(
            machine("a GPU that fell off the bus", "GPU_LOST", "GPU is lost", "bus-nvidia", "modules-nvidia"),
            "smi-lost",
        )
        .and(nodes.0, nodes.1),
        smi(
            machine("a fabric manager that is missing", "FABRIC_MANAGER_DOWN", "no fabric manager", "bus-switch", "modules-nvidia"),
            "smi",
        ),
        smi(
            machine("a fabric manager that is down", "FABRIC_MANAGER_DOWN", "inactive", "bus-switch", "modules-nvidia"),
            "smi",
        )
        .and(
            "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/nvidia-fabricmanager.service && systemctl daemon-reload",
            "rm /etc/systemd/system/nvidia-fabricmanager.service && systemctl daemon-reload",
        ),
        smi(
            machine("a stranger on the GPU exporter's port", "PORT_IN_USE", "9400", "bus-nvidia", "modules-nvidia"),
            "smi",
        )
        .and(nodes.0, nodes.1)
        .and(&start("listen 0.0.0.0 9400 stranger"), STOP),
    ]
}
