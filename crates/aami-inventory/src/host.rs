//! Everything outside that this room looks at, as one value.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::command::Commands;

/// No file below `/proc` or `/sys` that is read here is longer; `/proc/cpuinfo` of a machine with a
/// thousand threads comes to about 1.5 MB.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;
/// Where a system's programs stand, in the order of a root shell's `PATH`.
const PROGRAM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// No folder that is listed here has more entries worth knowing.
const MOST_ENTRIES: usize = 4096;

/// A host to look at.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// What stands for `/`.
    pub root: &'a Path,
    /// Whether the reader is root. Serial numbers and the SMBIOS UUID are readable by root alone
    /// (kernel, `drivers/firmware/dmi-id.c`: mode 0400).
    pub privileged: bool,
    /// How programs are run.
    pub commands: &'a dyn Commands,
}

impl<'a> Host<'a> {
    /// The machine this runs on.
    pub fn this(commands: &'a dyn Commands) -> Self {
        Self {
            root: Path::new("/"),
            privileged: rustix::process::geteuid().is_root(),
            commands,
        }
    }

    /// Where an absolute path of the host is found.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without white space around it. `None` when it is absent, unreadable or empty:
    /// some drivers answer a read with EINVAL, and that says as much as no file.
    pub fn read(&self, path: &str) -> Option<String> {
        read_text(&self.path(path), LONGEST_FILE)
    }

    /// The same for a file that may be longer than those of `/proc` and `/sys`, up to `most` bytes.
    pub fn read_up_to(&self, path: &str, most: u64) -> Option<String> {
        read_text(&self.path(path), most)
    }

    /// Where a program stands among the folders programs are looked for in.
    pub fn program(&self, name: &str) -> Option<String> {
        PROGRAM_FOLDERS
            .into_iter()
            .map(|folder| format!("{folder}/{name}"))
            .find(|path| self.path(path).is_file())
    }

    /// The names in a folder, sorted; empty when there is no such folder.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .take(MOST_ENTRIES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Whether something is there, whatever it is.
    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// The last part of where a link points: the driver, the bus.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }
}

/// Reads a text file up to a limit; invalid UTF-8 is replaced, not refused.
fn read_text(path: &Path, most: u64) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}
