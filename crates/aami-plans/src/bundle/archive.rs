//! A bundle that is a file: head first, then entry after entry, each as the manifest says or not at all.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::form::{End, Unpacked};
use super::manifest::{Entry, LARGEST_MANIFEST, MANIFEST, Manifest, SIGNATURE};
use super::reading::Reading;
use super::tape::{self, BLOCK, Block, Found};
use super::{BundleError, Head, not_a_bundle};

/// The largest signature, in bytes.
const LARGEST_SIGNATURE: u64 = 4096;
/// More than this many bytes for each byte of the file is no archive of programs. (Of text, gzip makes a hundredth at
/// best; a file of zeros is a thousandth.)
const LARGEST_RATIO: u64 = 200;
/// What any bundle may unpack to, however small.
const ALWAYS: u64 = 4 * 1024 * 1024;

/// A file that is being read.
pub(super) struct Archive {
    path: PathBuf,
    unpacked: Unpacked,
    /// Headers of the manifest and its signature, to be compared when the manifest is known.
    headers: Vec<Block>,
    /// A header that was read and is not the signature's.
    next: Option<Block>,
}

impl Archive {
    /// Opens a file and reads its head.
    pub(super) fn open(path: &Path) -> Result<(Self, Head), BundleError> {
        let unreadable = |source| BundleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            // Opening a pipe would wait for whoever writes it.
            .custom_flags(nonblocking)
            .open(path)
            .map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(not_a_bundle(path, "it is neither a file nor a folder".to_owned()));
        }
        let unpacked = Unpacked::open(file).map_err(unreadable)?;
        let unpacked =
            unpacked.ok_or_else(|| not_a_bundle(path, "it is neither zstd nor gzip".to_owned()))?;
        let mut archive = Self {
            path: path.to_owned(),
            unpacked,
            headers: Vec::new(),
            next: None,
        };
        let head = archive.head()?;
        Ok((archive, head))
    }

    fn head(&mut self) -> Result<Head, BundleError> {
        let broken = |path: &Path, why: &str| not_a_bundle(path, format!("its manifest {why}"));
        let path = self.path.clone();
        let cut = |error: io::Error| broken(&path, &format!("cannot be read: {error}"));
        let first = self.block().map_err(cut)?;
        let size = match tape::look(&first) {
            Found::File { path: name, size } if name == MANIFEST => size,
            _ => return Err(broken(&path, "is not what it begins with")),
        };
        if size > LARGEST_MANIFEST {
            return Err(broken(&path, "is larger than 1 MiB"));
        }
        let text = self.whole(size).map_err(cut)?;
        self.headers.push(first);
        let second = self.block().map_err(cut)?;
        let signature = match tape::look(&second) {
            Found::File { path: name, size } if name == SIGNATURE => {
                if size > LARGEST_SIGNATURE {
                    return Err(broken(&path, "has a signature that is longer than one"));
                }
                self.headers.push(second);
                Some(self.whole(size).map_err(cut)?)
            }
            _ => {
                self.next = Some(second);
                None
            }
        };
        Ok(Head { text, signature })
    }

    /// Compares the headers of the head with those that its manifest asks for.
    pub(super) fn is_headed_by(&self, head: &Head, manifest: &Manifest) -> Result<(), BundleError> {
        let texts = [(MANIFEST, Some(&head.text)), (SIGNATURE, head.signature.as_ref())];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
        for ((name, text), found) in texts.zip(&self.headers) {
            let expected = tape::header(name, text.len() as u64, 0o644, manifest.time());
            if expected.ok().as_ref() != Some(found) {
                return Err(BundleError::Damaged {
                    path: self.path.clone(),
                    wrong: vec![format!("{name}: what the archive says about it was changed")],
                });
            }
        }
        Ok(())
    }

    /// Fails where the manifest promises more than a file of this length can be.
    pub(super) fn can_hold(&self, manifest: &Manifest) -> Result<(), BundleError> {
        let most = self.unpacked.length.saturating_mul(LARGEST_RATIO).max(ALWAYS);
        if manifest.total() <= most {
            return Ok(());
        }
        Err(BundleError::Refused {
            path: self.path.clone(),
            entry: "all of it".to_owned(),
            why: format!(
                "{} bytes would become {}, more than {LARGEST_RATIO} times as many",
                self.unpacked.length,
                manifest.total()
            ),
        })
    }

    /// Reads everything behind the head.
    pub(super) fn read(mut self, manifest: &Manifest, reading: &mut Reading<'_>) -> Result<(), BundleError> {
        for (number, entry) in manifest.entries.iter().enumerate() {
            let header = match self.next.take() {
                Some(header) => header,
                None => self.block().map_err(|error| {
                    reading.broken(format!("{} is missing: {}", entry.path, ended(&error)))
                })?,
            };
            let expected = tape::header(&entry.path, entry.size, entry.mode(), manifest.time());
            if expected.ok() != Some(header) {
                return Err(self.surprise(&header, entry, &manifest.entries[..number], manifest, reading));
            }
            reading.entry(entry, &mut self.unpacked)?;
            let mut padding = [0; BLOCK];
            let padding = &mut padding[..tape::padding(entry.size)];
            self.unpacked.read_exact(padding).map_err(|error| {
                reading.broken(format!(
                    "{}: the file ends behind it: {}",
                    entry.path,
                    ended(&error)
                ))
            })?;
            if padding.iter().any(|byte| *byte != 0) {
                reading.wrong(format!("{}: the bytes behind it were changed", entry.path));
            }
        }
        self.end(reading)
    }

    /// Two empty blocks, and then nothing.
    fn end(mut self, reading: &mut Reading<'_>) -> Result<(), BundleError> {
        for _ in 0..tape::END / BLOCK {
            let header = match self.next.take() {
                Some(header) => header,
                None => self
                    .block()
                    .map_err(|error| reading.broken(format!("its end is missing: {}", ended(&error))))?,
            };
            match tape::look(&header) {
                Found::End => {}
                Found::File { path, .. } => return Err(self.refused(&path, "it is not in the manifest")),
                Found::Refused { path, why } => return Err(self.refused(&path, &why)),
                Found::Broken => {
                    return Err(reading.broken("its end was changed".to_owned()));
                }
            }
        }
        let mut more = [0; 1];
        match self.unpacked.read(&mut more) {
            Ok(0) => {}
            Ok(_) => {
                return Err(reading.broken("something stands in the archive after its end".to_owned()));
            }
            Err(error) => return Err(reading.broken(format!("its end is broken: {error}"))),
        }
        self.unpacked.end().map_err(|end| match end {
            End::Trailing(bytes) => reading.broken(format!("{bytes} bytes stand after its end")),
            End::Unsealed {
                expected: Some(expected),
                actual,
            } => reading.broken(format!(
                "the file was changed outside of what it holds: expected SHA-256 {expected}, got {actual}"
            )),
            End::Unsealed { expected: None, .. } => {
                reading.broken("the seal at its end was changed, or is missing".to_owned())
            }
            End::Unreadable(source) => BundleError::Unreadable {
                path: self.path.clone(),
                source,
            },
        })
    }

    /// What is said about a header that is not the one of the entry that comes next.
    fn surprise(
        &self,
        header: &Block,
        entry: &Entry,
        before: &[Entry],
        manifest: &Manifest,
        reading: &mut Reading<'_>,
    ) -> BundleError {
        let Entry {
            path: wanted, size, ..
        } = entry;
        match tape::look(header) {
            Found::End => reading.broken(format!("{wanted} is missing: the archive ends before it")),
            Found::Broken => reading.broken(format!("{wanted}: what the archive says about it was changed")),
            Found::Refused { path, why } => self.refused(&path, &why),
            Found::File { path, .. } if before.iter().any(|entry| entry.path == path) => {
                self.refused(&path, "it stands in the archive twice")
            }
            Found::File { path, .. }
                if path != *wanted && manifest.entries.iter().any(|e| e.path == path) =>
            {
                reading.broken(format!("{wanted} is missing: {path} stands in its place"))
            }
            Found::File { path, .. } if path != *wanted => self.refused(&path, "it is not in the manifest"),
            Found::File { size: found, .. } if found != *size => reading.broken(format!(
                "{wanted}: expected {size} bytes, the archive says {found}"
            )),
            Found::File { .. } => {
                reading.broken(format!("{wanted}: what the archive says about it was changed"))
            }
        }
    }

    fn refused(&self, entry: &str, why: &str) -> BundleError {
        BundleError::Refused {
            path: self.path.clone(),
            entry: tape::shown(entry.as_bytes()),
            why: why.to_owned(),
        }
    }

    fn block(&mut self) -> io::Result<Block> {
        let mut block = [0; BLOCK];
        self.unpacked.read_exact(&mut block)?;
        Ok(block)
    }

    /// A small content with what fills its last block, which holds nothing.
    fn whole(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let all = size + tape::padding(size) as u64;
        let mut bytes = Vec::new();
        (&mut self.unpacked).take(all).read_to_end(&mut bytes)?;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        if (bytes.len() as u64) < all {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes[length..].iter().any(|byte| *byte != 0) {
            return Err(io::Error::other("the bytes behind it were changed"));
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// How a stream ended that should have gone on.
pub(super) fn ended(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "the file ends early".to_owned()
    } else {
        error.to_string()
    }
}
