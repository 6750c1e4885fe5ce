//! What a command that asks the control plane works with.

use aami_api::client::Client;
use clap::Args;

use super::failure::Failure;
use super::reach::Reach;
use super::screen::{Format, Screen};
use super::surroundings::Surroundings;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// Form of the output
    #[arg(short, long, global = true, value_name = "FORM", default_value = "table")]
    output: Format,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

impl Common {
    /// The form asked for.
    pub(crate) const fn format(&self) -> Format {
        self.output
    }

    /// Finds the control plane and says so.
    pub(crate) fn session(&self, surroundings: &Surroundings) -> Result<Session, Failure> {
        let mut screen = Screen::new(self.output);
        let reached = self.reach.connect(surroundings)?;
        for note in &reached.notes {
            screen.note(note);
        }
        Ok(Session {
            client: reached.client,
            screen,
        })
    }
}

/// A control plane to ask and a screen to show its answers.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
}
