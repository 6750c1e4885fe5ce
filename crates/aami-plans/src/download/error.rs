//! Why a download failed, and whether trying again may help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aami_api::client::ClientError;
use aami_model::code::{self, Code};

use crate::components::Sha256Sum;
#[cfg(feature = "preflight")]
use crate::preflight::Fault;

/// Why a download failed. Nothing was kept, except the beginning of one that broke off.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Not an address.
    #[error("{0:?} is not an http:// or https:// address")]
    BadUrl(String),
    /// A proxy that cannot be understood. It may hold a password, so it is not repeated.
    #[error("the proxy setting cannot be understood")]
    BadProxy,
    /// No connection, or none that can be trusted.
    #[error("cannot download {url}{}: {source}", by_a_proxy(*.by_proxy))]
    Transport {
        /// What was asked for.
        url: String,
        /// The hop it ended at.
        source: ClientError,
        /// Whether a proxy was asked for it: then names and addresses that fail are the proxy's.
        by_proxy: bool,
    },
    /// It is not there.
    #[error("{url} does not exist there")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// Another answer than the file.
    #[error("{url} was answered with HTTP status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// It ended early.
    #[error("the download of {url} broke off after {got} bytes{}: {why}", of_bytes(*.of))]
    BrokeOff {
        /// What was asked for.
        url: String,
        /// How many bytes came.
        got: u64,
        /// How many there are, where that was said.
        of: Option<u64>,
        /// What the transport says.
        why: String,
    },
    /// Larger than anything wanted can be.
    #[error("{url} is larger than {largest} bytes, which is more than it can be")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        largest: u64,
    },
    /// A web page, or something else that is not the file.
    #[error("{url} answered with {found} where {expected} was expected")]
    NotWhatItSays {
        /// What answered.
        url: String,
        /// What came.
        found: String,
        /// What should have.
        expected: &'static str,
    },
    /// Not the file that was wanted.
    #[error("{origin}: expected SHA-256 {expected}, and it has {actual}; nothing was placed")]
    Checksum {
        /// Where it came from.
        origin: String,
        /// The one wanted.
        expected: Sha256Sum,
        /// The one it has.
        actual: Sha256Sum,
    },
    /// Whoever wanted it wants it no more.
    #[error("the download was called off")]
    CalledOff,
    /// Reading or writing here failed.
    #[error("{}: {source}", .path.display())]
    Storage {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

const fn by_a_proxy(by_proxy: bool) -> &'static str {
    if by_proxy { " by the proxy that is set" } else { "" }
}

fn of_bytes(of: Option<u64>) -> String {
    of.map_or_else(String::new, |of| format!(" of {of}"))
}

impl DownloadError {
    pub(super) fn transport(url: &str, error: ureq::Error, by_proxy: bool) -> Self {
        let server = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Self::Transport {
            url: url.to_owned(),
            source: ClientError::transport(&server, error),
            by_proxy,
        }
    }

    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::BadUrl(_) | Self::BadProxy => code::INVALID,
            Self::Transport {
                source: ClientError::Untrusted { .. } | ClientError::Ca,
                ..
            } => code::SERVER_NOT_TRUSTED,
            Self::Transport {
                source: ClientError::Unreachable { source, .. },
                by_proxy,
                ..
            } => of_proxy(source, *by_proxy).unwrap_or(code::DOWNLOAD_FAILED),
            // Only a proxy answers so (RFC 9110, 15.5.8).
            Self::Status { status: 407, .. } => code::PROXY_AUTH,
            Self::Transport {
                source: ClientError::Name { .. },
                by_proxy: true,
                ..
            } => code::PROXY_UNREACHABLE,
            Self::Transport { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::BrokeOff { .. }
            | Self::TooLarge { .. } => code::DOWNLOAD_FAILED,
            Self::NotWhatItSays { .. } => code::NOT_A_PROGRAM,
            Self::Checksum { .. } => code::CHECKSUM_MISMATCH,
            Self::CalledOff => code::INTERRUPTED,
            Self::Storage { source, .. } => storage_code(source),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            // A password that is missing is not there a moment later either.
            Self::Transport { source, .. } => source.is_passing() && self.code() != code::PROXY_AUTH,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::BrokeOff { .. } => true,
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether another source may still have the file: it is not there, or this one does not work.
    /// A file that is there and is the wrong one is no reason to look further: somebody must know.
    pub fn may_be_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Status { .. } | Self::BrokeOff { .. } | Self::Transport { .. }
        )
    }
}

/// What a failure of the disk here means.
pub fn storage_code(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => code::DISK_FULL,
        io::ErrorKind::ReadOnlyFilesystem => code::READ_ONLY,
        io::ErrorKind::PermissionDenied => code::NOT_ROOT,
        _ => code::STEP_FAILED,
    }
}

/// What the proxy on the way said, where the way ended there.
#[cfg(feature = "preflight")]
fn of_proxy(source: &ureq::Error, by_proxy: bool) -> Option<Code> {
    match Fault::of(source, by_proxy).0 {
        proxy @ (Fault::ProxyPassword | Fault::ProxyAway | Fault::ProxyRefused) => Some(proxy.code()),
        _ => None,
    }
}

/// Whoever looks at no roads tells no hops apart.
#[cfg(not(feature = "preflight"))]
const fn of_proxy(_: &ureq::Error, _: bool) -> Option<Code> {
    None
}
