//! Why a run could not begin.

use aami_model::Code;
use aami_model::code;

use crate::effect::EffectError;
use crate::lock::Holder;
use crate::path::HostPath;
use crate::receipt::ReceiptError;
use crate::tracking::NotAName;

/// Why a run could not begin. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Another installer is at work.
    #[error("another installer holds {lock}{}", holder.as_ref().map_or(String::new(), who))]
    Locked {
        /// The lock file.
        lock: HostPath,
        /// Who holds it, where that can be told.
        holder: Option<Holder>,
    },
    /// The record of what was done cannot be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The host could not be looked at.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// The cluster's or plan's name cannot be a folder's.
    #[error(transparent)]
    Name(#[from] NotAName),
}

fn who(holder: &Holder) -> String {
    format!(
        ": process {}, plan {}, since {}",
        holder.pid, holder.plan, holder.started_at
    )
}

impl InstallError {
    /// The condition people are told about.
    pub fn code(&self) -> Code {
        match self {
            Self::Locked { .. } => code::LOCKED,
            Self::Receipt(ReceiptError::Fs(error)) => crate::effect::fs_code(error),
            Self::Receipt(ReceiptError::Newer { .. } | ReceiptError::UnknownKind { .. }) => {
                code::RECEIPT_NEWER
            }
            Self::Receipt(_) => code::RECEIPT_UNREADABLE,
            Self::Effect(error) => error.code(),
            Self::Name(_) => code::INVALID,
        }
    }
}
