//! Reading and writing receipts.

use std::io;

use super::{Before, Receipt, Recorded, VERSION};
use crate::path::HostPath;
use crate::root::{Attributes, FsError, Root};
use crate::tracking::{Folder, PlanId, Tracking};

/// A receipt larger than this is none.
const LIMIT: u64 = 64 << 20;

/// Why a receipt could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The file could not be read at all.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is no JSON document of the right form.
    #[error("{path} is not a receipt: {source}")]
    Malformed {
        /// Where.
        path: HostPath,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It records something this program does not know, and cannot take back.
    #[error("{path} records an effect of the kind {kind:?}, which this program does not know")]
    UnknownKind {
        /// Where.
        path: HostPath,
        /// The kind.
        kind: String,
    },
    /// It was written by a newer program.
    #[error("{path} has version {found}; this program reads versions up to {VERSION}")]
    Newer {
        /// Where.
        path: HostPath,
        /// Its version.
        found: u64,
    },
}

/// The receipt in `folder`; `None` where there is none.
pub(crate) fn load(root: &Root, folder: &Folder) -> Result<Option<Receipt>, ReceiptError> {
    read(root, folder.receipt())
}

fn read(root: &Root, path: &HostPath) -> Result<Option<Receipt>, ReceiptError> {
    let Some(bytes) = root.read(path, LIMIT)? else {
        return Ok(None);
    };
    let malformed = |source| ReceiptError::Malformed {
        path: path.clone(),
        source,
    };
    let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(malformed)?;
    match document.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(VERSION) => Err(ReceiptError::Newer {
            path: path.clone(),
            found,
        }),
        _ => {
            if let Some(kind) = unknown_kind(&document) {
                return Err(ReceiptError::UnknownKind {
                    path: path.clone(),
                    kind,
                });
            }
            Ok(Some(serde_json::from_value(document).map_err(malformed)?))
        }
    }
}

/// The first kind of effect, or of what stood there before, that this program does not know.
fn unknown_kind(document: &serde_json::Value) -> Option<String> {
    let effects = document.get("effects")?.as_array()?;
    effects.iter().find_map(|effect| {
        let unknown = |value: &serde_json::Value, known: &[&str]| {
            let kind = value.as_str()?;
            (!known.contains(&kind)).then(|| kind.chars().take(100).collect())
        };
        let mut earlier = effect["earlier"].as_array().into_iter().flatten();
        unknown(&effect["kind"], &Recorded::KINDS)
            .or_else(|| unknown(&effect["before"]["was"], &Before::KINDS))
            .or_else(|| earlier.find_map(|effect| unknown(&effect["kind"], &Recorded::KINDS)))
    })
}

/// The receipts of all other plans tracked beside this one, by their names.
pub(crate) fn others(
    root: &Root,
    tracking: &Tracking,
    own: &PlanId,
) -> Result<Vec<(PlanId, Receipt)>, ReceiptError> {
    let mut found = Vec::new();
    for other in tracking.plans(root)? {
        if other == *own {
            continue;
        }
        if let Some(receipt) = load(root, &tracking.folder(&other))? {
            found.push((other, receipt));
        }
    }
    Ok(found)
}

/// Replaces the receipt in `folder`, durably: two syncs.
pub(crate) fn store(root: &Root, folder: &Folder, receipt: &Receipt) -> Result<(), FsError> {
    let receipt = Receipt {
        version: receipt.least_version(),
        ..receipt.clone()
    };
    let mut bytes = serde_json::to_vec_pretty(&receipt).map_err(|error| FsError {
        doing: "write",
        path: folder.receipt().clone(),
        source: io::Error::other(error),
    })?;
    bytes.push(b'\n');
    root.replace(folder.receipt(), &mut bytes.as_slice(), Attributes::PRIVATE, true)?;
    root.sync_folder(folder.path())
}

/// Removes the receipt.
pub(crate) fn remove(root: &Root, folder: &Folder) -> Result<(), FsError> {
    root.remove(folder.receipt())
}

/// Gives a receipt that cannot be read another name, and says which.
pub(crate) fn set_aside(root: &Root, folder: &Folder) -> Result<HostPath, FsError> {
    for n in 1..1000 {
        let aside = folder.receipt().beside("", &format!(".unreadable-{n}"));
        if root.set_aside(folder.receipt(), &aside)? {
            return Ok(aside);
        }
    }
    let source = io::Error::new(
        io::ErrorKind::AlreadyExists,
        "999 unreadable receipts lie beside it already",
    );
    Err(FsError {
        doing: "set aside",
        path: folder.receipt().clone(),
        source,
    })
}
