//! Offline bundles: everything a site without internet installs from, in one file.
//!
//! A bundle is a tar archive under zstd or gzip. Its first entry is the [`Manifest`], which names every other entry
//! with size and SHA-256; the second is the manifest's signature; then come the entries in the manifest's order. The
//! same archive unpacked into a folder is a bundle as well.
//!
//! [`Bundle::open`] reads and judges the manifest and nothing else. [`Bundle::verify`] reads all of it,
//! [`Bundle::place`] does the same while it writes a folder that appears whole or not at all. Nothing of a bundle is
//! believed before: an entry has to be, to the byte, the one that the manifest says comes next, so there is no path,
//! link, size or order of the archive's own choosing. [`create`] makes bundles, [`gather`] says what goes in.
//!
//! ```text
//! manifest.json, manifest.json.minisig
//! ARCH/aami, ARCH/aami-agent            the programs, static
//! components/components.toml            the catalogue of what lies beside it
//! components/ARCH/FILE                  as publishers pack them
//! dashboards/*.json, rules/*.yaml, install.sh
//! ```

mod archive;
pub mod create;
mod error;
mod folder;
mod form;
pub mod gather;
mod manifest;
mod reading;
mod script;
mod tape;
#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aami_inventory::Arch;

pub use error::BundleError;
pub use form::Form;
pub use manifest::{Entry, Kind, MANIFEST, Manifest, SIGNATURE};

use crate::release::PublicKey;
use archive::Archive;
use reading::Reading;

/// What the signed comment says before the version. A release's says another word, so that neither signature can
/// stand for the other.
const COMMENT: &str = "aami-bundle ";

/// Told before each entry and as its bytes pass: the entry, the bytes done of all entries, the bytes of all. Whoever
/// answers [`ControlFlow::Break`] calls it off.
pub type Told<'a> = &'a mut dyn FnMut(&Entry, u64, u64) -> ControlFlow<()>;

/// Whose signature is believed.
#[derive(Clone)]
pub enum Trust {
    /// The manifest has to be signed by one of these.
    Signed(Vec<PublicKey>),
    /// No signature is asked for: damage is still found, a bundle that somebody else made is not.
    Unsigned,
}

/// A bundle whose manifest was judged.
pub struct Bundle {
    path: PathBuf,
    manifest: Manifest,
    head: Head,
    source: Source,
    is_signed: bool,
}

/// The manifest as it was signed, and its signature.
struct Head {
    text: Vec<u8>,
    signature: Option<Vec<u8>>,
}

enum Source {
    Archive(Box<Archive>),
    Folder,
}

/// What a look at a bundle's head shows; nothing of it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it says is in it.
    pub manifest: Manifest,
    /// Whether a signature is there.
    pub has_signature: bool,
}

/// A bundle in a folder of this machine, as it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    root: PathBuf,
    manifest: Manifest,
}

/// Reads the manifest of a bundle, and judges neither it nor anything behind it.
pub fn inspect(path: &Path) -> Result<Inspected, BundleError> {
    let (head, source) = head(path)?;
    let manifest = Manifest::read(&head.text).map_err(|why| not_a_bundle(path, why))?;
    if let Source::Archive(archive) = &source {
        archive.is_headed_by(&head, &manifest)?;
    }
    Ok(Inspected {
        has_signature: head.signature.is_some(),
        manifest,
    })
}

impl Bundle {
    /// Reads the head of a bundle, a file or a folder, and judges it: the signature first, then what it signs.
    pub fn open(path: &Path, trust: &Trust) -> Result<Self, BundleError> {
        let (head, source) = head(path)?;
        let comment = match trust {
            Trust::Unsigned => None,
            Trust::Signed(keys) => Some(judge(path, &head, keys)?),
        };
        let manifest = Manifest::read(&head.text).map_err(|why| not_a_bundle(path, why))?;
        if let Some(comment) = &comment
            && *comment != format!("{COMMENT}{}", manifest.version)
        {
            return Err(BundleError::Signature {
                path: path.to_owned(),
                why: "it is the signature of something else than this bundle",
            });
        }
        if let Source::Archive(archive) = &source {
            archive.is_headed_by(&head, &manifest)?;
            archive.can_hold(&manifest)?;
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
            head,
            source,
            is_signed: comment.is_some(),
        })
    }

    /// What is in it.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether a signature was asked for and holds.
    pub const fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// Fails where it has nothing for a processor, and says for which it has.
    pub fn holds(&self, arch: Arch) -> Result<(), BundleError> {
        if self.manifest.architectures.contains(&arch) {
            return Ok(());
        }
        Err(BundleError::OtherArch {
            path: self.path.clone(),
            wanted: arch,
            holds: self.manifest.architecture_names(),
        })
    }

    /// Reads all of it, and names every entry that is not what the manifest says.
    pub fn verify(self, told: Told<'_>) -> Result<Manifest, BundleError> {
        self.read(None, told)
    }

    /// Writes all of it into the folder `into`, which must not be there and appears when every byte was found right.
    /// The folder above it has to be there. `arch` is the processor it is placed for; entries for others are placed
    /// too, since nodes may have another.
    pub fn place(self, into: &Path, arch: Arch, told: Told<'_>) -> Result<Placed, BundleError> {
        self.holds(arch)?;
        let occupied = || BundleError::Occupied(into.to_owned());
        if into.symlink_metadata().is_ok() {
            return Err(occupied());
        }
        let (Some(parent), Some(name)) = (into.parent(), into.file_name()) else {
            return Err(occupied());
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let storage = |path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::Storage { path, source }
        };
        has_room(parent, self.manifest.total()).map_err(storage(parent))?;
        let draft = tempfile::Builder::new()
            .prefix(".aami-bundle-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(storage(parent))?;
        let root = draft.path().to_owned();
        reading::write(&root, MANIFEST, 0o644, &self.head.text)?;
        if let Some(signature) = &self.head.signature {
            reading::write(&root, SIGNATURE, 0o644, signature)?;
        }
        let manifest = self.read(Some(&root), told)?;
        let appear = || -> io::Result<()> {
            fs::set_permissions(&root, Permissions::from_mode(0o755))?;
            fs::File::open(&root)?.sync_all()?;
            appear_as(parent, &root, name)?;
            fs::File::open(parent)?.sync_all()
        };
        match appear() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(occupied()),
            other => other.map_err(storage(into))?,
        }
        // It has another name now; there is nothing left to tidy up under this one.
        let _ = draft.keep();
        Ok(Placed {
            root: into.to_owned(),
            manifest,
        })
    }

    fn read(self, into: Option<&Path>, told: Told<'_>) -> Result<Manifest, BundleError> {
        let mut reading = Reading::new(&self.path, &self.manifest, into, told);
        match self.source {
            Source::Archive(archive) => archive.read(&self.manifest, &mut reading)?,
            Source::Folder => folder::read(&self.path, &self.manifest, &mut reading)?,
        }
        reading.verdict()?;
        Ok(self.manifest)
    }
}

impl Placed {
    /// The folder. It is a bundle itself, and can be opened again.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is in it.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder of components with its `components.toml`: a [`Source::Folder`](crate::obtain::Source::Folder).
    pub fn components(&self) -> PathBuf {
        self.root.join("components")
    }

    /// The node's program for a processor.
    pub fn agent(&self, arch: Arch) -> Option<PathBuf> {
        self.own(create::AGENT, arch)
    }

    /// Every agent there is.
    pub fn agents(&self) -> Vec<(Arch, PathBuf)> {
        let agent = |arch: Arch| Some((arch, self.agent(arch)?));
        Arch::ALL.into_iter().filter_map(agent).collect()
    }

    /// The operator's program for a processor.
    pub fn program(&self, arch: Arch) -> Option<PathBuf> {
        self.own(create::PROGRAM, arch)
    }

    /// Grafana's dashboards.
    pub fn dashboards(&self) -> PathBuf {
        self.root.join("dashboards")
    }

    /// Prometheus' rules.
    pub fn rules(&self) -> PathBuf {
        self.root.join("rules")
    }

    fn own(&self, name: &str, arch: Arch) -> Option<PathBuf> {
        let is_it =
            |entry: &&Entry| entry.kind == Kind::Program && entry.arch == Some(arch) && entry.name == name;
        let entry = self.manifest.entries.iter().find(is_it)?;
        Some(self.root.join(&entry.path))
    }
}

/// The head of a bundle, and where the rest comes from.
fn head(path: &Path) -> Result<(Head, Source), BundleError> {
    let found = fs::metadata(path).map_err(|source| BundleError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if found.is_dir() {
        return Ok((folder::head(path)?, Source::Folder));
    }
    let (archive, head) = Archive::open(path)?;
    Ok((head, Source::Archive(Box::new(archive))))
}

/// The comment that is signed with the manifest, where one of the keys signed it.
fn judge(path: &Path, head: &Head, keys: &[PublicKey]) -> Result<String, BundleError> {
    if keys.is_empty() {
        return Err(BundleError::NoKey(path.to_owned()));
    }
    let Some(signature) = &head.signature else {
        return Err(BundleError::Unsigned(path.to_owned()));
    };
    let refused = |why| BundleError::Signature {
        path: path.to_owned(),
        why,
    };
    let signature = std::str::from_utf8(signature).map_err(|_| refused("it is not a signature"))?;
    let mut said = "it was made by another key";
    for key in keys {
        match key.comment_of(&head.text, signature) {
            Ok(comment) => return Ok(comment),
            // A key that did sign has the better word than one that did not.
            Err(why) if why != said => said = why,
            Err(_) => {}
        }
    }
    Err(refused(said))
}

fn not_a_bundle(path: &Path, why: String) -> BundleError {
    BundleError::NotABundle {
        path: path.to_owned(),
        why,
    }
}

/// Fails early where a filesystem cannot hold this many bytes.
fn has_room(folder: &Path, bytes: u64) -> io::Result<()> {
    let found = rustix::fs::statvfs(folder)?;
    if found.f_bavail.saturating_mul(found.f_frsize) < bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Gives a folder its name, unless something has it by now.
fn appear_as(parent: &Path, draft: &Path, name: &std::ffi::OsStr) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    let into = parent.join(name);
    match renameat_with(CWD, draft, CWD, &into, RenameFlags::NOREPLACE) {
        // A filesystem that cannot be asked that: a folder never takes the place of a file or of a folder with
        // something in it.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(draft, &into),
        other => other.map_err(io::Error::from),
    }
}
