//! One action on several things: each is tried, what failed is told, and the exit code says whether it was
//! one, some or all of them.

use std::fmt::Display;

use aami_model::Exit;
use serde::Serialize;

use super::failure::Failure;
use super::screen;
use super::session::Session;

/// What was done to one thing.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    id: String,
    done: String,
}

impl Done {
    pub(crate) fn new(id: impl Display, done: impl Into<String>) -> Self {
        Self {
            id: id.to_string(),
            done: done.into(),
        }
    }
}

/// Does `action` to each of `names`, in order. A failure with one alone is that failure; of several, the
/// others are done all the same and the exit code is [`Exit::Partial`], or the last failure's when none
/// could be done.
pub(crate) fn each(
    session: &mut Session,
    names: &[String],
    mut action: impl FnMut(&mut Session, &str) -> Result<Done, Failure>,
) -> Result<Exit, Failure> {
    let mut done = 0;
    let mut last = None;
    for name in names {
        match action(session, name) {
            Ok(what) => {
                done += 1;
                session.screen.show_one(&what, &what.done)?;
            }
            Err(failure @ (Failure::Closed | Failure::Output(_))) => return Err(failure),
            Err(failure) if names.len() == 1 => return Err(failure),
            Err(failure) => {
                screen::complain(&failure, session.screen.format());
                last = Some(failure.exit());
            }
        }
    }
    Ok(match last {
        None => Exit::Ok,
        Some(_) if done > 0 => Exit::Partial,
        Some(exit) => exit,
    })
}
