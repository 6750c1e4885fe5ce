//! `aami alerts`: what is watched, and who hears of it. One file per verb.

mod apply_preset;
mod list;
mod list_presets;
mod rules;
mod show_preset;
mod test;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Alerts: presets, packs and rules of your own, and whom they tell
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
    ApplyPreset(apply_preset::ApplyPreset),
    List(list::List),
    Test(test::Test),
    Rules(rules::Rules),
}

impl Alerts {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.verb {
            Verb::ListPresets(verb) => verb.run(&mut self.common.screen(surroundings)),
            Verb::ShowPreset(verb) => verb.run(&mut self.common.screen(surroundings)),
            Verb::ApplyPreset(verb) => verb.run(self.common.fleet(surroundings)?.as_mut()),
            Verb::List(verb) => verb.run(self.common.fleet(surroundings)?.as_mut()),
            Verb::Test(verb) => verb.run(self.common.fleet(surroundings)?.as_mut()),
            Verb::Rules(verb) => verb.run(self.common.fleet(surroundings)?.plane("aami alerts rules")?),
        }
    }
}
