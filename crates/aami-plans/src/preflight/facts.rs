//! Everything that is looked at, before anything is judged.
//!
//! [`Facts::gather`] looks; the checks only read what it found. So every check can be tested on facts that
//! were written down, and a machine is looked at once whatever is asked of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;

use aami_install::Holder;
use aami_inventory::account::{self, Obstacle};
use aami_inventory::confine::{self, ClockKeeper, Confinement};
use aami_inventory::distribution::{self, Distribution};
use aami_inventory::docker::{self, Engine};
use aami_inventory::driver::{self, Nvidia};
use aami_inventory::firewall::{self, Firewall};
use aami_inventory::foreign::{self, Foreign};
use aami_inventory::gpu::{self, Gpus, Vendor};
use aami_inventory::infiniband::{self, Port as FabricPort};
use aami_inventory::init::{self, Init, Unit};
use aami_inventory::listener::{self, Listener};
use aami_inventory::package::{self, Packages};
use aami_inventory::system::{self, System};
use aami_inventory::volume::{self, Volume};
use aami_inventory::{Host, disk, name};
use aami_model::Timestamp;
use aami_model::hostname::Hostname;

use super::needs::{self, Vendors};
use super::request::{Choice, Hints, Mode, Request, Runtime};
use super::road::{Lookup, Road, Seen, Target};
use super::trial::{Trial, try_folder};

/// Where a lock of the installer lies.
const INSTALL_LOCK: &str = "/run/aami/install.lock";
/// A name that RFC 6761 reserves for names that do not exist.
const NOWHERE: &str = "aami-preflight-7f3a9c.invalid";
/// Programs that are only looked for, because people ask about them.
const OPTIONAL: [&str; 3] = ["jq", "promtool", "wget"];

/// What the outside world is to a preflight.
pub struct World<'a> {
    /// The machine.
    pub host: Host<'a>,
    /// The way to other machines.
    pub road: &'a dyn Road,
    /// What its clock says.
    pub now: Timestamp,
}

/// A folder that will be written.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceFacts {
    /// The mount it is on.
    pub volume: Option<Volume>,
    /// What came of trying it; `None` where it was not tried.
    pub trial: Option<Trial>,
    /// Its permission bits, where it is there.
    pub mode: Option<u32>,
}

/// What the machine calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameFacts {
    /// As the kernel has it.
    pub text: String,
    /// Why it is no host name.
    pub problem: Option<String>,
    /// Whether the machine can look it up; `None` where it has no way of asking.
    pub is_known: Option<bool>,
}

/// What is known of rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Whether this process is root.
    pub root: bool,
    /// Whether sudo is installed.
    pub has_sudo: bool,
    /// Whether sudo works without a password.
    pub sudo_works: bool,
    /// A group of the user that usually may use sudo.
    pub sudo_group: Option<String>,
    /// Who will use Docker: the user behind sudo, or the one who asks.
    pub user: Option<String>,
    /// Whether that user is in the group docker; `None` where there is no such group.
    pub in_docker: Option<bool>,
}

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// For what.
    pub choice: Choice,
    /// Operating system.
    pub system: System,
    /// Which Linux.
    pub distribution: Distribution,
    /// The service manager.
    pub init: Init,
    /// Processors online.
    pub cores: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// What holds processes back.
    pub confinement: Confinement,
    /// What keeps the clock right.
    pub clock: ClockKeeper,
    /// Its name.
    pub name: NameFacts,
    /// `/etc/machine-id` as it stands.
    pub machine_id: Option<String>,
    /// The copy D-Bus keeps, where it is a file of its own.
    pub dbus_id: Option<String>,
    /// The folders that will be written, by path.
    pub places: BTreeMap<String, PlaceFacts>,
    /// Programs, by name, and where they stand.
    pub programs: BTreeMap<&'static str, Option<String>>,
    /// The version of curl.
    pub curl: Option<String>,
    /// Docker, where it matters.
    pub engine: Option<Engine>,
    /// Whether Docker's own unit has a proxy; `None` where that does not matter.
    pub engine_has_proxy: Option<bool>,
    /// The package manager.
    pub packages: Packages,
    /// What keeps users and groups from being changed.
    pub obstacles: Vec<Obstacle>,
    /// Monitoring of somebody else's.
    pub foreign: Vec<Foreign>,
    /// Units of ours, and those ours need.
    pub units: Vec<Unit>,
    /// Who listens on the ports that are needed.
    pub listeners: Vec<Listener>,
    /// A firewall at work.
    pub firewall: Option<Firewall>,
    /// Rights.
    pub rights: Rights,
    /// Another installer at work.
    pub installer: Option<Holder>,
    /// NVIDIA's driver.
    pub nvidia: Nvidia,
    /// GPUs, by their bus and their tools.
    pub gpus: Gpus,
    /// Whether there is a GPU.
    pub has_gpu: bool,
    /// InfiniBand ports.
    pub fabric: Vec<FabricPort>,
    /// How many NVMe disks there are.
    pub nvme: usize,
    /// The hosts that were asked, each with how that came out.
    pub hosts: Vec<(Target, Seen)>,
    /// Addresses of a name that does not exist; `None` where no name server was needed.
    pub nowhere: Option<Lookup>,
}

impl Facts {
    /// Looks at everything that matters for `request`. Takes as long as the slowest host or tool.
    pub fn gather(world: &World<'_>, request: &Request) -> Self {
        Self::gather_with(world, request, None)
    }

    /// The same where the GPUs are known already.
    pub fn gather_with(world: &World<'_>, request: &Request, gpus: Option<Gpus>) -> Self {
        let host = &world.host;
        let nvidia = driver::nvidia(host);
        let system = system::system(host);
        let gpus = gpus.unwrap_or_else(|| gpu::gpus(host, system.container.is_some()));
        let has_gpu = !gpus.gpus.is_empty();
        let choice = Choice::of(
            request,
            Hints {
                has_gpu,
                is_server: host.exists("/etc/aami/server-install.json")
                    || host.exists("/var/lib/aami/admin.key"),
                is_node: host.exists("/var/lib/aami/agent/registration.json"),
                has_systemd: host.exists("/run/systemd/system"),
            },
        );
        let targets = needs::targets(request, &choice);
        let hosts_file = host.read("/etc/hosts").unwrap_or_default();
        let road = world.road;
        let local = move |facts: &mut Self| facts.look_locally(world, request);
        std::thread::scope(|scope| {
            let asked: Vec<_> = targets
                .iter()
                .map(|target| scope.spawn(move || road.ask(target)))
                .collect();
            let needs_names = targets
                .iter()
                .filter_map(Target::first_name)
                .any(|name| asks_dns(&name, &hosts_file));
            let nowhere = needs_names.then(|| scope.spawn(move || road.look_up(NOWHERE)));
            let mut facts = Self {
                now: world.now,
                distribution: distribution::distribution(host),
                cores: system::cpu(host).cores,
                memory: system::memory_bytes(host),
                init: init::init(host),
                confinement: confine::confinement(host),
                clock: confine::clock_keeper(host),
                name: name_facts(host),
                machine_id: host.read("/etc/machine-id"),
                dbus_id: dbus_id(host),
                places: BTreeMap::new(),
                programs: BTreeMap::new(),
                curl: None,
                engine: None,
                engine_has_proxy: None,
                packages: package::packages(host),
                obstacles: account::obstacles(host),
                foreign: foreign::foreign(host),
                units: init::stand(host, needs::units(&choice)),
                listeners: Vec::new(),
                firewall: None,
                rights: rights(host, request),
                installer: installer(host, request),
                fabric: infiniband::ports(host),
                nvme: disk::disks(host)
                    .iter()
                    .filter(|disk| disk.name.starts_with("nvme"))
                    .count(),
                hosts: Vec::new(),
                nowhere: None,
                choice: choice.clone(),
                system,
                nvidia,
                gpus,
                has_gpu,
            };
            local(&mut facts);
            let seen = asked.into_iter().map(|one| one.join().unwrap_or_default());
            facts.hosts = targets.iter().cloned().zip(seen).collect();
            facts.nowhere = nowhere.map(|one| one.join().unwrap_or(Lookup::Silent));
            facts
        })
    }

    /// What follows from the choice, on this machine alone.
    fn look_locally(&mut self, world: &World<'_>, request: &Request) {
        let host = &world.host;
        for place in needs::places(request, &self.choice) {
            let volume = volume::volume(host, &place.path);
            let existing = volume
                .as_ref()
                .filter(|volume| !volume.read_only && volume.blocked_by.is_none());
            // Without root a refusal says nothing about the machine.
            let trial = existing
                .filter(|_| host.privileged && request.try_folders)
                .map(|volume| try_folder(host, &volume.existing, place.programs));
            let mode = std::fs::metadata(host.path(&place.path)).ok();
            let mode = mode.map(|meta| meta.permissions().mode() & 0o7777);
            self.places.insert(place.path, PlaceFacts { volume, trial, mode });
        }
        for program in needs::programs(&self.choice) {
            self.programs.insert(program.name, host.program(program.name));
        }
        for name in OPTIONAL {
            self.programs.insert(name, host.program(name));
        }
        if host.program("curl").is_some() {
            let output = host.commands.run("curl", &["--version"]);
            self.curl = output.ok().and_then(|output| docker::version_in(&output.stdout));
        }
        if self.choice.runtime == Runtime::Compose {
            self.engine = Some(docker::docker(host));
            let has_proxy = request.proxies.https.is_some() || request.proxies.http.is_some();
            self.engine_has_proxy = has_proxy.then(|| engine_has_proxy(host));
        }
        let ports = needs::ports(request, &self.choice, self.vendors());
        let wanted: Vec<u16> = ports
            .iter()
            .filter(|port| port.skipped.is_none())
            .map(|port| port.port)
            .collect();
        self.listeners = listener::listeners_on(host, &wanted);
        if !request.skip_firewall && host.privileged {
            let public: Vec<u16> = ports
                .iter()
                .filter(|port| port.public && port.skipped.is_none())
                .map(|port| port.port)
                .collect();
            self.firewall = firewall::firewall(host, &public);
        }
    }

    /// Whose GPUs there are.
    pub fn vendors(&self) -> Vendors {
        let has = |vendor| self.gpus.gpus.iter().any(|gpu| gpu.vendor == vendor);
        Vendors {
            nvidia: has(Vendor::Nvidia) || !self.nvidia.gpus.is_empty(),
            other: has(Vendor::Amd) || has(Vendor::Intel),
        }
    }

    /// Whether it is about a node.
    pub fn is_node(&self) -> bool {
        self.choice.mode == Mode::Node
    }
}

/// Whether looking this name up asks a name server.
fn asks_dns(name: &str, hosts_file: &str) -> bool {
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let is_listed = hosts_file
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .any(|line| {
            line.split_whitespace()
                .skip(1)
                .any(|word| word.eq_ignore_ascii_case(name))
        });
    !is_address && !is_listed && name != "localhost"
}

fn name_facts(host: &Host<'_>) -> NameFacts {
    let text = host
        .read("/proc/sys/kernel/hostname")
        .filter(|name| name != "(none)")
        .unwrap_or_default();
    let problem = match name::hostname(host) {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let is_known = problem
        .is_none()
        .then(|| host.commands.run("getent", &["hosts", &text]).ok())
        .flatten()
        .map(|output| output.status == Some(0));
    let text = text.chars().filter(|c| !c.is_control()).take(80).collect();
    NameFacts {
        text,
        problem,
        is_known,
    }
}

impl NameFacts {
    /// Whether it is one that many machines have.
    pub fn is_generic(&self) -> bool {
        self.text
            .parse::<Hostname>()
            .is_ok_and(|parsed| name::is_generic(&parsed))
    }
}

/// D-Bus' copy, where it is no link to the other.
fn dbus_id(host: &Host<'_>) -> Option<String> {
    const PATH: &str = "/var/lib/dbus/machine-id";
    host.link_name(PATH).is_none().then(|| host.read(PATH)).flatten()
}

fn rights(host: &Host<'_>, request: &Request) -> Rights {
    let user = request.user.clone().filter(|name| name != "root");
    let is_in = |group: &str| user.as_ref().and_then(|user| account::is_in(host, user, group));
    let has_sudo = host.program("sudo").is_some();
    let groups = ["sudo", "wheel", "admin", "google-sudoers"];
    Rights {
        root: host.privileged,
        has_sudo,
        sudo_works: !host.privileged
            && has_sudo
            && host
                .commands
                // With -k it neither uses nor leaves a remembered password.
                .run("sudo", &["-n", "-k", "true"])
                .is_ok_and(|output| output.status == Some(0)),
        sudo_group: groups
            .into_iter()
            .find(|group| is_in(group) == Some(true))
            .map(str::to_owned),
        in_docker: is_in("docker"),
        user,
    }
}

/// Another installer that holds the lock: the kernel's, which ends with its process.
fn installer(host: &Host<'_>, request: &Request) -> Option<Holder> {
    if request.installing {
        return None;
    }
    let file = File::open(host.path(INSTALL_LOCK)).ok()?;
    let is_held = matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock));
    is_held
        .then(|| serde_json::from_str(&host.read(INSTALL_LOCK)?).ok())
        .flatten()
}

/// Whether Docker's daemon has a proxy for https, by which registries are asked: by what it says itself, else by what its
/// unit gives it.
fn engine_has_proxy(host: &Host<'_>) -> bool {
    let says = host
        .commands
        .run("docker", &["info", "--format", "{{.HTTPSProxy}}"]);
    if let Ok(output) = says
        && output.status == Some(0)
    {
        return !output.stdout.trim().is_empty();
    }
    let shown = host.commands.run(
        "systemctl",
        &["show", "--property=Environment", "--", "docker.service"],
    );
    let in_unit = shown.is_ok_and(|output| output.stdout.to_ascii_lowercase().contains("https_proxy="));
    let in_daemon = host
        .read("/etc/docker/daemon.json")
        .is_some_and(|text| text.contains("https-proxy"));
    in_unit || in_daemon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_known_without_asking_need_no_name_server() {
        let hosts = "127.0.0.1 localhost\n10.77.0.1 control control.lab # the server\n";
        for name in ["10.0.0.1", "2001:db8::1", "control", "CONTROL.lab", "localhost"] {
            assert!(!asks_dns(name, hosts), "{name}");
        }
        for name in ["server", "github.com", "the"] {
            assert!(asks_dns(name, hosts), "{name}");
        }
    }
}
