//! A whole folder of a program's own, as its publisher packed it: unpacked from a verified `.tar.gz` into
//! a folder of ours and nobody else's.
//!
//! It appears in one moment: everything is unpacked beside it under a name of ours, made durable at once,
//! and renamed. What it holds is written down before that, in a [list](list) beside the receipt: by it a
//! look names what is missing or was changed, a repair mends exactly that, and undoing removes exactly what
//! is as we placed it. A changed file is kept beside its place as `.aami-kept`; what others put into the
//! folder stays.
//!
//! Of the archive only paths, content, links and whether a file can be executed are taken: folders and
//! programs get mode 0755, other files 0644, and all of it the one owner that was asked for.

mod archive;
mod fill;
mod list;
mod mend;
mod stand;
mod undo;

use std::sync::Arc;

pub use archive::ArchiveError;
pub(super) use undo::undo;

use self::list::{LIST, LONGEST_LIST, Listing};
use super::owner::access;
use super::{Due, EffectError, Owner, Scene, Signature, Standing};
use crate::content::Content;
use crate::digest::Digest;
use crate::path::HostPath;
use crate::receipt::{Before, PlacedTree, Recorded};
use crate::root::{Entry, FsError, Root};
use crate::step::{StepError, Voice};

/// A folder and all that is in it. The folder it lies in must exist.
#[derive(Debug, Clone)]
pub struct PlaceTree {
    /// Where. Nobody else's things belong there: name it after the version.
    pub path: HostPath,
    /// The archive: fetched, or bytes at hand.
    pub archive: Content,
    /// The folder of the archive that becomes the tree, `grafana-12.1.0`; empty for all of it.
    pub inside: String,
    /// Whom everything belongs to; `None` leaves it to the process.
    pub owner: Option<Owner>,
    /// Whose mark its list carries.
    signature: Option<Signature>,
}

/// A tree about to be placed: its archive, and what it will hold.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked {
    /// In a staging file, its digest checked.
    archive: HostPath,
    listing: Arc<Listing>,
    /// The list as it is written.
    pub(crate) text: Arc<[u8]>,
}

/// The permission bits of a tree's folders, the topmost among them, and of its list.
const FOLDER: u32 = 0o755;
const LIST_MODE: u32 = 0o644;

impl PlaceTree {
    /// A tree of everything below the folder `inside` of an archive.
    pub fn new(path: HostPath, archive: Content, inside: impl Into<String>, owner: Option<Owner>) -> Self {
        Self {
            path,
            archive,
            inside: inside.into(),
            owner,
            signature: None,
        }
    }

    pub(super) fn sealed(&self, signature: &Signature) -> Self {
        let signature = Some(signature.clone());
        Self {
            signature,
            ..self.clone()
        }
    }

    /// Where the archive is from.
    pub(crate) fn origin(&self) -> String {
        match &self.archive {
            Content::Fetched { origin, .. } => origin.clone(),
            Content::Bytes(bytes) => format!("an archive with the SHA-256 {}", Digest::of(bytes)),
            Content::Once(_) => "an archive made on this host".to_owned(),
        }
    }

    pub(super) fn detail(&self) -> String {
        let pinned = match &self.archive {
            Content::Fetched {
                sha256: Some(sha256), ..
            } => format!(", sha256 {sha256}"),
            _ => String::new(),
        };
        let owner = access(FOLDER, self.owner.as_ref());
        format!("{owner}, all of {}{pinned}", self.origin())
    }

    pub(super) fn record(&self, list: Option<Digest>) -> Recorded {
        Recorded::PlaceTree(PlacedTree {
            path: self.path.clone(),
            owner: self.owner.clone(),
            wrote: list.into_iter().collect(),
            origin: self.origin(),
        })
    }

    /// Reads the archive in `staged` whole, before anything of it is recorded or placed.
    pub(crate) fn look_into(
        &self,
        root: &Root,
        staged: HostPath,
        voice: &Voice<'_>,
    ) -> Result<Unpacked, StepError> {
        let listing = fill::listing(root, &staged, &self.origin(), &self.inside, voice)?;
        let text = listing.text().into_bytes();
        let text = match &self.signature {
            Some(signature) => signature.put(super::Mark::Hash, &text),
            None => text,
        };
        Ok(Unpacked {
            archive: staged,
            listing: Arc::new(listing),
            text: text.into(),
        })
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let root = &scene.host.root;
        let in_the_way = |found| EffectError::InTheWay {
            path: self.path.clone(),
            found,
            wanted: "a folder of AAMI's own",
        };
        let meta = match root.entry(&self.path)? {
            Entry::Absent => return Ok(Standing::due("missing", Before::Absent)),
            Entry::Directory(meta) => meta,
            other => return Err(in_the_way(other.name())),
        };
        let Some(record) = scene.record else {
            return Err(in_the_way("somebody else's folder"));
        };
        let before = Before::directory(meta);
        let last = record.tree().and_then(|tree| tree.wrote.last());
        let Some(listing) = last
            .map(|last| read_list(root, &self.path, *last))
            .transpose()?
            .flatten()
        else {
            return Ok(Standing::due(
                format!("its list {LIST} is missing or was changed"),
                before,
            ));
        };
        if record.tree().is_some_and(|tree| tree.origin != self.origin()) {
            return Ok(Standing::due("comes from another archive", before));
        }
        let wrong = stand::compare(scene, &self.path, &listing, self.owner.as_ref())?;
        let Some(first) = wrong.first() else {
            return Ok(Standing::Holds);
        };
        let because = match wrong.len() {
            1 => first.to_string(),
            n => format!("{first}, and {} more", n - 1),
        };
        let content = !wrong.iter().any(|wrong| wrong.content);
        Ok(Standing::Due(Due {
            because,
            before,
            // An edit below the tree is kept where it is mended.
            edited: false,
            content,
            follows: false,
        }))
    }

    /// Places the tree, or mends what of it is not as it should be. Without `unpacked` what its files hold
    /// is right.
    pub(super) fn apply(
        &self,
        scene: Scene<'_>,
        unpacked: Option<&Unpacked>,
        voice: &Voice<'_>,
    ) -> Result<(), StepError> {
        let root = &scene.host.root;
        let owner = Owner::resolve(self.owner.as_ref(), scene.host, &self.path)?;
        let from = fill::Making {
            root,
            origin: self.origin(),
            inside: &self.inside,
            unpacked,
            owner,
        };
        match root.entry(&self.path).map_err(EffectError::from)? {
            Entry::Absent => fill::place(&from, &self.path, voice),
            _ => mend::mend(&from, scene, self, voice),
        }
    }
}

/// The digest of the list in the tree at `path`; none where there is none.
pub(crate) fn list_of(root: &Root, path: &HostPath) -> Result<Option<Digest>, FsError> {
    match root.entry(path)? {
        Entry::Directory(_) => root.digest(&path.below(LIST)),
        _ => Ok(None),
    }
}

/// The beginning of the list in the tree at `path`: where its mark is.
pub(crate) fn list_path(path: &HostPath) -> HostPath {
    path.below(LIST)
}

/// The list in the tree at `path`, where it is the one with this digest.
fn read_list(root: &Root, path: &HostPath, wanted: Digest) -> Result<Option<Listing>, FsError> {
    if list_of(root, path)? != Some(wanted) {
        return Ok(None);
    }
    let bytes = root.read(&path.below(LIST), LONGEST_LIST)?.unwrap_or_default();
    Ok(Listing::parse(&bytes).filter(|_| Digest::of(&bytes) == wanted))
}

/// The name a tree has while it is unpacked.
fn staging(path: &HostPath) -> HostPath {
    path.beside(".", ".aami-new")
}

/// Where a thing of a tree lies.
fn at(tree: &HostPath, below: &str) -> Result<HostPath, EffectError> {
    tree.join(below).map_err(|error| {
        FsError {
            doing: "name what lies in",
            path: tree.clone(),
            source: std::io::Error::other(error),
        }
        .into()
    })
}
