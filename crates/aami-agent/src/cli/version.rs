//! `aami-agent version`.

use aami_model::{Exit, version};
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::screen;

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
    architecture: &'static str,
}

impl Version {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let shown = Shown {
            name: "aami-agent",
            version: version::own(),
            architecture: std::env::consts::ARCH,
        };
        if self.json {
            screen::json(&shown);
        } else {
            screen::line(&format!("aami-agent {} ({})", shown.version, shown.architecture));
        }
        Ok(Exit::Ok)
    }
}
