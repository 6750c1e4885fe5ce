//! A disk that is soon full. Also taken into the tests of the control plane.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory. Root may mount one.
pub(crate) struct Disk {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Disk {
    pub(crate) fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().to_owned();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            let told = format!("a file system of its own cannot be mounted: {mounted:?}");
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{told}");
            println!("SKIPPED: {told}");
            return None;
        }
        Some(Self {
            folder: Some(folder),
            path,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a store that is still open must not keep the mount for ever.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
        drop(self.folder.take());
    }
}
