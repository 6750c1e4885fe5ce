//! `aami bundle`: what a site without internet installs from, made, looked at and verified. One file per verb. None
//! needs a control plane.

mod contents;
mod create;
mod inspect;
mod new_key;
mod verify;
mod watch;

use aami_model::Exit;
use clap::{Args, Subcommand};
pub(crate) use watch::Watch;

use super::failure::Failure;
use super::screen::Format;
use super::surroundings::Surroundings;

/// Offline bundles: everything a site without internet installs from
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Box<create::Create>),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    NewKey(new_key::NewKey),
}

impl Bundle {
    pub(crate) const fn format(&self) -> Format {
        match &self.verb {
            Verb::Create(verb) => verb.format(),
            Verb::Inspect(verb) => verb.format(),
            Verb::Verify(verb) => verb.format(),
            Verb::NewKey(verb) => verb.format(),
        }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.verb {
            Verb::Create(verb) => verb.run(surroundings),
            Verb::Inspect(verb) => verb.run(surroundings),
            Verb::Verify(verb) => verb.run(surroundings),
            Verb::NewKey(verb) => verb.run(surroundings),
        }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size shown to people")]
    let bytes_shown = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes_shown / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes_shown / 1e6),
        _ => format!("{:.1} GB", bytes_shown / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_told_in_three_digits_or_four() {
        for (bytes, told) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (45_678_901, "45.7 MB"),
            (2_000_000_000, "2.0 GB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }
}
