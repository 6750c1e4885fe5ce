//! What a file will hold: known bytes, something fetched when it is due, or a secret made once.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use crate::digest::Digest;
use crate::host::Random;
use crate::step::{StepError, Voice};

/// What the name of a file in the staging folder ends with that is only a part as yet. A fetcher that goes on with it
/// where it broke off judges the whole, so that it may be of an earlier run.
pub const PART: &str = ".partial";

/// Brings the bytes of a file from elsewhere. Called only when the file is due, before anything of
/// the step is changed.
pub trait Fetch: Send + Sync {
    /// Writes all bytes to `into`, reporting through `voice` and stopping when it says so. The
    /// bytes go to a staging file and are placed only after their digest was found right.
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError>;
}

type Make = dyn Fn(&dyn Random) -> io::Result<Vec<u8>> + Send + Sync;

/// The content of a file.
#[derive(Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// Fetched when due.
    Fetched {
        /// What it is and where from, e.g. `node_exporter 1.9.1`; stands in the record, and a
        /// different origin makes the file due again.
        origin: String,
        /// What it must be, where that is known beforehand.
        sha256: Option<Digest>,
        /// How to get it.
        from: Arc<dyn Fetch>,
    },
    /// Made once on this host (a key, a credential) and kept as it is from then on.
    Once(Arc<Make>),
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(Arc::from(bytes.as_ref()))
    }

    /// Bytes made by `make` when the file is not there; whatever the file holds later is right.
    pub fn once(make: impl Fn(&dyn Random) -> io::Result<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::Once(Arc::new(make))
    }

    /// Bytes fetched when the file is due.
    pub fn fetched(origin: impl Into<String>, sha256: Option<Digest>, from: Arc<dyn Fetch>) -> Self {
        Self::Fetched {
            origin: origin.into(),
            sha256,
            from,
        }
    }

    /// The digest, where it is known before anything happens.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Bytes(bytes) => Some(Digest::of(bytes)),
            Self::Fetched { sha256, .. } => *sha256,
            Self::Once(_) => None,
        }
    }
}

/// Never the bytes: they may be a secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Fetched { origin, .. } => f.write_str(origin),
            Self::Once(_) => f.write_str("made on this host"),
        }
    }
}
