//! Getting hold of the bytes of a file before anything of its step is recorded or changed.

use std::io::{self, Write};

use aami_model::code;

use super::Shared;
use crate::content::{Content, Fetch};
use crate::digest::{Digest, Hasher};
use crate::effect::placement::Payload;
use crate::effect::{self, Due, Effect, EffectError, PlaceTree, Scene};
use crate::path::HostPath;
use crate::receipt::Recorded;
use crate::root::{Attributes, FsError, Root};
use crate::step::{StepError, Voice};

/// Bytes at hand and their digest.
pub(crate) struct Prepared {
    pub(crate) payload: Payload,
    pub(crate) digest: Digest,
}

impl Prepared {
    /// What taking a tree back goes by.
    pub(super) fn list(&self) -> Option<(&[u8], Digest)> {
        match &self.payload {
            Payload::Tree(unpacked) => Some((&unpacked.text, self.digest)),
            Payload::Bytes(_) | Payload::Staged(_) | Payload::Kept => None,
        }
    }
}

/// The bytes of `effect`, if it is a file or a tree.
pub(super) fn payload(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    effect: &Effect,
    due: &Due,
) -> Result<Option<Prepared>, StepError> {
    if due.content {
        return Ok(as_it_is(shared, effect)?);
    }
    let file = match effect {
        Effect::WriteFile(file) | Effect::PlaceBinary(file) => file,
        Effect::PlaceTree(place) => return tree(shared, voice, place).map(Some),
        _ => return Ok(None),
    };
    match &file.content {
        Content::Bytes(bytes) => Ok(Some(Prepared {
            payload: Payload::Bytes(bytes.clone()),
            digest: Digest::of(bytes),
        })),
        Content::Once(make) => {
            let fail = |source| EffectError::Make {
                path: file.path.clone(),
                source,
            };
            let bytes = make(shared.host.random.as_ref()).map_err(fail)?;
            let digest = Digest::of(&bytes);
            Ok(Some(Prepared {
                payload: Payload::Bytes(bytes.into()),
                digest,
            }))
        }
        Content::Fetched { origin, sha256, from } => {
            fetched(shared, voice, &file.path, origin, *sha256, from.as_ref()).map(Some)
        }
    }
}

/// What the record of `effect` will say, where only a look at the host tells; `about_to_change` are the
/// effects this step is about to bring about.
pub(super) fn foreseen(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    effect: &Effect,
    about_to_change: &[&Effect],
) -> Result<Option<Recorded>, StepError> {
    // Our own record only: another plan's says nothing about what we start.
    let record = shared.ledger().receipt().find(&effect.key()).cloned();
    let scene = Scene {
        host: shared.host,
        record: record.as_ref(),
    };
    let is_changed = |input: &HostPath| about_to_change.iter().any(|effect| effect.changes(input));
    Ok(match effect {
        Effect::UnitState(unit) => {
            let changes = unit.inputs.iter().any(is_changed);
            unit.foresee(scene, changes)?
        }
        Effect::ContainerProject(project) => project.foresee(record.as_ref(), is_changed),
        Effect::PackageSet(set) => Some(set.foresee(scene, voice)?),
        Effect::FirewallRule(rule) => Some(rule.foresee(scene)?),
        _ => None,
    })
}

/// What the file of `effect` holds now, if it is a file; of a tree, its list.
pub(super) fn as_it_is(shared: &Shared<'_>, effect: &Effect) -> Result<Option<Prepared>, EffectError> {
    let root = &shared.host.root;
    let digest = match effect {
        Effect::WriteFile(file) | Effect::PlaceBinary(file) => root.digest(&file.path)?,
        Effect::PlaceTree(place) => effect::tree::list_of(root, &place.path)?,
        _ => return Ok(None),
    };
    Ok(digest.map(|digest| Prepared {
        payload: Payload::Kept,
        digest,
    }))
}

/// Gets hold of a tree's archive, and reads it whole.
fn tree(shared: &Shared<'_>, voice: &Voice<'_>, place: &PlaceTree) -> Result<Prepared, StepError> {
    let origin = place.origin();
    let fetched = |sha256, from: &dyn Fetch| fetched(shared, voice, &place.path, &origin, sha256, from);
    let prepared = match &place.archive {
        Content::Fetched { sha256, from, .. } => fetched(*sha256, from.as_ref()),
        Content::Bytes(bytes) => fetched(Some(Digest::of(bytes)), &AtHand(bytes)),
        Content::Once(_) => Err(EffectError::Make {
            path: place.path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "an archive is not made on a host"),
        }
        .into()),
    };
    let Payload::Staged(staged) = prepared?.payload else {
        return Err(StepError::new(
            code::STEP_FAILED,
            format!("{origin} was not staged"),
        ));
    };
    let root = &shared.host.root;
    let unpacked = place.look_into(root, staged.clone(), voice);
    if unpacked.is_err() && !voice.is_called_off() {
        let _ = root.remove(&staged);
    }
    let unpacked = unpacked?;
    let digest = Digest::of(&unpacked.text);
    let payload = Payload::Tree(unpacked);
    Ok(Prepared { payload, digest })
}

/// Bytes that need no fetching.
struct AtHand<'a>(&'a [u8]);

impl Fetch for AtHand<'_> {
    fn fetch(&self, _: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let failed = |error: io::Error| StepError::new(code::STEP_FAILED, error.to_string());
        into.write_all(self.0).map_err(failed)
    }
}

/// Fetches into a staging file and verifies it. What an earlier run fetched and verified is used
/// again; what turns out wrong is removed.
fn fetched(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    path: &HostPath,
    origin: &str,
    expected: Option<Digest>,
    from: &dyn Fetch,
) -> Result<Prepared, StepError> {
    let root = &shared.host.root;
    let staged = staging(shared, path, origin)?;
    if let Some(digest) = expected
        && root.digest(&staged).map_err(EffectError::from)? == Some(digest)
    {
        return Ok(Prepared {
            payload: Payload::Staged(staged),
            digest,
        });
    }
    let fetched = fetch(root, &staged, voice, from).and_then(|actual| match expected {
        Some(expected) if expected != actual => {
            let (origin, path) = (origin.to_owned(), path.clone());
            Err(EffectError::Mismatch {
                origin,
                path,
                expected,
                actual,
            }
            .into())
        }
        _ => Ok(actual),
    });
    match fetched {
        Ok(digest) => Ok(Prepared {
            payload: Payload::Staged(staged),
            digest,
        }),
        Err(error) => {
            let _ = root.remove(&staged);
            Err(error)
        }
    }
}

/// Fetches to `staged` and answers the digest of what came.
fn fetch(root: &Root, staged: &HostPath, voice: &Voice<'_>, from: &dyn Fetch) -> Result<Digest, StepError> {
    let file = root.open_fresh(staged).map_err(EffectError::from)?;
    let mut into = Staging {
        file,
        hasher: Hasher::default(),
        refused: None,
    };
    let outcome = from.fetch(voice, &mut into);
    let Staging { hasher, refused, .. } = into;
    match (outcome, refused) {
        // The disk's own word is clearer than what the fetcher made of it.
        (Err(_), Some(source)) => Err(EffectError::from(FsError {
            doing: "write",
            path: staged.clone(),
            source,
        })
        .into()),
        (outcome, _) => outcome.map(|()| hasher.finish()),
    }
}

/// The staging file for what goes to `path`. Making its folder is the first thing a run may write.
fn staging(shared: &Shared<'_>, path: &HostPath, origin: &str) -> Result<HostPath, EffectError> {
    let mut ledger = shared.ledger();
    ledger.open(shared.host)?;
    let folder = ledger.folder().staging().clone();
    drop(ledger);
    shared.host.root.make_folder(
        &folder,
        Attributes {
            mode: 0o700,
            owner: None,
        },
    )?;
    let name = Digest::of(format!("{path}\n{origin}").as_bytes()).to_string();
    Ok(folder.below(&name))
}

/// Writes on to the staging file and hashes what passes.
struct Staging<W> {
    file: W,
    hasher: Hasher,
    refused: Option<io::Error>,
}

impl<W: Write> Write for Staging<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Ok(n) => {
                self.hasher.update(&bytes[..n]);
                Ok(n)
            }
            Err(error) => {
                self.refused = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
