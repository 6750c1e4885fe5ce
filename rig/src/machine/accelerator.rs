//! What runs a machine's instructions: the processor itself where that works, else QEMU.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Image, QEMU, need_qemu};
use crate::process::tail;
use crate::{Process, Release, cache, keeper, wait_until};

/// What the first program of a Debian initramfs says: then firmware, kernel and programs run.
const ALIVE: &str = "Loading, please wait";
/// A machine that KVM runs says so within two seconds. One that hangs never does.
const PATIENCE: Duration = Duration::from_secs(15);

/// The arguments of QEMU that choose it. `/dev/kvm` may be there and abort QEMU or hang the machine, so a kernel is
/// booted with it first, once a boot of this machine.
pub(super) fn arguments() -> Result<[&'static str; 4]> {
    let qemu = need_qemu()?;
    if !Path::new("/dev/kvm").exists() {
        return Ok(EMULATED);
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let image = Image::of(Release::Bookworm)?;
    let recipe = format!("{qemu} {boot} {} {ACCELERATED:?}", image.kernel().display());
    let verdict = cache::entry("kvm", &recipe, |path| {
        let works = boots(&image)?;
        std::fs::write(path, if works { "works" } else { "does not work" }).context("cannot keep the verdict")
    })?;
    let works = std::fs::read_to_string(verdict)? == "works";
    Ok(if works { ACCELERATED } else { EMULATED })
}

const ACCELERATED: [&str; 4] = ["-accel", "kvm", "-cpu", "host"];
/// What `max` has more, page tables of five levels above all, makes everything take twice as long.
const EMULATED: [&str; 4] = ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"];

fn boots(image: &Image) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let mut command: Command = keeper::mortal(QEMU);
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-machine",
            "q35",
        ])
        .args(ACCELERATED)
        .args(["-m", "512", "-serial", "stdio", "-kernel"])
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.initrd())
        .args(["-append", "console=ttyS0 panic=-1"]);
    let mut qemu = Process::start("a machine under KVM", command, &folder.path().join("log"))?;
    let alive = wait_until(PATIENCE, "a machine under KVM is alive", || {
        qemu.check()?;
        ensure!(qemu.log().contains(ALIVE), "it says {:?}", tail(&qemu.log()));
        Ok(())
    });
    Ok(alive.is_ok())
}
