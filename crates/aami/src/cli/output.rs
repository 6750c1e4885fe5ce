//! How a command says what it says: `-o`, `--quiet` and `--no-color`, the same wherever they are.
//!
//! [`Output`] is for commands that show a result in several forms, [`Manner`] for those with a form of their own, such
//! as `--json`. Whether there are colours is decided here and nowhere else: [`Colours`].

use std::io::IsTerminal as _;

use aami_install::render::Colour;
use clap::Args;

use super::screen::{Format, Screen};
use super::surroundings::Surroundings;

/// The form of a result, and how it is said.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Output {
    /// Form of the output
    #[arg(short, long, global = true, value_name = "FORM", default_value = "table")]
    output: Format,
    #[command(flatten)]
    pub(crate) manner: Manner,
}

/// How much is said, and whether in colour.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Manner {
    /// Say nothing beside the data and what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) colours: Colours,
}

/// Whether there are colours, as far as the command line says.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Colours {
    /// No colours [NO_COLOR]
    #[arg(long, global = true)]
    no_color: bool,
}

impl Output {
    /// The form asked for.
    pub(crate) const fn format(&self) -> Format {
        self.output
    }

    /// Standard output and standard error, in the form asked for.
    pub(crate) fn screen(&self, surroundings: &Surroundings) -> Screen {
        self.manner.screen(self.output, surroundings)
    }
}

impl Manner {
    /// Whether standard error shows how far something is: to a person, unless nothing beside the data is wanted.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Standard output and standard error, in a form that is decided elsewhere.
    pub(crate) fn screen(&self, format: Format, surroundings: &Surroundings) -> Screen {
        Screen::new(format)
            .quiet(self.quiet)
            .coloured(self.colours.on(surroundings))
    }
}

impl Colours {
    /// Whether standard output has colours: the flag comes first, then `NO_COLOR`, then whether it is a terminal.
    pub(crate) fn on(&self, surroundings: &Surroundings) -> Colour {
        self.where_shown(surroundings, std::io::stdout().is_terminal())
    }

    /// The same of a stream that is a terminal, or is none.
    pub(crate) fn where_shown(&self, surroundings: &Surroundings, is_terminal: bool) -> Colour {
        if !self.no_color && surroundings.colour && is_terminal {
            Colour::Always
        } else {
            Colour::Never
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_colours_only_where_nobody_and_nothing_is_against_them() {
        for (no_color, colour, is_terminal, expected) in [
            (false, true, true, Colour::Always),
            (true, true, true, Colour::Never),
            (false, false, true, Colour::Never),
            (false, true, false, Colour::Never),
        ] {
            let surroundings = Surroundings {
                colour,
                ..Surroundings::default()
            };
            let colours = Colours { no_color };
            assert_eq!(colours.where_shown(&surroundings, is_terminal), expected);
        }
    }
}
