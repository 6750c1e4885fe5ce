//! Why a bundle is not used, or not made.

use std::io;
use std::path::PathBuf;

use aami_inventory::Arch;
use aami_model::code::{self, Code};

use crate::components::CatalogueError;
use crate::download::storage_code;
use crate::obtain::ObtainError;

/// Why a bundle is not used, or not made. Nothing of it was placed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No file that can be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else.
    #[error("{} is not a bundle: {why}", .path.display())]
    NotABundle {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No signature, and one was asked for.
    #[error("{} is not signed", .0.display())]
    Unsigned(PathBuf),
    /// A signature was asked for, and nobody said whose.
    #[error("{}: nobody said whose signature to believe", .0.display())]
    NoKey(PathBuf),
    /// A signature that does not hold.
    #[error("the signature of {} does not hold: {why}", .path.display())]
    Signature {
        /// The bundle.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Something that is never taken out of an archive.
    #[error("{}: {entry} is not taken out of it: {why}", .path.display())]
    Refused {
        /// The bundle.
        path: PathBuf,
        /// The entry, cut to a short line.
        entry: String,
        /// The rule it breaks.
        why: String,
    },
    /// Entries that are not as the manifest says, each with what is wrong.
    #[error("{}: {}", .path.display(), .wrong.join("; "))]
    Damaged {
        /// The bundle.
        path: PathBuf,
        /// Entry and reason.
        wrong: Vec<String>,
    },
    /// For other processors.
    #[error("{} has nothing for {}: it is for {holds}", .path.display(), .wanted.name())]
    OtherArch {
        /// The bundle.
        path: PathBuf,
        /// What is needed.
        wanted: Arch,
        /// What is there.
        holds: String,
    },
    /// A folder that is to be new and is not.
    #[error("{} is there already; a bundle is placed into a folder of its own", .0.display())]
    Occupied(PathBuf),
    /// Writing here failed.
    #[error("{}: {source}", .path.display())]
    Storage {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whoever watched wanted no more of it.
    #[error("it was stopped")]
    CalledOff,
    /// A key that cannot sign.
    #[error("{} cannot sign: {why}", .path.display())]
    SecretKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Something that is to go in and is nowhere.
    #[error("{what} is missing: {why}")]
    Missing {
        /// What.
        what: String,
        /// Where it was looked for.
        why: String,
    },
    /// Something that cannot stand in a manifest.
    #[error("{entry} cannot go into a bundle: {why}")]
    Unfit {
        /// What.
        entry: String,
        /// The rule it breaks.
        why: String,
    },
    /// A file that changed after it was looked at.
    #[error("{} was changed while it was packed", .0.display())]
    Changed(PathBuf),
    /// A component that could not be had.
    #[error(transparent)]
    Obtain(#[from] ObtainError),
}

impl From<CatalogueError> for BundleError {
    fn from(error: CatalogueError) -> Self {
        Self::Obtain(error.into())
    }
}

impl BundleError {
    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => code::BUNDLE_UNREADABLE,
            Self::NotABundle { .. } => code::NOT_A_BUNDLE,
            Self::Unsigned(_) => code::BUNDLE_UNSIGNED,
            Self::NoKey(_) => code::BUNDLE_KEY_UNKNOWN,
            Self::Signature { .. } => code::BUNDLE_SIGNATURE_INVALID,
            Self::Refused { .. } => code::BUNDLE_REFUSED,
            Self::Damaged { .. } | Self::Changed(_) => code::BUNDLE_DAMAGED,
            Self::OtherArch { .. } => code::BUNDLE_OTHER_ARCH,
            Self::Occupied(_) => code::BUNDLE_OCCUPIED,
            Self::Storage { source, .. } => storage_code(source),
            Self::CalledOff => code::INTERRUPTED,
            Self::SecretKey { .. } => code::BUNDLE_KEY_UNUSABLE,
            Self::Missing { .. } | Self::Unfit { .. } => code::BUNDLE_INCOMPLETE,
            Self::Obtain(error) => error.code(),
        }
    }
}
