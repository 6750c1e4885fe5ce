//! A file with a content, a mode and an owner: configuration, units, programs.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::owner::access;
use super::place;
use super::tree::Unpacked;
use super::{Due, EffectError, Mark, Owner, Scene, Signature, Standing};
use crate::content::Content;
use crate::digest::Digest;
use crate::path::HostPath;
use crate::receipt::{Before, Record, WrittenFile};
use crate::root::{Attributes, FsError};

/// A file. The folder it lies in must exist.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Where.
    pub path: HostPath,
    /// What it holds.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` leaves it to the process.
    pub owner: Option<Owner>,
    /// Whether its first line says whose it is. Give every text file one that can have it.
    pub mark: Mark,
    /// Whether what is installed changes it in use (a rotated credential): any content is right
    /// then, and uninstalling removes it whatever it holds.
    pub changes_in_use: bool,
    /// Whether it is a first version for the operator to edit: one that is there stays as it is, and
    /// uninstalling puts an edited one beside instead of removing it.
    pub operators: bool,
}

/// Bytes at hand, about to be written.
#[derive(Debug)]
pub(crate) enum Payload {
    /// These.
    Bytes(Arc<[u8]>),
    /// In a staging file, its digest checked.
    Staged(HostPath),
    /// A whole tree, in its archive.
    Tree(Unpacked),
    /// What the file holds already; only mode and owner change.
    Kept,
}

impl Placement {
    /// A file without a mark that only we change.
    pub const fn new(path: HostPath, content: Content, mode: u32, owner: Option<Owner>) -> Self {
        Self {
            path,
            content,
            mode,
            owner,
            mark: Mark::None,
            changes_in_use: false,
            operators: false,
        }
    }

    /// With a first line that says whose it is.
    #[must_use]
    pub const fn marked(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }

    /// A file that what is installed changes in use.
    #[must_use]
    pub const fn changing_in_use(mut self) -> Self {
        self.changes_in_use = true;
        self
    }

    /// A first version of a file that is the operator's from then on.
    #[must_use]
    pub const fn for_the_operator(mut self) -> Self {
        self.operators = true;
        self
    }

    pub(super) fn sealed(&self, signature: &Signature) -> Self {
        let mut sealed = self.clone();
        if let Content::Bytes(bytes) = &self.content {
            sealed.content = Content::Bytes(signature.put(self.mark, bytes).into());
            sealed.mark = Mark::None;
        }
        sealed
    }

    pub(super) fn detail(&self) -> String {
        let mut detail = access(self.mode, self.owner.as_ref());
        match &self.content {
            Content::Bytes(bytes) => {
                detail.push_str(&format!(", {} bytes, sha256 {}", bytes.len(), Digest::of(bytes)))
            }
            Content::Fetched {
                origin,
                sha256: Some(sha256),
                ..
            } => {
                detail.push_str(&format!(", {origin}, sha256 {sha256}"));
            }
            Content::Fetched { origin, .. } => detail.push_str(&format!(", {origin}")),
            Content::Once(_) => detail.push_str(", made on this host"),
        }
        detail
    }

    pub(super) fn record(&self, content: Option<Digest>) -> WrittenFile {
        let origin = match &self.content {
            Content::Fetched { origin, .. } => Some(origin.clone()),
            _ => None,
        };
        WrittenFile {
            path: self.path.clone(),
            mode: self.mode,
            owner: self.owner.clone(),
            wrote: content.into_iter().collect(),
            origin,
            changes_in_use: self.changes_in_use
                || (matches!(self.content, Content::Once(_)) && !self.operators),
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let before = match place::found(scene, &self.path)? {
            Ok(before) => before,
            Err(found) => {
                return Err(EffectError::InTheWay {
                    path: self.path.clone(),
                    found,
                    wanted: "a file",
                });
            }
        };
        let edited = || scene.record.is_some_and(|record| record.is_foreign(&before));
        let (because, edited, content) = match &before {
            Before::File {
                saved,
                mode,
                uid,
                gid,
            } => {
                if self.operators {
                    return Ok(Standing::Holds);
                }
                let content = self.is_content(*saved, scene.record);
                let owner = match &self.owner {
                    None => true,
                    Some(owner) => owner.numbers(scene.host)? == Some((*uid, *gid)),
                };
                if content && owner && *mode == self.mode {
                    return Ok(Standing::Holds);
                }
                let other = if content {
                    format!("mode {mode:04o}, owner {uid}:{gid}")
                } else {
                    "holds something else".to_owned()
                };
                (other, !content && edited(), content)
            }
            Before::Symlink { target } => (format!("is a link to {target}"), edited(), false),
            _ => ("missing".to_owned(), false, false),
        };
        Ok(Standing::Due(Due {
            because,
            before,
            edited,
            content,
            follows: false,
        }))
    }

    fn is_content(&self, current: Digest, record: Option<&Record>) -> bool {
        let written = record.and_then(Record::file);
        if self.changes_in_use && written.is_some() {
            return true;
        }
        match &self.content {
            Content::Bytes(_) | Content::Fetched { sha256: Some(_), .. } => {
                self.content.digest() == Some(current)
            }
            // What it must be is not known beforehand: it is what came from the same place last time.
            Content::Fetched {
                origin, sha256: None, ..
            } => written.is_some_and(|file| {
                file.origin.as_ref() == Some(origin) && file.wrote.last() == Some(&current)
            }),
            Content::Once(_) => true,
        }
    }

    /// Puts an edit of ours beside, then the file in place.
    pub(super) fn apply(&self, scene: Scene<'_>, payload: &Payload) -> Result<(), EffectError> {
        let root = &scene.host.root;
        let owner = Owner::resolve(self.owner.as_ref(), scene.host, &self.path)?;
        let attributes = Attributes {
            mode: self.mode,
            owner,
        };
        let missing = |path: &HostPath| FsError {
            doing: "read",
            path: path.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let mut file: File;
        let mut bytes: &[u8];
        let source: &mut dyn Read = match payload {
            Payload::Bytes(all) => {
                bytes = all;
                &mut bytes
            }
            Payload::Staged(path) => {
                file = root.open_file(path)?.ok_or_else(|| missing(path))?;
                &mut file
            }
            Payload::Kept | Payload::Tree(_) => {
                file = root.open_file(&self.path)?.ok_or_else(|| missing(&self.path))?;
                &mut file
            }
        };
        root.replace(&self.path, source, attributes, true)?;
        Ok(())
    }
}
