//! `aami completions SHELL`.

use aami_model::Exit;
use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::screen::{Format, Screen};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami completions bash > ~/.local/share/bash-completion/completions/aami
  aami completions zsh > ~/.zfunc/_aami")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "aami", &mut script);
        Screen::new(Format::Table).write(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Ok)
    }
}
