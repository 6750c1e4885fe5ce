//! A new line at the end of a file of known hosts.
//!
//! The file is appended to, as ssh itself does: its mode, its owner and a link to it stay what they are, and what
//! other programs append at the same time stays as well. The line is one write, under the file's lock.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use ring::hmac;
use rustix::fs::{FlockOperation, flock};

/// How long the lock of another program is waited for.
const LOCK: Duration = Duration::from_secs(10);

/// A file that is locked, to be appended to. The lock goes with it.
pub(super) struct Open {
    file: File,
}

/// Opens a file and takes its lock; makes it and its folder where they are missing.
pub(super) fn open(path: &Path) -> io::Result<Open> {
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let begun = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Open { file }),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if begun.elapsed() < LOCK => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another program holds its lock",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What became of a file that was appended to.
pub(super) struct Appended {
    pub(super) before: Metadata,
    pub(super) after: Metadata,
    /// How many bytes it took.
    pub(super) length: u64,
}

impl Open {
    /// Appends a line, which ends with a newline; also where the last one was cut off.
    pub(super) fn append(mut self, line: &str) -> io::Result<Appended> {
        let before = self.file.metadata()?;
        let mut text = String::new();
        if self.file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
            if last != *b"\n" {
                text.push('\n');
            }
        }
        text.push_str(line);
        self.file.write_all(text.as_bytes())?;
        Ok(Appended {
            before,
            after: self.file.metadata()?,
            length: text.len() as u64,
        })
    }
}

/// The line for a name and its key.
pub(super) fn line(name: &str, kind: &str, blob: &[u8], hash: bool) -> io::Result<String> {
    let name = if hash { hashed(name)? } else { name.to_owned() };
    Ok(format!("{name} {kind} {}\n", BASE64.encode(blob)))
}

fn hashed(name: &str) -> io::Result<String> {
    let mut salt = [0; 20];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    let hash = hmac::sign(&key, name.as_bytes());
    Ok(format!(
        "|1|{}|{}",
        BASE64.encode(&salt),
        BASE64.encode(hash.as_ref())
    ))
}
