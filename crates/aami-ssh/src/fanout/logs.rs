//! Where everything a host says goes, however much it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Gives each host something to write its log into.
pub trait Logs: Send + Sync {
    /// Opens the log of a host, when it says its first word. In: its name.
    fn open(&self, host: &str) -> io::Result<Box<dyn Write + Send>>;
}

/// A folder with a file `HOST.log` each, which only this user may read.
#[derive(Debug, Clone)]
pub struct LogFolder(PathBuf);

impl LogFolder {
    /// The folder, which is made if it is not there.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// The file of this host.
    pub fn path(&self, host: &str) -> PathBuf {
        // A name is no path, whatever is in it; two odd names may share a file, which is opened to append.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        let name: String = host
            .chars()
            .take(200)
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        self.0.join(format!("{name}.log"))
    }
}

impl Logs for LogFolder {
    fn open(&self, host: &str) -> io::Result<Box<dyn Write + Send>> {
        let file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(self.path(host))?;
        Ok(Box::new(file))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_name_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFolder::create(&folder.path().join("logs")).unwrap();
        for name in [
            "gpu1",
            "../../etc/passwd",
            "/etc/passwd",
            "..",
            "a\nb",
            "",
            &"x".repeat(5_000),
        ] {
            logs.open(name).unwrap().write_all(b"hello\n").unwrap();
        }
        let path = logs.path("gpu1");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let count = std::fs::read_dir(folder.path().join("logs")).unwrap().count();
        assert_eq!(count, 7);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFolder::create(folder.path()).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, logs.path("gpu1")).unwrap();
        assert!(logs.open("gpu1").is_err());
        assert!(!elsewhere.exists());
    }
}
