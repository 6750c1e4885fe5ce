//! What a mirror wants to see, kept between runs for that mirror and no other.
//!
//! What was chosen is noted in another file, and a run may end between the two. So the file itself says which mirror it
//! is for: no other one is ever shown it.

use aami_install::root::FsError;
use aami_install::{Host, HostPath, NotAHostPath};

use super::layout::Layout;
use super::wishes::Wishes;
use crate::download::Credential;

/// An address and a header, each of a line; a longer file is something else.
const LONGEST: u64 = 32 * 1024;

/// Why it is not known what a mirror wants to see. The message never holds the file's content.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The file is not there.
    #[error("what the mirror {mirror} wants to see is not kept here any more: there is no {path}")]
    Gone {
        /// The mirror.
        mirror: String,
        /// The file.
        path: HostPath,
    },
    /// The file keeps another mirror's, or none.
    #[error("what the mirror {mirror} wants to see is not kept here: {path} is not about it")]
    Anothers {
        /// The mirror.
        mirror: String,
        /// The file.
        path: HostPath,
    },
    /// The file cannot be read.
    #[error("what the mirror {mirror} wants to see was kept, and cannot be read: {source}")]
    Unreadable {
        /// The mirror.
        mirror: String,
        /// Why.
        source: FsError,
    },
    /// The folders that were chosen are none.
    #[error(transparent)]
    Path(#[from] NotAHostPath),
}

/// What the mirror that was chosen wants to see, as an earlier run was told. Nothing where it wants to see nothing.
pub fn kept_credential(host: &Host, wishes: &Wishes) -> Result<Option<Credential>, NotKept> {
    let Some(mirror) = wishes.mirror.clone().filter(|_| wishes.mirror_credential) else {
        return Ok(None);
    };
    let path = Layout::of(wishes)?.mirror_credential;
    let bytes = match host.root.read(&path, LONGEST) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(NotKept::Gone { mirror, path }),
        Err(source) => return Err(NotKept::Unreadable { mirror, source }),
    };
    let text = String::from_utf8_lossy(&bytes);
    match Credential::of_kept(&text, &mirror) {
        Some(credential) => Ok(Some(credential)),
        None => Err(NotKept::Anothers { mirror, path }),
    }
}
