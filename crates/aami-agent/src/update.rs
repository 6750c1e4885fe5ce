//! Replacing the agent: `aami-agent update`, run by `aami-agent-update.service` and never by people.
//!
//! The daemon's unit lets it write in its own folder alone. It leaves a request and starts this unit, which runs the agent that is
//! installed, with the rights of an installer. It fetches a release from the control plane, judges it by the key that
//! lies on this host, tries it, and takes it back where it does not come up:
//!
//! | phase | what was done when it begins | what undoes it |
//! |---|---|---|
//! | `fetching` | the request was taken | nothing was changed |
//! | `trial` | the new program lies in a folder of its own | the unit's drop-in and that folder go |
//! | `settling` | the control plane has acknowledged the new agent | the old agent installs itself again |
//! | `back` | something of the above went wrong | is the undoing itself |
//!
//! [`course`] is that order, and nothing else: after a kill or a power cut at any point it is begun again with the
//! phase in the [`journal`], and every piece may be done twice. [`place`] does the pieces on the host. Settling is the
//! node plan itself, run by the new agent: from then on it is installed like any other, with its receipt. In the end the
//! agents before the last one go, by that receipt.
//!
//! Of what the daemon wrote little is believed. From its request comes a version, which is a name, and no path or
//! address; and whether the node is pinned to it, which lets an older release through that is signed all the same. From
//! its standing comes that it was acknowledged, and only for the very run that the service manager knows. Its files are
//! opened without following a link, and never where something else than a file lies.

mod course;
mod journal;
mod place;
mod release;

pub(crate) use course::{Patience, run};
pub(crate) use journal::{Book, Outcome, Request, Standing, life_of};
pub(crate) use place::{Place, Prune};

use aami_model::Code;

/// Why a piece did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Wrong {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
