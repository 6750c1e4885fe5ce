//! `aami version`.

use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::screen::Format;
use super::surroundings::Surroundings;

/// What was built, and when, as `build.rs` finds it; outside of a checkout nobody knows.
const COMMIT: Option<&str> = option_env!("AAMI_COMMIT");
const BUILT: Option<&str> = option_env!("AAMI_BUILT");

/// Show this program's version
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami version
  aami version -o json | jq -r .version")]
pub(crate) struct Version {
    #[command(flatten)]
    output: Output,
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
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let shown = Shown {
            name: "aami",
            version: env!("CARGO_PKG_VERSION"),
            commit: COMMIT.unwrap_or("unknown"),
            built: BUILT.unwrap_or("unknown"),
            architecture: std::env::consts::ARCH,
        };
        self.output.screen(surroundings).show_one(
            &shown,
            &format!(
                "AAMI v{} (commit: {}, built: {})",
                shown.version, shown.commit, shown.built
            ),
        )?;
        Ok(Exit::Ok)
    }
}
