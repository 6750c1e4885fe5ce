//! A network that no other process sees: one bridge, and hosts with addresses of their own on it.
//!
//! Each is a network namespace held open by one sleeping process; when that ends, the kernel takes the namespace
//! away with everything in it. Nothing is left on the machine, not even after `kill -9` of the test.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{Process, keeper, tool, wait_until};

const BRIDGE: &str = "br0";
/// The bridge's own address, which is also everybody's default route. It leads nowhere.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
const PREFIX: u8 = 24;

/// A network with one bridge. Needs root.
#[derive(Debug)]
pub struct Net {
    holder: Namespace,
    folder: TempDir,
    next: AtomicU8,
    taps: AtomicU32,
    names: Mutex<BTreeMap<String, Ipv4Addr>>,
}

impl Net {
    /// Makes an empty network, 10.77.0.0/24, that leads nowhere else.
    pub fn new() -> Result<Self> {
        tool::need_root("a network of its own")?;
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-")
            .tempdir()
            .context("no temporary folder")?;
        let holder = Namespace::hold(&folder.path().join("bridge.log"))?;
        holder.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        holder.ip(&["addr", "add", &format!("{GATEWAY}/{PREFIX}"), "dev", BRIDGE])?;
        holder.ip(&["link", "set", BRIDGE, "up"])?;
        Ok(Self {
            holder,
            folder,
            next: AtomicU8::new(1),
            taps: AtomicU32::new(0),
            names: Mutex::default(),
        })
    }

    /// Adds a host: an address, ports and a loopback of its own, on this machine's file system.
    pub fn host(&self, name: &str) -> Result<Host> {
        let address = self.claim(name)?;
        let folder = self.folder(name)?;
        let inside = Namespace::hold(&folder.join("holder.log"))?;
        let peer = format!("h{}", address.octets()[3]);
        let holder_of_host = inside.holder.pid().to_string();
        self.holder.ip(&[
            "link",
            "add",
            &peer,
            "type",
            "veth",
            "peer",
            "name",
            "host0",
            "netns",
            &holder_of_host,
        ])?;
        self.holder.ip(&["link", "set", &peer, "master", BRIDGE, "up"])?;
        inside.connect(address)?;
        Ok(Host {
            name: name.to_owned(),
            address,
            inside,
            folder,
        })
    }

    /// The hosts and nodes by name, as lines of `/etc/hosts`.
    pub fn hosts_file(&self) -> String {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        let names = self
            .names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, address) in names.iter() {
            text.push_str(&format!("{address} {name}\n"));
        }
        text
    }

    /// Takes the next free address for `name`.
    pub(crate) fn claim(&self, name: &str) -> Result<Ipv4Addr> {
        let last = self.next.fetch_add(1, Ordering::Relaxed);
        ensure!(last < GATEWAY.octets()[3], "this network is full");
        let [a, b, c, _] = GATEWAY.octets();
        let address = Ipv4Addr::new(a, b, c, last);
        let mut names = self
            .names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if names.insert(name.to_owned(), address).is_some() {
            bail!("two hosts of one network are called {name}");
        }
        Ok(address)
    }

    /// A folder for what `name` writes on this machine; gone with the network.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Adds a cable for a machine's network card, and gives the name of our end. Gone with the network.
    pub(crate) fn tap(&self) -> Result<String> {
        let tap = format!("tap{}", self.taps.fetch_add(1, Ordering::Relaxed));
        self.holder.ip(&["tuntap", "add", "dev", &tap, "mode", "tap"])?;
        self.holder.ip(&["link", "set", &tap, "master", BRIDGE, "up"])?;
        Ok(tap)
    }

    /// A command that runs in the bridge's namespace.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.holder.command(program)
    }

    pub(crate) const fn bridge(&self) -> &'static str {
        BRIDGE
    }
}

/// A host of a [`Net`] to run servers and clients on.
#[derive(Debug)]
pub struct Host {
    name: String,
    address: Ipv4Addr,
    inside: Namespace,
    folder: PathBuf,
}

impl Host {
    /// Its name, which nodes booted later know.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A folder on this machine for what runs here; gone with the network.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that runs `program` of this machine on this host.
    pub fn command(&self, program: &str) -> Command {
        self.inside.command(program)
    }

    /// Runs some code of this process whose sockets are this host's: in a thread of its own, and in those it starts.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.inside.holder.pid());
        let namespace = std::fs::File::open(&path).with_context(|| format!("cannot open {path}"))?;
        std::thread::scope(|scope| {
            let entered = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .context("cannot enter a network namespace")
                .map(|()| work())
            });
            match entered.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts a program on this host, its output in its folder.
    pub fn start(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(name, command, &self.folder.join(format!("{name}.log")))
    }

    /// From now on packets to a port of this host vanish: no answer, no refusal.
    pub fn black_hole(&self, port: u16) -> Result<()> {
        self.inside.black_hole(port)
    }

    /// Ends every black hole.
    pub fn answer_again(&self) -> Result<()> {
        self.inside.answer_again()
    }

    /// Pulls the cable, or plugs it in again.
    pub fn connected(&self, connected: bool) -> Result<()> {
        self.inside.connected(connected)
    }
}

/// A network namespace and a process that holds or owns it.
#[derive(Debug)]
pub(crate) struct Namespace {
    holder: Process,
}

impl Namespace {
    /// Makes one, held by a sleeping process.
    fn hold(log: &Path) -> Result<Self> {
        let mut command = keeper::mortal("unshare");
        command.args(["--net", "--", "sleep", "infinity"]);
        let mut holder = Process::start("a network namespace", command, log)?;
        let ours = std::fs::read_link("/proc/self/ns/net").context("cannot read our own namespace")?;
        let theirs = PathBuf::from(format!("/proc/{}/ns/net", holder.pid()));
        wait_until(Duration::from_secs(10), "a network namespace is made", || {
            holder.check()?;
            ensure!(std::fs::read_link(&theirs)? != ours, "still in ours");
            Ok(())
        })?;
        let namespace = Self { holder };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = keeper::mortal("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.holder.pid()))
            .arg("--")
            .arg(program);
        command
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        tool::run(self.command("ip").args(arguments)).map(drop)
    }

    fn connect(&self, address: Ipv4Addr) -> Result<()> {
        connect(&|program| self.command(program), address)
    }

    fn black_hole(&self, port: u16) -> Result<()> {
        black_hole(&|program| self.command(program), port)
    }

    fn answer_again(&self) -> Result<()> {
        answer_again(&|program| self.command(program))
    }

    fn connected(&self, connected: bool) -> Result<()> {
        set_connected(&|program| self.command(program), connected)
    }
}

/// Makes the command for a program in some network namespace.
pub(crate) type Inside<'a> = &'a dyn Fn(&str) -> Command;

/// Gives `host0` its address and the route that leads nowhere.
pub(crate) fn connect(inside: Inside<'_>, address: Ipv4Addr) -> Result<()> {
    tool::run(inside("ip").args(["addr", "add", &format!("{address}/{PREFIX}"), "dev", "host0"]))?;
    set_connected(inside, true)
}

pub(crate) fn set_connected(inside: Inside<'_>, connected: bool) -> Result<()> {
    let state = if connected { "up" } else { "down" };
    tool::run(inside("ip").args(["link", "set", "host0", state]))?;
    if connected {
        // Routes go with the link.
        let gateway = GATEWAY.to_string();
        tool::run(inside("ip").args(["route", "replace", "default", "via", &gateway, "dev", "host0"]))?;
    }
    Ok(())
}

pub(crate) fn black_hole(inside: Inside<'_>, port: u16) -> Result<()> {
    let rules = [
        "add table inet rig".to_owned(),
        "add chain inet rig input { type filter hook input priority 0 ; }".to_owned(),
        format!("add rule inet rig input iifname != \"lo\" tcp dport {port} drop"),
    ];
    tool::run(inside("nft").arg(rules.join("; "))).map(drop)
}

pub(crate) fn answer_again(inside: Inside<'_>) -> Result<()> {
    tool::run(inside("nft").arg("add table inet rig; delete table inet rig")).map(drop)
}
