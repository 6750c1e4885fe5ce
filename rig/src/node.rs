//! Nodes: Debian with its own systemd, in a container that keeps nothing.
//!
//! [`Node::boot`] shares one read-only root file system per release and gives each node an overlay in memory, so
//! ten of them cost little and a test always starts from the same state. A node is stopped by its own process id,
//! and is gone when the test ends, however it ends.

mod exec;
pub(crate) mod picture;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::{Pid, Signal};

pub use exec::Ended;
pub use picture::Picture;

use crate::{Net, Process, Release, Root, keeper, net, wait_until};

/// What the names of our control groups begin with; then come the test's process id and the node's name.
const GROUP: &str = "aami-rig-";
/// From the start of the container to a systemd that says it is done.
const BOOT: Duration = Duration::from_secs(90);
/// From asking a node to shut down to killing it.
const SHUT_DOWN: Duration = Duration::from_secs(20);

/// How many nodes this process has booted.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    root: Root,
    address: Ipv4Addr,
    /// Seen from outside, the process ids of nspawn and of the node's init.
    nspawn: u32,
    init: u32,
    container: Process,
    propagate: PathBuf,
    _groups: ControlGroups,
}

/// How a node boots.
#[derive(Debug, Clone)]
pub struct Booting {
    root: Root,
    name: String,
    machine_id: Option<String>,
    hostname: Option<String>,
}

impl Booting {
    /// A node called `name`, with a machine-id of its own.
    pub fn new(root: impl Into<Root>, name: &str) -> Self {
        Self {
            root: root.into(),
            name: name.to_owned(),
            machine_id: None,
            hostname: None,
        }
    }

    /// With this machine-id (32 hexadecimal digits), as a machine cloned from another has.
    pub fn machine_id(mut self, id: &str) -> Self {
        self.machine_id = Some(id.to_owned());
        self
    }

    /// That calls itself something else than the network does.
    pub fn hostname(mut self, hostname: &str) -> Self {
        self.hostname = Some(hostname.to_owned());
        self
    }

    /// Boots it in `net` and waits until its systemd is done. Needs root.
    pub fn boot(self, net: &Net) -> Result<Node> {
        let address = net.claim(&self.name)?;
        let folder = net.folder(&self.name)?;
        let rootfs = self.root.rootfs()?;
        // Unique on the machine, where other tests boot nodes of the same name.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let machine = format!("{}-{}-{count}", self.name, std::process::id());
        let groups = ControlGroups::make(&machine)?;
        let hostname = self.hostname.clone().unwrap_or_else(|| self.name.clone());
        let container = Process::start(
            &self.name,
            self.command(net, &rootfs, &machine, &groups),
            &folder.join("console"),
        )?;
        let mut node = Node {
            name: self.name,
            root: self.root,
            address,
            nspawn: 0,
            init: 0,
            container,
            propagate: Path::new("/run/systemd/nspawn/propagate").join(&machine),
            _groups: groups,
        };
        node.wait_for_boot()
            .with_context(|| format!("console of {}:\n{}", node.name, node.console()))?;
        node.write("/etc/hostname", format!("{hostname}\n").as_bytes(), 0o644)?;
        // Nobody answers there, which is soon noticed: a lookup of a name that is not in hosts fails and does not hang.
        node.write(
            "/etc/resolv.conf",
            b"nameserver 10.77.0.254\noptions timeout:1 attempts:1\n",
            0o644,
        )?;
        node.write("/etc/hosts", net.hosts_file().as_bytes(), 0o644)?;
        Ok(node)
    }

    fn command(&self, net: &Net, rootfs: &Path, machine: &str, groups: &ControlGroups) -> Command {
        // One process up to unshare: each of these becomes the next. Its child is nspawn, the first process of a
        // process namespace; when that is killed, and it is when unshare is, the kernel ends the whole node. On
        // its own a killed nspawn leaves the node running.
        let mut command = net.command("sh");
        command.arg("-c").arg(groups.join_then_exec()).arg("sh");
        command
            .args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args([
                "systemd-nspawn",
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--boot",
                "--volatile=overlay",
                "--link-journal=no",
            ])
            .args(["--resolv-conf=off", "--timezone=off", "--console=pipe"])
            .arg(format!("--directory={}", rootfs.display()))
            .arg(format!("--machine={machine}"))
            .arg(format!(
                "--hostname={}",
                self.hostname.as_ref().unwrap_or(&self.name)
            ))
            .arg(format!("--network-bridge={}", net.bridge()));
        if let Some(id) = &self.machine_id {
            command.arg(format!("--uuid={id}"));
        }
        command
    }
}

impl Node {
    /// Boots a node with defaults; see [`Booting`].
    pub fn boot(net: &Net, root: impl Into<Root>, name: &str) -> Result<Self> {
        Booting::new(root, name).boot(net)
    }

    /// Its hostname.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it runs.
    pub const fn release(&self) -> Release {
        self.root.release()
    }

    /// Its address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// What its console said.
    pub fn console(&self) -> String {
        crate::process::tail(&self.container.log())
    }

    /// From now on packets to a port of this node vanish: no answer, no refusal.
    pub fn black_hole(&self, port: u16) -> Result<()> {
        net::black_hole(&|program| self.in_network(program), port)
    }

    /// Ends every black hole.
    pub fn answer_again(&self) -> Result<()> {
        net::answer_again(&|program| self.in_network(program))
    }

    /// Pulls the node's cable, or plugs it in again.
    pub fn connected(&self, connected: bool) -> Result<()> {
        net::set_connected(&|program| self.in_network(program), connected)
    }

    /// Shuts it down the way a person would; kills it when that takes too long.
    pub fn stop(mut self) -> Result<()> {
        self.container.check()?;
        let nspawn = pid(self.nspawn).context("nspawn never started")?;
        rustix::process::kill_process(nspawn, Signal::TERM)
            .with_context(|| format!("cannot ask {} to shut down", self.name))?;
        if self.container.wait(SHUT_DOWN).is_err() {
            self.container.kill()?;
        }
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(self) {
        drop(self);
    }

    fn wait_for_boot(&mut self) -> Result<()> {
        self.init = wait_until(BOOT, "the container starts its init", || {
            self.container.check()?;
            self.nspawn = only_child(self.container.pid())?;
            let init = only_child(self.nspawn)?;
            let program = std::fs::read_link(format!("/proc/{init}/exe")).context("init is not there yet")?;
            ensure!(
                program.ends_with(self.root.init()),
                "init is still {}",
                program.display()
            );
            Ok(init)
        })?;
        match self.root {
            Root::WithoutSystemd => self.wait_for_runlevel()?,
            Root::Of(_) | Root::Furnished => self.wait_for_systemd()?,
        }
        net::connect(&|program| self.in_network(program), self.address)
    }

    /// System V's init is done when it tells the level of several users, which it enters last.
    fn wait_for_runlevel(&mut self) -> Result<()> {
        let name = self.name.clone();
        wait_until(BOOT, &format!("init of {name} is done"), || {
            self.container.check()?;
            let ended = self.sh("runlevel; pidof cron")?;
            ensure!(
                ended.stdout.starts_with("N 2\n") && ended.code == 0,
                "{:?}",
                ended.said()
            );
            Ok(())
        })?;
        // systemd fills an empty one at boot.
        self.sh("rm /etc/machine-id && dbus-uuidgen --ensure=/etc/machine-id")?
            .ok()
            .map(drop)
    }

    fn wait_for_systemd(&mut self) -> Result<()> {
        let name = self.name.clone();
        let state = wait_until(BOOT, &format!("systemd of {name} is done"), || {
            self.container.check()?;
            let ended = self.sh("systemctl is-system-running")?;
            match ended.stdout.trim() {
                state @ ("running" | "degraded") => Ok(state.to_owned()),
                state => Err(anyhow!("{state:?} {}", ended.stderr.trim())),
            }
        })?;
        ensure!(
            state == "running",
            "units failed at boot:\n{}",
            self.sh("systemctl --failed --no-legend --plain; journalctl --no-pager -b | tail -n 60")?
                .stdout
        );
        Ok(())
    }

    /// A command that runs a program of this machine in the node's network.
    fn in_network(&self, program: &str) -> Command {
        let mut command = keeper::mortal("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.init))
            .arg("--")
            .arg(program);
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // nspawn first, so that unshare is there to collect it.
        if let Some(nspawn) = pid(self.nspawn)
            && self.container.check().is_ok()
        {
            let _ = rustix::process::kill_process(nspawn, Signal::KILL);
            let _ = self.container.wait(Duration::from_secs(5));
        }
        let _ = self.container.kill();
        // What nspawn leaves behind even in good times.
        let _ = std::fs::remove_dir_all(&self.propagate);
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

fn only_child(parent: u32) -> Result<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let child = children
        .split_whitespace()
        .next()
        .with_context(|| format!("process {parent} has no child yet"))?;
    child.parse().context("a process id that is none")
}

/// The control groups of one node, so that the systemd of one never sees the units of another.
///
/// Where the node's groups are not its own, two nodes write into the same `system.slice` of the machine.
#[derive(Debug)]
struct ControlGroups {
    folders: Vec<PathBuf>,
}

impl ControlGroups {
    fn make(name: &str) -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
        let mut folders = Vec::new();
        for mount in mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            let [_, place, kind, options, ..] = fields.as_slice() else {
                continue;
            };
            // Of the old hierarchies only the one that names units: the others only meter.
            let names_units = *kind == "cgroup" && options.split(',').any(|option| option == "name=systemd");
            if *kind == "cgroup2" || names_units {
                sweep(Path::new(place));
                let folder = Path::new(place).join(format!("{GROUP}{}-{name}", std::process::id()));
                std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
                folders.push(folder);
            }
        }
        Ok(Self { folders })
    }

    /// A shell script that moves itself into the groups and becomes the rest of its command line.
    fn join_then_exec(&self) -> String {
        let mut script = String::new();
        for folder in &self.folders {
            script.push_str(&format!("echo $$ > '{}/cgroup.procs' && ", folder.display()));
        }
        script + "exec \"$@\""
    }
}

impl Drop for ControlGroups {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The kernel lets go of a group shortly after its last process.
            let _ = wait_until(Duration::from_secs(5), "a control group is empty", || {
                remove_groups(folder)
            });
        }
    }
}

/// Removes the groups of tests that were killed, as far as nothing lives in them.
fn sweep(hierarchy: &Path) {
    let entries = std::fs::read_dir(hierarchy).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(GROUP).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = remove_groups(&entry.path());
        }
    }
}

fn remove_groups(folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path())?;
        }
    }
    std::fs::remove_dir(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
