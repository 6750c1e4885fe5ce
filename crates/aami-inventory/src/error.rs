//! What can keep a needed fact from being known, and what is only worth a warning.

use aami_model::code::{self, Code};
use serde::Serialize;

/// A fact that is needed and cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// No host name anywhere.
    #[error("this machine has no host name: /proc/sys/kernel/hostname and /etc/hostname are empty")]
    NoHostname,
    /// A host name that is none by RFC 1123.
    #[error("the host name {name:?} from {source_path} cannot be used: {reason}")]
    BadHostname {
        /// What it says there, cut to what fits in a line.
        name: String,
        /// The file.
        source_path: &'static str,
        /// The rule it breaks.
        reason: aami_model::hostname::NotAHostname,
    },
    /// The program's own header could not be read, or names a processor that is not supported.
    #[error("the processor architecture is unknown: {0}")]
    Architecture(String),
    /// The kernel has no route to the server.
    #[error("there is no route from here to {server}: {source}")]
    NoRoute {
        /// Where the route should have led.
        server: std::net::SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
    },
}

impl InventoryError {
    /// The registry's entry for it.
    pub const fn code(&self) -> Code {
        match self {
            Self::NoRoute { .. } => code::UNREACHABLE,
            Self::NoHostname | Self::BadHostname { .. } => code::HOSTNAME_INVALID,
            Self::Architecture(_) => code::DETECTION_FAILED,
        }
    }
}

/// Something a reader should know about, though every needed fact was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The symbol of the registry's entry, e.g. `VENDOR_TOOL_FAILED`.
    pub code: &'static str,
    /// One line that names the thing.
    pub message: String,
}

impl Warning {
    /// A vendor's tool that failed, in one line.
    pub(crate) fn tool(message: impl Into<String>) -> Self {
        Self {
            code: code::VENDOR_TOOL_FAILED.symbol,
            message: message.into(),
        }
    }

    /// A fact that could not be read.
    pub(crate) fn detection(message: impl Into<String>) -> Self {
        Self {
            code: code::DETECTION_FAILED.symbol,
            message: message.into(),
        }
    }
}

/// Cuts foreign text to one short printable line.
pub(crate) fn one_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}
