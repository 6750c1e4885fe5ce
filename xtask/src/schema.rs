//! `docs/config.schema.json`, and the table of fields in `docs/guide/configuration.md`.
//!
//! The tests that compare them with the declaration of the configuration are told to write them first, so this crate
//! need not build it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// Writes both.
pub(crate) fn write(root: &Path) -> Result<bool> {
    let status = Command::new("cargo")
        .args(["test", "--package", "aami-config", "--test", "it", "generated"])
        .env("AAMI_WRITE_SCHEMA", "1")
        .current_dir(root)
        .status()?;
    Ok(status.success())
}
