//! `aami config`: the operator's configuration, looked at and changed; and configuration for other programs. One file
//! per verb.

mod check;
mod field;
mod grafana;
mod import;
mod prometheus;
mod schema;
mod set;
mod show;
mod unset;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;
use crate::fleet::{FileFleet, Place};

/// The operator's configuration, and configuration for other programs
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(show::Show),
    Check(check::Check),
    Set(set::Set),
    Unset(unset::Unset),
    Import(import::Import),
    Schema(schema::Schema),
    Prometheus(prometheus::Prometheus),
    Grafana(grafana::Grafana),
}

impl Config {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let reach = &self.common.reach;
        let mut screen = self.common.screen(surroundings);
        // The file itself is meant, whether or not it names a control plane.
        let file = |screen| {
            let place = Place::new(reach.root.as_deref(), reach.config.as_deref(), surroundings);
            FileFleet::new(place, screen)
        };
        match self.verb {
            Verb::Show(verb) => verb.run(&mut file(screen), reach, surroundings),
            Verb::Check(verb) => verb.run(&mut file(screen)),
            Verb::Set(verb) => verb.run(&mut file(screen)),
            Verb::Unset(verb) => verb.run(&mut file(screen)),
            Verb::Schema(verb) => verb.run(&mut screen),
            Verb::Import(verb) => verb.run(&mut file(screen), &mut self.common.session(surroundings)?),
            Verb::Grafana(verb) => verb.run(&mut screen),
            Verb::Prometheus(verb) => verb.run(&mut self.common.session(surroundings)?, reach),
        }
    }
}
