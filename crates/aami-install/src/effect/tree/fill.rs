//! Unpacking: once to learn what an archive holds, once to place it.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::archive::{self, Kind};
use super::list::{LIST, Listing, Thing};
use super::{FOLDER, LIST_MODE, Unpacked, at, staging};
use crate::digest::{Digest, Hasher};
use crate::effect::EffectError;
use crate::path::HostPath;
use crate::root::{Attributes, FsError, Root};
use crate::step::{StepError, Voice};

/// What a tree is made from.
pub(super) struct Making<'a> {
    pub(super) root: &'a Root,
    /// What people call the archive.
    pub(super) origin: String,
    pub(super) inside: &'a str,
    pub(super) unpacked: Option<&'a Unpacked>,
    /// The numbers everything is given to.
    pub(super) owner: Option<(u32, u32)>,
}

/// How many entries are between two looks at whether the run was called off.
const OFTEN: usize = 64;

/// What the archive in `staged` holds below its folder `inside`.
pub(super) fn listing(
    root: &Root,
    staged: &HostPath,
    origin: &str,
    inside: &str,
    voice: &Voice<'_>,
) -> Result<Listing, StepError> {
    let mut listing = Listing::default();
    let broken = |source| EffectError::from(archive::ArchiveError::broken(origin, source));
    archive::read(open(root, staged)?, origin, inside, &mut |path, kind, bytes| {
        if listing.0.len() % OFTEN == 0 {
            voice.check()?;
        }
        let mut hashed = Hashed::of(bytes);
        io::copy(&mut hashed, &mut io::sink()).map_err(broken)?;
        let thing = Thing::of(kind, hashed.hasher.finish());
        listing.0.insert(path.to_owned(), thing);
        Ok(())
    })?;
    Ok(listing)
}

/// Places a tree where nothing stands.
pub(super) fn place(from: &Making<'_>, path: &HostPath, voice: &Voice<'_>) -> Result<(), StepError> {
    let root = from.root;
    let staged = staging(path);
    root.remove_tree(&staged).map_err(EffectError::from)?;
    let placed = fill(from, &staged, path, voice);
    if placed.is_err() {
        // Left behind where even this fails; the next run takes the name over.
        let _ = root.remove_tree(&staged);
    }
    placed
}

fn fill(from: &Making<'_>, staged: &HostPath, path: &HostPath, voice: &Voice<'_>) -> Result<(), StepError> {
    let root = from.root;
    if from.unpacked.is_none() {
        // It was there a moment ago, and only its modes were wrong.
        return Err(missing(path).into());
    }
    // Nobody else's before it is whole.
    let private = Attributes {
        mode: 0o700,
        owner: None,
    };
    root.make_folder(staged, private).map_err(EffectError::from)?;
    unpack(from, staged, None, voice)?;
    from.write_list(staged)?;
    root.make_folder(staged, from.attributes(FOLDER))
        .map_err(EffectError::from)?;
    root.sync_tree(staged).map_err(EffectError::from)?;
    root.rename_folder(staged, path).map_err(EffectError::from)?;
    Ok(())
}

/// Unpacks into the folder at `into`: everything, or the files named in `only`. Nothing is made durable.
pub(super) fn unpack(
    from: &Making<'_>,
    into: &HostPath,
    only: Option<&BTreeSet<String>>,
    voice: &Voice<'_>,
) -> Result<(), StepError> {
    let Some(unpacked) = from.unpacked else {
        return Ok(());
    };
    let root = from.root;
    let known = &unpacked.listing.0;
    let mut done = 0_usize;
    archive::read(
        open(root, &unpacked.archive)?,
        &from.origin,
        from.inside,
        &mut |path, kind, bytes| {
            done += 1;
            if done.is_multiple_of(OFTEN) {
                voice.check()?;
                #[expect(clippy::cast_precision_loss, reason = "a fraction shown to people")]
                voice.progress(
                    done as f64 / known.len().max(1) as f64,
                    &format!("unpacking {}", from.origin),
                );
            }
            if only.is_some_and(|only| !only.contains(path)) {
                return Ok(());
            }
            let place = at(into, path)?;
            let failed = EffectError::from;
            match kind {
                Kind::Folder => root
                    .make_folder(&place, from.attributes(FOLDER))
                    .map_err(failed)?,
                Kind::Link { target } => root.link(&place, target).map_err(failed)?,
                Kind::File { .. } => {
                    let wanted = known.get(path).cloned().unwrap_or(Thing::Folder);
                    let mut hashed = Hashed::of(bytes);
                    let attributes = from.attributes(wanted.mode());
                    root.replace(&place, &mut hashed, attributes, false)
                        .map_err(failed)?;
                    // The staged archive was read before; it may have been touched since.
                    let actual = hashed.hasher.finish();
                    match wanted {
                        Thing::File { digest, .. } if digest == actual => {}
                        _ => return Err(changed(from, &place, &wanted, actual).into()),
                    }
                }
            }
            Ok(())
        },
    )
}

fn changed(from: &Making<'_>, path: &HostPath, wanted: &Thing, actual: Digest) -> EffectError {
    let expected = match wanted {
        Thing::File { digest, .. } => *digest,
        _ => Digest::of(b""),
    };
    EffectError::Mismatch {
        origin: from.origin.clone(),
        path: path.clone(),
        expected,
        actual,
    }
}

fn open(root: &Root, staged: &HostPath) -> Result<std::fs::File, EffectError> {
    root.open_file(staged)?.ok_or_else(|| missing(staged))
}

fn missing(path: &HostPath) -> EffectError {
    FsError {
        doing: "read",
        path: path.clone(),
        source: io::ErrorKind::NotFound.into(),
    }
    .into()
}

impl Making<'_> {
    pub(super) const fn attributes(&self, mode: u32) -> Attributes {
        Attributes {
            mode,
            owner: self.owner,
        }
    }

    /// Puts the list into the tree at `tree`.
    pub(super) fn write_list(&self, tree: &HostPath) -> Result<(), EffectError> {
        if let Some(unpacked) = self.unpacked {
            let mut text: &[u8] = &unpacked.text;
            let place = tree.below(LIST);
            self.root
                .replace(&place, &mut text, self.attributes(LIST_MODE), false)?;
        }
        Ok(())
    }
}

/// Hashes what passes.
struct Hashed<'a> {
    from: &'a mut dyn Read,
    hasher: Hasher,
}

impl<'a> Hashed<'a> {
    fn of(from: &'a mut dyn Read) -> Self {
        let hasher = Hasher::default();
        Self { from, hasher }
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.hasher.update(&into[..n]);
        Ok(n)
    }
}
