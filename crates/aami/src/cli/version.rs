//! `aami version`.

use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::screen::{Format, Screen};

/// What was built, and when, as whoever makes a release says; a build at a desk does not know.
const COMMIT: Option<&str> = option_env!("AAMI_COMMIT");
const BUILT: Option<&str> = option_env!("AAMI_BUILT");

/// Show this program's version
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Form of the output
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Format,
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
        self.output
    }

    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let shown = Shown {
            name: "aami",
            version: env!("CARGO_PKG_VERSION"),
            commit: COMMIT.unwrap_or("unknown"),
            built: BUILT.unwrap_or("unknown"),
            architecture: std::env::consts::ARCH,
        };
        Screen::new(self.output).show_one(
            &shown,
            &format!(
                "AAMI v{} (commit: {}, built: {})",
                shown.version, shown.commit, shown.built
            ),
        )?;
        Ok(Exit::Ok)
    }
}
