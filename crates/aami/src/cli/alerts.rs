//! `aami alerts`: what is watched, and who hears of it. One file per verb.

mod list_presets;
mod show_preset;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Alerts: presets and packs of rules
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    ListPresets(list_presets::ListPresets),
    ShowPreset(show_preset::ShowPreset),
}

impl Alerts {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.verb {
            Verb::ListPresets(verb) => verb.run(&mut self.common.screen(surroundings)),
            Verb::ShowPreset(verb) => verb.run(&mut self.common.screen(surroundings)),
        }
    }
}
