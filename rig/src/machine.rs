//! Machines: QEMU with disks, a serial console, and network cards where a test wants some.
//!
//! [`Hardware`] says what a machine is made of and can be switched on again and again, on the same disks;
//! [`Machine`] is one that runs. [`Machine::cut`] takes its power away: what it had not flushed to a disk is lost,
//! as on a real one, and [`Hardware::left_by`] shows what a cut would leave while the machine runs on. [`Image`] is a
//! Debian to boot, [`Disk`] what goes into the machine.
//!
//! Without a network and before anybody logs in, commands run through a port of its own ([`Machine::sh`]), which
//! only [`Image`]s serve. A machine that boots from the network is looked at through its [console](Machine::console).

mod accelerator;
mod disk;
mod image;
mod lean;
mod plug;
mod shell;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

pub use disk::Disk;
pub use image::Image;
pub use plug::Plug;
pub use shell::Watched;

use crate::node::{Ended, Picture, picture};
use crate::{Net, Process, keeper, process, tool};
use shell::Shell;

/// From the power switch to a shell that answers. Emulated it takes half a minute, beside other tests two.
const BOOT: Duration = Duration::from_secs(360);
/// How long a command may take where the test names no limit.
const LIMIT: Duration = Duration::from_secs(240);
/// What everything is called on x86 machines.
const QEMU: &str = "qemu-system-x86_64";

/// What a machine is made of.
#[derive(Debug)]
pub struct Hardware {
    name: String,
    cpus: u8,
    memory_mib: u32,
    kernel: Option<Kernel>,
    disks: Vec<Disk>,
    more: Vec<String>,
    folder: TempDir,
}

/// A kernel that is started without a boot loader.
#[derive(Debug, Clone)]
struct Kernel {
    kernel: PathBuf,
    initrd: PathBuf,
    command_line: String,
}

impl Hardware {
    /// Two processors, 1.25 GiB of memory, no disk and nothing to boot. Its console and sockets lie in a folder that
    /// goes with it.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            cpus: 2,
            memory_mib: 1280,
            kernel: None,
            disks: Vec::new(),
            more: Vec::new(),
            folder: folder()?,
        })
    }

    /// With a fresh copy of an image as its first disk, and its kernel started directly.
    pub fn booting(mut self, image: &Image) -> Result<Self> {
        let disk = Disk::overlay(&image.disk(), &self.folder.path().join("root.qcow2"))?;
        self.kernel = Some(Kernel {
            kernel: image.kernel(),
            initrd: image.initrd(),
            // The console of the machine is its serial port; the rest saves time where processors are emulated.
            command_line:
                "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 panic=-1 mitigations=off nokaslr \
                           audit=0 apparmor=0 selinux=0"
                    .to_owned(),
        });
        Ok(self.disk(disk))
    }

    /// With one more disk: the first is `/dev/vda`.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// With so many processors. Where they are emulated, several machines of one are faster than one of several.
    pub fn cpus(mut self, cpus: u8) -> Self {
        self.cpus = cpus;
        self
    }

    /// With this much memory.
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// With further arguments of QEMU: a clock that is wrong, a firmware, another kind of disk.
    pub fn also(mut self, arguments: &[&str]) -> Self {
        self.more
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The same machine after a power cut at this moment: its disks hold what these would. The one that `plug` belongs
    /// to stands still while they are copied, and runs on.
    pub fn left_by(&self, plug: &Plug) -> Result<Self> {
        let folder = folder()?;
        let still = plug.hold()?;
        let copy = |(number, disk): (usize, &Disk)| disk.copy(&folder.path().join(format!("disk{number}")));
        let disks: Result<Vec<Disk>> = self.disks.iter().enumerate().map(copy).collect();
        drop(still);
        Ok(Self {
            name: self.name.clone(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            kernel: self.kernel.clone(),
            disks: disks?,
            more: self.more.clone(),
            folder,
        })
    }

    /// Switches it on. Returns at once: what it does then is seen on its console, and [`Machine::ready`] waits
    /// for an [`Image`].
    pub fn power_on(&self) -> Result<Machine> {
        self.start(keeper::mortal(QEMU))
    }

    /// As [`power_on`](Self::power_on), with a network card on `net`, of the address `mac`. Needs root.
    pub fn power_on_in(&self, net: &Net, mac: &str) -> Result<Machine> {
        let tap = net.tap()?;
        let mut command = net.command(QEMU);
        command
            .arg("-netdev")
            .arg(format!("tap,id=net0,ifname={tap},script=no,downscript=no"))
            .arg("-device")
            .arg(format!("virtio-net-pci,netdev=net0,mac={mac}"));
        self.start(command)
    }

    fn start(&self, mut command: std::process::Command) -> Result<Machine> {
        let (socket, console) = (self.folder.path().join("shell"), self.console());
        // Left behind by the last time.
        let _ = std::fs::remove_file(&socket);
        command
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-name", &self.name, "-machine", "q35"])
            .args(accelerator::arguments()?)
            .args(["-smp", &self.cpus.to_string()])
            .args(["-m", &self.memory_mib.to_string()])
            .arg("-chardev")
            .arg(format!("file,id=console,append=on,path={}", console.display()))
            .args(["-serial", "chardev:console", "-device", "virtio-serial-pci"])
            .arg("-chardev")
            .arg(format!(
                "socket,id=shell,server=on,wait=off,path={}",
                socket.display()
            ))
            .args([
                "-device",
                &format!("virtserialport,chardev=shell,name={}", shell::PORT),
            ]);
        if let Some(boot) = &self.kernel {
            command.arg("-kernel").arg(&boot.kernel);
            command.arg("-initrd").arg(&boot.initrd);
            command.args(["-append", &boot.command_line]);
        }
        for (number, disk) in self.disks.iter().enumerate() {
            command.args(disk.arguments(number)?);
        }
        command.args(&self.more);
        let log = self.folder.path().join("qemu.log");
        let process = Process::start(&self.name, command, &log)?;
        Ok(Machine {
            name: self.name.clone(),
            console,
            socket,
            process,
            shell: None,
        })
    }

    fn console(&self) -> PathBuf {
        self.folder.path().join("console")
    }
}

/// A machine that is switched on. Dropping it cuts its power.
#[derive(Debug)]
pub struct Machine {
    name: String,
    console: PathBuf,
    socket: PathBuf,
    process: Process,
    shell: Option<Shell>,
}

impl Machine {
    /// Waits until the system of an [`Image`] is up, with nothing left to start.
    pub fn ready(&mut self) -> Result<()> {
        let shell = Shell::open(&self.socket, BOOT, &mut self.process);
        let shell = shell.with_context(|| {
            let console = process::tail(&self.console());
            format!("{} does not boot; its console:\n{console}", self.name)
        })?;
        self.shell = Some(shell);
        let state = self.sh("systemctl is-system-running --wait")?;
        let failed = if state.code == 0 {
            String::new()
        } else {
            self.sh("systemctl list-units --failed --no-pager --no-legend")?
                .stdout
        };
        anyhow::ensure!(
            state.code == 0,
            "{} is {}: {failed}",
            self.name,
            state.stdout.trim_end()
        );
        Ok(())
    }

    /// Runs a shell script as root and waits for its end. However it ends is a value; an error means that it could
    /// not be run or took longer than four minutes.
    pub fn sh(&mut self, script: &str) -> Result<Ended> {
        self.sh_within(LIMIT, script)
    }

    /// As [`sh`](Self::sh), with another limit.
    pub fn sh_within(&mut self, limit: Duration, script: &str) -> Result<Ended> {
        match self.watch(limit, script, |_| false)? {
            Watched::Ended(ended) => Ok(ended),
            Watched::Seen => anyhow::bail!("nobody was looking"),
        }
    }

    /// Runs a shell script and shows `is_it` each line that it prints, as soon as it is printed, until one is it:
    /// then the script is left running, and the machine is good only for [`cut`](Self::cut).
    pub fn watch(
        &mut self,
        limit: Duration,
        script: &str,
        is_it: impl FnMut(&str) -> bool,
    ) -> Result<Watched> {
        let shell = self.shell.as_mut();
        let shell = shell.with_context(|| format!("{} is not ready, or busy", self.name))?;
        let watched = shell.watch(Instant::now() + limit, script, is_it, &mut self.process);
        if !matches!(watched, Ok(Watched::Ended(_))) {
            // What comes now belongs to that script.
            self.shell = None;
        }
        watched.with_context(|| format!("on {}: {script}", self.name))
    }

    /// Reads a file of the machine that is text.
    pub fn read(&mut self, path: &str) -> Result<String> {
        self.sh(&format!("cat -- '{path}'"))?
            .ok()
            .with_context(|| format!("on {}: {path}", self.name))
    }

    /// Takes a picture of its file systems, as of a [`Node`](crate::Node).
    pub fn picture(&mut self) -> Result<Picture> {
        picture::take(|script| self.sh(script), None)
    }

    /// What it wrote on its serial port since it was first switched on.
    pub fn console(&self) -> String {
        std::fs::read(&self.console).map_or_else(
            |error| format!("({}: {error})", self.console.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Its plug, to have at hand while it is [watched](Self::watch).
    pub fn plug(&self) -> Result<Plug> {
        Plug::of(self.process.pid()).with_context(|| self.name.clone())
    }

    /// Cuts its power. What it wrote and did not flush is lost, half-written blocks included; switch the same
    /// [`Hardware`] on again to see what is left.
    pub fn cut(mut self) -> Result<()> {
        self.process.kill().map(drop)
    }
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("aami-rig-machine-").tempdir()?)
}

/// Fails, saying what to install, where there is no QEMU.
fn need_qemu() -> Result<String> {
    let said = tool::run(std::process::Command::new(QEMU).arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
