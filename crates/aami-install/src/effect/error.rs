//! Why an effect could not be brought about or taken back.

use std::io;

use aami_model::Code;
use aami_model::code;

use super::ArchiveError;
use crate::digest::Digest;
use crate::host::{AccountError, CommandError, UnitError};
use crate::path::HostPath;
use crate::root::FsError;
use crate::step::StepFailure;

/// Why an effect could not be brought about or taken back.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The filesystem refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Users or groups could not be read or changed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The service manager refused, or a unit failed.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// Something of another kind stands at the path, and is not ours to remove.
    #[error("{path} is {found}, where {wanted} is wanted")]
    InTheWay {
        /// Where.
        path: HostPath,
        /// What stands there.
        found: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// A file's owner does not exist.
    #[error("{path} should belong to {owner}, and there is no such user or group on this host")]
    UnknownOwner {
        /// Which file.
        path: HostPath,
        /// The name that is missing.
        owner: String,
    },
    /// Fetched bytes are not the ones pinned.
    #[error("{origin} for {path} has the SHA-256 {actual}, expected {expected}")]
    Mismatch {
        /// What was fetched.
        origin: String,
        /// For which file.
        path: HostPath,
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A file that must be saved changes faster than it can be read.
    #[error("{path} keeps changing and cannot be saved before it is replaced")]
    Restless {
        /// Which.
        path: HostPath,
    },
    /// The saved original of a file is gone or damaged.
    #[error("the saved original of {path} ({saved}) is missing or damaged")]
    OriginalLost {
        /// Which file.
        path: HostPath,
        /// The digest it was saved under.
        saved: Digest,
    },
    /// An archive that makes no tree.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is no service manager here.
    #[error("{unit} cannot be set: no systemd runs this host")]
    NoServiceManager {
        /// The unit.
        unit: String,
    },
    /// One of the host's own tools did not do what was asked of it.
    #[error("{what}: {complaint}")]
    Refused {
        /// The condition.
        code: Code,
        /// What was asked.
        what: String,
        /// The line of its output that says why.
        complaint: String,
    },
    /// A tool could not be run.
    #[error(transparent)]
    Tool(#[from] CommandError),
    /// Something irreversible without its approval.
    #[error("{what} cannot be taken back and needs the approval {approval}")]
    NotApproved {
        /// What would happen.
        what: String,
        /// The approval that is missing.
        approval: String,
    },
    /// Bytes that should be made on the host could not be.
    #[error("cannot make the content of {path}: {source}")]
    Make {
        /// For which file.
        path: HostPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What an effect calls on (a control plane) failed.
    #[error(transparent)]
    Called(Box<StepFailure>),
    /// A checkpoint cut it off.
    #[error("cannot {what}: {source}")]
    Cut {
        /// What was about to happen.
        what: String,
        /// Why it did not.
        #[source]
        source: io::Error,
    },
}

impl EffectError {
    /// The condition people are told about.
    pub fn code(&self) -> Code {
        match self {
            Self::Fs(error) | Self::Account(AccountError::Read(error)) => fs_code(error),
            Self::Account(AccountError::Command(error))
            | Self::Unit(UnitError::Command(error))
            | Self::Tool(error) => command_code(error),
            Self::Unit(_) | Self::NoServiceManager { .. } => code::UNIT_FAILED,
            Self::Archive(error) => error.code(),
            Self::Mismatch { .. } => code::CHECKSUM_MISMATCH,
            Self::NotApproved { .. } => code::APPROVAL_MISSING,
            Self::Refused { code, .. } => *code,
            Self::Called(failure) => failure.code,
            Self::Account(AccountError::Cut { .. })
            | Self::InTheWay { .. }
            | Self::UnknownOwner { .. }
            | Self::Restless { .. }
            | Self::OriginalLost { .. }
            | Self::Make { .. }
            | Self::Cut { .. } => code::STEP_FAILED,
        }
    }
}

pub(crate) fn fs_code(error: &FsError) -> Code {
    if error.is_full() {
        code::DISK_FULL
    } else if error.is_read_only() {
        code::READ_ONLY
    } else if error.source.kind() == io::ErrorKind::PermissionDenied {
        code::NOT_ROOT
    } else {
        code::STEP_FAILED
    }
}

fn command_code(error: &CommandError) -> Code {
    match error {
        CommandError::Missing { .. } => code::TOOL_MISSING,
        _ => code::STEP_FAILED,
    }
}
