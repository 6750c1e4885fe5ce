//! `aami-agent version`.

use aami_model::{Exit, version};
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::screen;

/// What was built, and when, as `build.rs` finds it; outside of a checkout nobody knows.
const COMMIT: Option<&str> = option_env!("AAMI_COMMIT");
const BUILT: Option<&str> = option_env!("AAMI_BUILT");

/// Show this program's version
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    version: &'static str,
    commit: &'static str,
    built: &'static str,
    architecture: &'static str,
}

impl Version {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let shown = Shown {
            name: "aami-agent",
            version: version::own(),
            commit: COMMIT.unwrap_or("unknown"),
            built: BUILT.unwrap_or("unknown"),
            architecture: std::env::consts::ARCH,
        };
        if self.json {
            screen::json(&shown);
        } else {
            screen::line(&format!(
                "aami-agent {} ({}, commit: {}, built: {})",
                shown.version, shown.architecture, shown.commit, shown.built
            ));
        }
        Ok(Exit::Ok)
    }
}
