//! `aami version`.

use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::screen::{Format, Screen};
use super::table::Table;

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
            architecture: std::env::consts::ARCH,
        };
        Screen::new(self.output).show(&shown, |_| {
            let mut table = Table::of_one();
            table.row([format!("aami {} ({})", shown.version, shown.architecture)]);
            table
        })?;
        Ok(Exit::Ok)
    }
}
