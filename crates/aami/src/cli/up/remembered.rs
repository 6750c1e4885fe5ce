//! The ports of the last start: enrolled nodes know the control plane's, so the same ones are tried
//! first.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::cli::secret::written;

const FILE: &str = "up.json";

/// What the next start tries first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Remembered {
    /// The control plane's.
    pub(super) server: Option<u16>,
    /// Prometheus'.
    pub(super) prometheus: Option<u16>,
    /// node_exporter's.
    pub(super) exporter: Option<u16>,
}

impl Remembered {
    /// What the last start left; nothing where it left nothing that can be read.
    pub(super) fn read(data: &Path) -> Self {
        fs::read(data.join(FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Leaves it for the next start.
    pub(super) fn write(&self, data: &Path) -> Result<(), Failure> {
        let path = data.join(FILE);
        let draft = data.join("up.json.new");
        fs::write(&draft, serde_json::to_vec(self).unwrap_or_default())
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(written(&path))
    }
}
