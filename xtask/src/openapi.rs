//! `openapi/aami-v1.json`: the control plane's description of itself.
//!
//! The test that compares the file with what is served is told to write it first: what is served is asked of
//! a control plane at work, and this crate need not build one.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// Writes the document.
pub(crate) fn write(root: &Path) -> Result<bool> {
    let status = Command::new("cargo")
        .args([
            "test",
            "--package",
            "aami-server",
            "--test",
            "it",
            "the_checked_in_api_description",
        ])
        .env("AAMI_WRITE_OPENAPI", "1")
        .current_dir(root)
        .status()?;
    Ok(status.success())
}
