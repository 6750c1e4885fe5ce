//! `aami man`.

use std::path::PathBuf;

use aami_model::Exit;
use clap::Args;

use super::failure::Failure;
use super::screen::{Format, Screen};
use super::secret::written;

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages, e.g. /usr/local/share/man/man1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let command = super::command();
        if let Some(dir) = self.dir {
            clap_mangen::generate_to(command, &dir).map_err(written(&dir))?;
        } else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(Failure::Output)?;
            Screen::new(Format::Table).write(&String::from_utf8_lossy(&page))?;
        }
        Ok(Exit::Ok)
    }
}
