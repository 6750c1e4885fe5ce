//! What a node says about the hardware and system it runs on.

use serde::{Deserialize, Serialize};

/// The system a node runs, as it reported it. Nothing here decides anything: it is shown and
/// searched. Numbers are what the node counted; absent means not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SystemInfo {
    /// Distribution, e.g. `debian`.
    pub os: String,
    /// Its version, e.g. `12`.
    pub os_version: String,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// Kernel release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Logical CPUs.
    pub cpu_cores: u32,
    /// Memory in GiB, rounded.
    pub memory_gb: u32,
    /// `nvidia`, `amd` or `intel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_vendor: Option<String>,
    /// E.g. `H100-SXM5-80GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_count: Option<u32>,
    /// Memory of each, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory_bytes: Option<u64>,
}

impl SystemInfo {
    /// Whether every text is short and printable.
    pub fn check(&self) -> Result<(), &'static str> {
        let fits = |text: &str| text.len() <= 256 && !text.chars().any(char::is_control);
        let optional = |text: &Option<String>| text.as_deref().is_none_or(fits);
        if !fits(&self.os) || !fits(&self.os_version) || !fits(&self.architecture) {
            return Err("os, os_version and architecture are at most 256 printable characters");
        }
        if !optional(&self.kernel) || !optional(&self.gpu_vendor) || !optional(&self.gpu_model) {
            return Err("kernel, gpu_vendor and gpu_model are at most 256 printable characters");
        }
        Ok(())
    }
}

/// Whether a text is a machine fingerprint or another SHA-256: 64 lower-case hex digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a text is a machine-id as `machine-id(5)` has it: 32 lower-case hex digits, not all zero.
pub fn is_machine_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && text.bytes().any(|b| b != b'0')
}
