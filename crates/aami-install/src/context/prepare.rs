//! Getting hold of the bytes of a file before anything of its step is recorded or changed.

use std::io::{self, Write};

use super::Shared;
use crate::content::{Content, Fetch};
use crate::digest::{Digest, Hasher};
use crate::effect::placement::Payload;
use crate::effect::{Due, Effect, EffectError, Placement, Scene};
use crate::path::HostPath;
use crate::receipt::Recorded;
use crate::root::{Attributes, FsError, Root};
use crate::step::{StepError, Voice};

/// Bytes at hand and their digest.
pub(crate) struct Prepared {
    pub(crate) payload: Payload,
    pub(crate) digest: Digest,
}

/// The bytes of `effect`, if it is a file.
pub(super) fn payload(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    effect: &Effect,
    due: &Due,
) -> Result<Option<Prepared>, StepError> {
    let (Effect::WriteFile(file) | Effect::PlaceBinary(file)) = effect else {
        return Ok(None);
    };
    if due.content {
        return Ok(as_it_is(shared, effect)?);
    }
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
            fetched(shared, voice, file, origin, *sha256, from.as_ref()).map(Some)
        }
    }
}

/// What the record of `effect` will say, where only a look at the host tells; `about_to_change` are the
/// paths this step is about to change.
pub(super) fn foreseen(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    effect: &Effect,
    about_to_change: &[HostPath],
) -> Result<Option<Recorded>, StepError> {
    // Our own record only: another plan's says nothing about what we start.
    let record = shared.ledger().receipt().find(&effect.key()).cloned();
    let scene = Scene {
        host: shared.host,
        record: record.as_ref(),
    };
    Ok(match effect {
        Effect::UnitState(unit) => {
            let changes = unit.inputs.iter().any(|input| about_to_change.contains(input));
            unit.foresee(scene, changes)?
        }
        Effect::PackageSet(set) => Some(set.foresee(scene, voice)?),
        Effect::FirewallRule(rule) => Some(rule.foresee(scene)?),
        _ => None,
    })
}

/// What the file of `effect` holds now, if it is a file.
pub(super) fn as_it_is(shared: &Shared<'_>, effect: &Effect) -> Result<Option<Prepared>, EffectError> {
    let (Effect::WriteFile(file) | Effect::PlaceBinary(file)) = effect else {
        return Ok(None);
    };
    let digest = shared.host.root.digest(&file.path)?;
    Ok(digest.map(|digest| Prepared {
        payload: Payload::Kept,
        digest,
    }))
}

/// Fetches into a staging file and verifies it. What an earlier run fetched and verified is used
/// again; what turns out wrong is removed.
fn fetched(
    shared: &Shared<'_>,
    voice: &Voice<'_>,
    file: &Placement,
    origin: &str,
    expected: Option<Digest>,
    from: &dyn Fetch,
) -> Result<Prepared, StepError> {
    let root = &shared.host.root;
    let staged = staging(shared, file, origin)?;
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
            let (origin, path) = (origin.to_owned(), file.path.clone());
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

/// The staging file for what goes to `file`. Making its folder is the first thing a run may write.
fn staging(shared: &Shared<'_>, file: &Placement, origin: &str) -> Result<HostPath, EffectError> {
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
    let name = Digest::of(format!("{}\n{origin}", file.path).as_bytes()).to_string();
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
