//! Why a round of checks could not be run.

use std::io;
use std::path::PathBuf;

use aami_model::code::{self, Code};

/// Why a round could not be run. What is wrong with one check is that check's status and no error.
#[derive(Debug, thiserror::Error)]
pub enum CheckRoundError {
    /// A file of the round's own cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node's rules are there and cannot be used.
    #[error("{}: {why}", .path.display())]
    Rules {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl CheckRoundError {
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => code::DISK_FULL,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => code::NOT_ROOT,
            Self::File { .. } => code::CHECKS_NOT_RUN,
            Self::Rules { .. } => code::AGENT_RULES_INVALID,
        }
    }
}
