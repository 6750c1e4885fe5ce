//! Whether a key is the one that is known, another one, or one of a host nobody has met.

use std::sync::Arc;

use russh::keys::PublicKey;

use super::known_file::{KnownFile, Line, Marker};
use super::names::Names;
use super::offered::kind_of;
use crate::SshError;
use crate::error::KnownKey;

/// How a key stands to what is known of its host.
pub(super) enum Standing {
    /// It is the one that is known.
    Known,
    /// Another one is.
    Other(Box<KnownKey>),
    /// None is.
    Unknown,
}

/// Where a key stands: the first name under which anything is known decides.
pub(super) fn standing(files: &[Arc<KnownFile>], names: &Names, blob: &[u8], kind: &str) -> Standing {
    for group in &names.groups {
        let mut other: Option<Box<KnownKey>> = None;
        for file in files {
            for line in file.matching(group) {
                if line.marker != Marker::None {
                    continue;
                }
                if line.blob == blob {
                    return Standing::Known;
                }
                // One of the same type says most about what has changed.
                if other
                    .as_ref()
                    .is_none_or(|had| had.kind != kind && line.kind == kind)
                {
                    other = Some(Box::new(known_key(file, line)));
                }
            }
        }
        if let Some(other) = other {
            return Standing::Other(other);
        }
    }
    // As OpenSSH does: a key known without a port is good for every port of that name.
    let bare = files
        .iter()
        .flat_map(|file| file.matching(&names.principals))
        .any(|line| line.marker == Marker::None && line.blob == blob);
    if bare { Standing::Known } else { Standing::Unknown }
}

fn known_key(file: &KnownFile, line: &Line) -> KnownKey {
    KnownKey {
        file: file.path.clone(),
        line: line.number,
        kind: line.kind.clone(),
        fingerprint: line.fingerprint(),
    }
}

/// That another key is known than the one that is offered.
pub(super) fn changed(names: &Names, known: Box<KnownKey>, key: &PublicKey, offered: String) -> SshError {
    SshError::HostKeyChanged {
        name: names.shown(),
        known,
        kind: kind_of(key),
        offered,
    }
}
