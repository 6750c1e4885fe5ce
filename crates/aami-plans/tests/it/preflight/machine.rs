//! A machine that was made up: its files, its programs and the hosts it reaches.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use aami_inventory::volume::Volume;
use aami_inventory::{CommandError, Commands, Host, Output};
use aami_model::Timestamp;
use aami_plans::preflight::{
    Facts, Fault, Lookup, Mode, Report, Request, Road, Runtime, Seen, Target, Trial, World, check,
};

/// When everybody looks.
const NOW: &str = "2026-11-20T10:30:00Z";
pub(crate) const GB: u64 = 1_000_000_000;

/// A machine, and what stands between it and others.
pub(crate) struct Machine {
    root: tempfile::TempDir,
    programs: BTreeMap<String, Output>,
    /// What keeps a host of this key from being reached.
    pub(crate) away: BTreeMap<&'static str, Fault>,
    /// Free bytes of its one file system, and of those mounted on it, by their place.
    pub(crate) free: BTreeMap<&'static str, u64>,
    /// How far its clock is ahead of all others', in seconds.
    pub(crate) ahead: i64,
}

impl Machine {
    /// The one the document's example is about: Ubuntu with Docker, eight processors, 32 GB of memory and 150 GB of
    /// free disk.
    pub(crate) fn of_the_example() -> Self {
        let mut machine = Self {
            root: tempfile::tempdir().unwrap(),
            programs: BTreeMap::new(),
            away: BTreeMap::new(),
            free: [("/", 150 * GB)].into(),
            ahead: 0,
        };
        let processors: String = (0..8)
            .map(|number| format!("processor\t: {number}\n\n"))
            .collect();
        for (path, text) in [
            (
                "/etc/os-release",
                "PRETTY_NAME=\"Ubuntu 22.04 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\n",
            ),
            ("/etc/machine-id", "4c4c4544004235108052b4c04f4a3333\n"),
            ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
            ("/etc/group", "root:x:0:\n"),
            ("/proc/cpuinfo", &processors),
            (
                "/proc/meminfo",
                "MemTotal:       33554432 kB\nSwapTotal:             0 kB\n",
            ),
            (
                "/proc/self/mountinfo",
                "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n31 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            ),
            ("/proc/self/status", "Umask:\t0022\n"),
            ("/proc/self/uid_map", "0 0 4294967295\n"),
            (
                "/proc/1/limits",
                "Max open files            1024                 524288               files\n",
            ),
            ("/proc/1/comm", "systemd\n"),
            ("/proc/sys/kernel/hostname", "control-01\n"),
            ("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n"),
            ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            (
                "/sys/fs/cgroup/cgroup.controllers",
                "cpuset cpu io memory hugetlb pids\n",
            ),
            ("/sys/class/net/lo/flags", "0x9\n"),
            (
                "/var/lib/dpkg/status",
                "Package: curl\nStatus: install ok installed\nVersion: 7.81.0\n",
            ),
        ] {
            machine.file(path, text);
        }
        for folder in ["/run/systemd/system", "/tmp", "/opt", "/sys/bus/pci/devices"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        fs::set_permissions(
            machine.path("/tmp"),
            std::os::unix::fs::PermissionsExt::from_mode(0o1777),
        )
        .unwrap();
        for program in [
            "curl",
            "docker",
            "systemctl",
            "useradd",
            "groupadd",
            "usermod",
            "userdel",
        ] {
            machine.file(&format!("/usr/bin/{program}"), "");
        }
        machine.says("getconf GNU_LIBC_VERSION", 0, "glibc 2.35\n");
        machine.says("getent hosts control-01", 0, "10.0.0.5 control-01\n");
        machine.says("curl --version", 0, "curl 7.81.0 (x86_64-pc-linux-gnu)\n");
        machine.says("docker --version", 0, "Docker version 24.0.5, build ced0996\n");
        machine.says("docker version --format {{.Client.Version}}", 0, "24.0.5\n");
        machine.says("docker version --format {{.Server.Version}}", 0, "24.0.5\n");
        machine.says("docker compose version --short", 0, "2.20.2\n");
        machine.says("systemctl --version", 0, "systemd 249 (249.11-0ubuntu3)\n");
        machine.says("systemctl is-system-running", 0, "running\n");
        machine
    }

    /// With a process that holds a port: its number, its name, and the unit it runs in.
    pub(crate) fn held(self, port: u16, pid: u32, name: &str, unit: &str) -> Self {
        let row = format!(
            "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1"
        );
        self.file("/proc/net/tcp", &format!("  sl  local_address\n{row}\n"));
        let process = format!("/proc/{pid}");
        self.file(&format!("{process}/comm"), &format!("{name}\n"));
        self.file(
            &format!("{process}/cgroup"),
            &format!("0::/system.slice/{unit}\n"),
        );
        self.link(&format!("{process}/exe"), &format!("/usr/sbin/{name}"));
        self.link(&format!("{process}/fd/3"), "socket:[4711]");
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// A program that says this when it is started so.
    pub(crate) fn says(&mut self, line: &str, status: i32, stdout: &str) {
        let output = Output {
            status: Some(status),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        self.programs.insert(line.to_owned(), output);
    }

    /// Looks at it as `aami preflight --mode server --runtime RUNTIME` does.
    pub(crate) fn server(&self, runtime: Runtime, change: impl FnOnce(&mut Request)) -> Report {
        let mut request = Request {
            mode: Some(Mode::Server),
            runtime: Some(runtime),
            ..Request::new(Mode::Server)
        };
        change(&mut request);
        self.look(&request)
    }

    /// Looks at it.
    pub(crate) fn look(&self, request: &Request) -> Report {
        let now: Timestamp = NOW.parse().unwrap();
        let world = World {
            host: Host {
                root: self.root.path(),
                privileged: true,
                commands: self,
            },
            road: self,
            now,
        };
        let mut facts = Facts::gather(&world, request);
        // Its file systems are made up as well.
        for (path, place) in &mut facts.places {
            let mount = self
                .free
                .keys()
                .rev()
                .find(|mount| **mount == "/" || path.starts_with(**mount));
            let mount = *mount.unwrap();
            let is_tried = matches!(place.trial, Some(Trial::Ran | Trial::Written));
            assert!(is_tried, "{path}: {:?}", place.trial);
            let found = place.volume.take().unwrap();
            place.volume = Some(Volume {
                mount_point: mount.to_owned(),
                file_system: "ext4".to_owned(),
                total: 200 * GB,
                free: self.free[mount],
                inodes: Some(1_000_000),
                inodes_free: 900_000,
                ..found
            });
        }
        check(request, &facts)
    }
}

impl Commands for Machine {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, CommandError> {
        // The script that tries a folder is run as it is.
        if program.starts_with('/') {
            return aami_inventory::SystemCommands::default().run(program, arguments);
        }
        let line = std::iter::once(program)
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join(" ");
        if let Some(output) = self.programs.get(&line) {
            return Ok(output.clone());
        }
        // A unit that nobody made up is there and does what it should.
        if program == "systemctl" && arguments.first() == Some(&"show") {
            let names = arguments.iter().skip_while(|word| **word != "--").skip(1);
            let block = |name: &&str| {
                let (load, active) = match *name {
                    "systemd-timesyncd.service" | "docker.service" => ("loaded", "active"),
                    _ => ("not-found", "inactive"),
                };
                format!("Id={name}\nLoadState={load}\nActiveState={active}\nFragmentPath=\n")
            };
            return Ok(Output {
                status: Some(0),
                stdout: names.map(block).collect::<Vec<_>>().join("\n"),
                stderr: String::new(),
            });
        }
        Err(CommandError::NotInstalled(program.to_owned()))
    }
}

impl Road for Machine {
    fn look_up(&self, _: &str) -> Lookup {
        Lookup::Unknown
    }

    fn ask(&self, target: &Target) -> Seen {
        if let Some(fault) = self.away.get(target.key.as_str()) {
            return Seen::failed(*fault, "");
        }
        let now: Timestamp = NOW.parse().unwrap();
        Seen {
            status: Some(200),
            date: Some(Timestamp::from_millis(now.millis() - self.ahead * 1000)),
            at: Some(now),
            took: Duration::from_millis(20),
            ..Seen::default()
        }
    }
}
