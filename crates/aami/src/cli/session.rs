//! What a command that asks the control plane works with.

use aami_api::client::Client;
use aami_model::code;
use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::reach::Reach;
use super::screen::{Format, Screen};
use super::surroundings::Surroundings;
use crate::fleet::{self, Decision, Fleet};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

impl Common {
    /// The form asked for.
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    /// Standard output and standard error, in the form asked for.
    pub(crate) fn screen(&self, surroundings: &Surroundings) -> Screen {
        self.output.screen(surroundings)
    }

    /// The fleet there is, whichever way it is kept; says which.
    pub(crate) fn fleet(&self, surroundings: &Surroundings) -> Result<Box<dyn Fleet>, Failure> {
        fleet::choose(&self.reach, surroundings, self.screen(surroundings))
    }

    /// Finds the control plane and says so. For commands that have no meaning without one.
    pub(crate) fn session(&self, surroundings: &Surroundings) -> Result<Session, Failure> {
        match fleet::decide(&self.reach, surroundings)? {
            Decision::Plane(plane) => plane.connect(&self.reach, self.screen(surroundings)),
            Decision::File(place) => Err(Failure::found(
                code::NEEDS_CONTROL_PLANE,
                format!(
                    "this needs a control plane; none was named, and none left an admin.key here, so commands act on \
                     the file fleet {}",
                    place.config.display()
                ),
            )),
        }
    }
}

/// A control plane to ask and a screen to show its answers.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
}
