//! `aami config schema`.

use aami_model::Exit;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::screen::Screen;

/// Print the JSON schema of the configuration, for editors
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config schema > aami.schema.json
  # and as the first line of config.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=aami.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(super) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        screen.write(&aami_config::schema::text())?;
        Ok(Exit::Ok)
    }
}
