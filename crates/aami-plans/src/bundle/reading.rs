//! One pass over a bundle's entries: each is summed, and written where it is to be placed.
//!
//! A content that is not the one in the manifest does not end the pass, so that all of them are named at once. What
//! is written lies in a draft that nobody uses unless the verdict is good.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::archive::ended;
use super::manifest::{Entry, Manifest};
use super::{BundleError, Told};
use crate::components::Sha256Sum;

/// After this many faults the rest is not looked at.
const ENOUGH: usize = 20;
/// How much is read at once.
const BUFFER: usize = 128 * 1024;

/// A pass.
pub(super) struct Reading<'a> {
    bundle: PathBuf,
    into: Option<&'a Path>,
    told: Told<'a>,
    done: u64,
    all: u64,
    wrong: Vec<String>,
    buffer: Vec<u8>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(bundle: &Path, manifest: &Manifest, into: Option<&'a Path>, told: Told<'a>) -> Self {
        Self {
            bundle: bundle.to_owned(),
            into,
            told,
            done: 0,
            all: manifest.total(),
            wrong: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Reads one entry's content, as many bytes as the manifest says.
    pub(super) fn entry(&mut self, entry: &Entry, from: &mut dyn Read) -> Result<(), BundleError> {
        self.tell(entry)?;
        let mut out = match self.into {
            Some(root) => Some(create(root, &entry.path, entry.mode())?),
            None => None,
        };
        let mut sum = Sha256::new();
        let mut missing = entry.size;
        while missing > 0 {
            let most = usize::try_from(missing).unwrap_or(BUFFER).min(BUFFER);
            let n = match from.read(&mut self.buffer[..most]) {
                Ok(0) => {
                    let got = entry.size - missing;
                    let what = format!("{} ends after {got} of {} bytes", entry.path, entry.size);
                    return Err(self.broken(what));
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let got = entry.size - missing;
                    let what = format!(
                        "{} cannot be read after {got} of {} bytes: {}",
                        entry.path,
                        entry.size,
                        ended(&error)
                    );
                    return Err(self.broken(what));
                }
            };
            let bytes = &self.buffer[..n];
            sum.update(bytes);
            if let Some((file, path)) = &mut out {
                file.write_all(bytes).map_err(storage(path))?;
            }
            missing -= n as u64;
            self.done += n as u64;
            self.tell(entry)?;
        }
        let actual = Sha256Sum(sum.finalize().into());
        if actual != entry.sha256 {
            self.wrong(format!(
                "{} was changed: expected SHA-256 {}, got {actual}",
                entry.path, entry.sha256
            ));
        }
        if let Some((file, path)) = &mut out {
            file.sync_all().map_err(storage(path))?;
        }
        if self.wrong.len() >= ENOUGH {
            return Err(self.broken("and more".to_owned()));
        }
        Ok(())
    }

    fn tell(&mut self, entry: &Entry) -> Result<(), BundleError> {
        match (self.told)(entry, self.done, self.all) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(BundleError::CalledOff),
        }
    }

    /// Notes a fault after which the pass goes on.
    pub(super) fn wrong(&mut self, what: String) {
        if self.wrong.len() < ENOUGH {
            self.wrong.push(what);
        }
    }

    /// The end of the pass: this fault, with those before it.
    pub(super) fn broken(&mut self, what: String) -> BundleError {
        self.wrong.push(what);
        BundleError::Damaged {
            path: self.bundle.clone(),
            wrong: std::mem::take(&mut self.wrong),
        }
    }

    /// Good where nothing was wrong.
    pub(super) fn verdict(self) -> Result<(), BundleError> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(BundleError::Damaged {
            path: self.bundle,
            wrong: self.wrong,
        })
    }
}

fn storage(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Storage { path, source }
}

/// Makes a file below `root`, a folder that nobody else writes in, and that nothing of an archive's choosing has come
/// into: `path` has only the plain parts that a manifest may have.
fn create(root: &Path, path: &str, mode: u32) -> Result<(fs::File, PathBuf), BundleError> {
    let mut at = root.to_owned();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        if parts.peek().is_none() {
            break;
        }
        match fs::create_dir(&at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(storage(&at)(error)),
            _ => {}
        }
    }
    let file = OpenOptions::new()
        .write(true)
        // Follows no link and takes the place of nothing.
        .create_new(true)
        .mode(mode)
        .open(&at)
        .map_err(storage(&at))?;
    Ok((file, at))
}

/// Writes a small file below `root`.
pub(super) fn write(root: &Path, path: &str, mode: u32, bytes: &[u8]) -> Result<(), BundleError> {
    let (mut file, at) = create(root, path, mode)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(storage(&at))
}
