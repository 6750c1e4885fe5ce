//! Preflight: is everything there that an installation needs, before the first change?
//!
//! [`Facts::gather`] looks at the machine and the way to other machines, [`check`] judges what was found
//! and is pure, [`text`] and [`json`] show the [`Report`]. What is checked follows from what will be
//! installed ([`needs`]); what has no meaning there is skipped, and says so. Everything is looked at
//! before anything is said.
//!
//! [`fix`] turns what can be mended into an ordinary plan of effects, shown before and undone like any
//! other. A look itself leaves nothing behind: the files it tries folders with are removed at once.
//!
//! This room prints nothing, asks nobody, and decides nothing about exit codes beyond the report's own.

mod asked;
mod check;
pub mod command;
mod facts;
pub mod first_step;
pub mod fix;
mod json;
pub mod needs;
mod report;
mod request;
mod road;
mod room;
mod text;
mod trial;

pub use asked::{Asked, Unreadable};
pub use facts::{Facts, NameFacts, PlaceFacts, Rights, World};
pub use json::json;
pub use report::{Category, Check, Evidence, Outcome, Remedy, Report};
pub use request::{Choice, Hints, Minima, Mode, Request, Runtime, Sizes};
pub use road::{Expect, Fault, Lookup, RealRoad, Road, Seen, Target};
pub use room::Room;
pub use text::{Detail, text};
pub use trial::Trial;

/// Judges what was found. Pure: the same facts give the same report.
pub fn check(request: &Request, facts: &Facts) -> Report {
    let mut report = Report {
        choice: facts.choice.clone(),
        at: facts.now,
        checks: check::all(request, facts),
    };
    report.ignore(&request.ignored);
    report
}

/// Looks and judges.
pub fn look(world: &World<'_>, request: &Request) -> Report {
    check(request, &Facts::gather(world, request))
}
