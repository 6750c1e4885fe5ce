//! Writing a bundle: the same contents and key give the same bytes.
//!
//! Everything is summed first, since the manifest comes first; while it is packed it is summed again, so that a file
//! that changes in between spoils nothing. The file appears whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_model::Timestamp;
use sha2::{Digest as _, Sha256};

use super::form::{Form, Packer};
use super::manifest::{Entry, Kind, MANIFEST, Manifest, SIGNATURE};
use super::{BundleError, COMMENT, Told, tape};
use crate::components::Sha256Sum;
use crate::release::signer::Signer;

/// The operator's program.
pub const PROGRAM: &str = "aami";
/// The node's program.
pub const AGENT: &str = "aami-agent";
/// How much is read at once.
const BUFFER: usize = 128 * 1024;

/// One entry, and where its bytes are.
#[derive(Debug, Clone)]
pub struct Item {
    /// What the manifest will say.
    pub entry: Entry,
    from: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// What is known of an entry beside its bytes.
#[derive(Debug, Clone)]
pub struct About {
    /// Where it goes.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// As its maker counts.
    pub version: String,
    /// The processor it is for.
    pub arch: Option<Arch>,
    /// SPDX expression.
    pub license: String,
    /// Where it came from.
    pub source: String,
}

impl About {
    fn entry(self, size: u64, sha256: Sha256Sum) -> Entry {
        Entry {
            path: self.path,
            size,
            sha256,
            kind: self.kind,
            name: self.name,
            version: self.version,
            arch: self.arch,
            license: self.license,
            source: self.source,
        }
    }
}

impl Item {
    /// An entry with these bytes.
    pub fn bytes(about: About, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let sum = Sha256Sum(Sha256::digest(&bytes).into());
        Self {
            entry: about.entry(bytes.len() as u64, sum),
            from: Content::Bytes(bytes),
        }
    }

    /// An entry with the bytes of a file of this machine.
    pub fn file(about: About, path: &Path) -> Result<Self, BundleError> {
        let unreadable = |source| BundleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut sum = Sha256::new();
        let mut size = 0_u64;
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    sum.update(&buffer[..n]);
                    size += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(Self {
            entry: about.entry(size, Sha256Sum(sum.finalize().into())),
            from: Content::File(path.to_owned()),
        })
    }

    pub(super) fn open(&self) -> Result<Box<dyn Read + '_>, BundleError> {
        match &self.from {
            Content::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Content::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(BundleError::Unreadable {
                    path: path.clone(),
                    source,
                }),
            },
        }
    }

    /// Its bytes, where it is a text of our own.
    #[cfg(test)]
    pub(super) fn text(&self) -> Option<String> {
        match &self.from {
            Content::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            Content::File(_) => None,
        }
    }

    /// What it is called in an error.
    fn origin(&self) -> PathBuf {
        match &self.from {
            Content::File(path) => path.clone(),
            Content::Bytes(_) => PathBuf::from(&self.entry.path),
        }
    }
}

/// What a bundle is made of.
#[derive(Debug)]
pub struct Contents {
    manifest: Manifest,
    items: Vec<Item>,
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What is in it.
    pub manifest: Manifest,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's sum.
    pub sha256: Sha256Sum,
}

impl Contents {
    /// Everything that goes in. `created` is when it was made, where the same contents are to tell it.
    pub fn new(
        version: &str,
        created: Option<Timestamp>,
        architectures: BTreeSet<Arch>,
        mut items: Vec<Item>,
    ) -> Result<Self, BundleError> {
        items.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        let entries = items.iter().map(|item| item.entry.clone()).collect();
        let manifest = Manifest::of(version, created, architectures, entries).map_err(|why| {
            let entry = "this content".to_owned();
            BundleError::Unfit { entry, why }
        })?;
        Ok(Self { manifest, items })
    }

    /// What the manifest will say.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the bundle at `into`, in the place of what is there.
    pub fn write(
        self,
        into: &Path,
        form: Form,
        signer: Option<&Signer>,
        told: Told<'_>,
    ) -> Result<Made, BundleError> {
        let storage = |source| BundleError::Storage {
            path: into.to_owned(),
            source,
        };
        let parent = match into.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut draft = tempfile::Builder::new()
            .prefix(".aami-bundle-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(parent)
            .map_err(storage)?;
        let buffered = BufWriter::with_capacity(BUFFER, draft.as_file_mut());
        let mut packer = Packer::new(form, buffered).map_err(storage)?;
        self.pack(&mut packer, signer, storage, told)?;
        let mut buffered = packer.finish().map_err(storage)?;
        buffered.flush().map_err(storage)?;
        drop(buffered);
        draft.as_file().sync_all().map_err(storage)?;
        let size = draft.as_file().metadata().map_err(storage)?.len();
        let sha256 = crate::download::sum_of(draft.path()).map_err(storage)?;
        draft.persist(into).map_err(|error| storage(error.error))?;
        fs::File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(storage)?;
        Ok(Made {
            manifest: self.manifest,
            size,
            sha256,
        })
    }

    fn pack(
        &self,
        out: &mut dyn Write,
        signer: Option<&Signer>,
        storage: impl Fn(io::Error) -> BundleError,
        told: Told<'_>,
    ) -> Result<(), BundleError> {
        let time = self.manifest.time();
        let text = self.manifest.text().map_err(|error| BundleError::Unfit {
            entry: MANIFEST.to_owned(),
            why: error.to_string(),
        })?;
        let signature = signer.map(|signer| {
            let comment = format!("{COMMENT}{}", self.manifest.version);
            signer.sign(text.as_bytes(), &comment)
        });
        let head = [(MANIFEST, Some(&text)), (SIGNATURE, signature.as_ref())];
        for (name, text) in head {
            let Some(text) = text else { continue };
            let size = text.len() as u64;
            let write = |out: &mut dyn Write| -> io::Result<()> {
                out.write_all(&tape::header(name, size, 0o644, time)?)?;
                out.write_all(text.as_bytes())?;
                out.write_all(&[0; tape::BLOCK][..tape::padding(size)])
            };
            write(out).map_err(&storage)?;
        }
        let (mut done, all) = (0, self.manifest.total());
        for item in &self.items {
            self.pack_item(item, out, &storage, &mut |more| {
                done += more;
                match told(&item.entry, done, all) {
                    ControlFlow::Continue(()) => Ok(()),
                    ControlFlow::Break(()) => Err(BundleError::CalledOff),
                }
            })?;
        }
        out.write_all(&[0; tape::END]).map_err(&storage)
    }

    fn pack_item(
        &self,
        item: &Item,
        out: &mut dyn Write,
        storage: &impl Fn(io::Error) -> BundleError,
        told: &mut dyn FnMut(u64) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let entry = &item.entry;
        let header = tape::header(&entry.path, entry.size, entry.mode(), self.manifest.time());
        header
            .and_then(|header| out.write_all(&header))
            .map_err(storage)?;
        told(0)?;
        let changed = || BundleError::Changed(item.origin());
        let mut from = item.open()?;
        let mut sum = Sha256::new();
        let mut missing = entry.size;
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(BundleError::Unreadable {
                        path: item.origin(),
                        source,
                    });
                }
            };
            if n == 0 {
                break;
            }
            missing = missing.checked_sub(n as u64).ok_or_else(changed)?;
            sum.update(&buffer[..n]);
            out.write_all(&buffer[..n]).map_err(storage)?;
            told(n as u64)?;
        }
        if missing > 0 || Sha256Sum(sum.finalize().into()) != entry.sha256 {
            return Err(changed());
        }
        out.write_all(&[0; tape::BLOCK][..tape::padding(entry.size)])
            .map_err(storage)
    }
}
