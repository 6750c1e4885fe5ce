//! Disks of machines.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};

use crate::tool;

/// A file that a machine sees as a disk.
#[derive(Debug, Clone)]
pub struct Disk {
    path: PathBuf,
    format: &'static str,
    is_read_only: bool,
}

impl Disk {
    /// A disk at `path` that begins with what `base` holds and keeps its own changes; `base` is only read.
    pub fn overlay(base: &Path, path: &Path) -> Result<Self> {
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]);
        tool::run(command.arg(base).arg(path))?;
        Ok(Self {
            path: path.to_owned(),
            format: "qcow2",
            is_read_only: false,
        })
    }

    /// An empty disk at `path` of this size.
    pub fn empty(path: &Path, mib: u64) -> Result<Self> {
        make(path, mib)?;
        Ok(Self {
            path: path.to_owned(),
            format: "raw",
            is_read_only: false,
        })
    }

    /// A disk at `path` with one ext4 file system that holds what `folder` does; the machine only reads it.
    pub fn of_folder(folder: &Path, path: &Path) -> Result<Self> {
        let used = tool::run(
            Command::new("du")
                .args(["--summarize", "--block-size=1M"])
                .arg(folder),
        )?;
        let used = used.split_whitespace().next().and_then(|mib| mib.parse().ok());
        let used: u64 = used.context("du does not say how large a folder is")?;
        file_system(folder, path, used + used / 4 + 32)?;
        Ok(Self {
            path: path.to_owned(),
            format: "raw",
            is_read_only: true,
        })
    }

    /// The same at `path`; one that is only read is shared.
    pub(super) fn copy(&self, path: &Path) -> Result<Self> {
        if self.is_read_only {
            return Ok(self.clone());
        }
        tool::run(
            Command::new("cp")
                .args(["--reflink=auto", "--sparse=always"])
                .arg(&self.path)
                .arg(path),
        )?;
        Ok(Self {
            path: path.to_owned(),
            ..self.clone()
        })
    }

    /// As arguments of QEMU.
    pub(super) fn arguments(&self, number: usize) -> Result<[String; 4]> {
        let (path, format) = (self.path.display(), self.format);
        let read_only = if self.is_read_only { ",readonly=on" } else { "" };
        // Either way the machine sees a disk with a volatile cache, and what it flushed outlives QEMU. Without
        // O_DIRECT (tmpfs refuses it) the file's pages stay with this machine's kernel, which we do not cut.
        let cache = if takes_direct_io(&self.path)? {
            "none"
        } else {
            "writeback"
        };
        Ok([
            "-drive".to_owned(),
            format!("if=none,id=disk{number},file={path},format={format},cache={cache}{read_only}"),
            "-device".to_owned(),
            format!("virtio-blk-pci,drive=disk{number}"),
        ])
    }
}

/// Makes an ext4 file system at `path` with what `folder` holds, owners included.
pub(super) fn file_system(folder: &Path, path: &Path, mib: u64) -> Result<()> {
    make(path, mib)?;
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-d"]).arg(folder).arg(path);
    tool::run(&mut command).map(drop)
}

/// A file of this size that takes no room yet.
fn make(path: &Path, mib: u64) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(mib * 1024 * 1024)
        .with_context(|| format!("cannot make {} {mib} MiB long", path.display()))
}

fn takes_direct_io(path: &Path) -> Result<bool> {
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECT, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::INVAL) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot open {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_disk_that_is_only_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = folder.path().join("content");
        std::fs::create_dir(&content).expect("a folder");
        std::fs::write(content.join("a"), "something").expect("a file");

        let image = folder.path().join("disk");
        let disk = Disk::of_folder(&content, &image).expect("a disk");

        let said = Command::new("debugfs")
            .args(["-R", "cat /a"])
            .arg(&image)
            .output()
            .expect("debugfs starts");
        assert_eq!(String::from_utf8_lossy(&said.stdout), "something");
        let arguments = disk.arguments(1).expect("arguments");
        assert!(arguments[1].contains("id=disk1,") && arguments[1].ends_with(",readonly=on"));
    }
}
