//! One action on several things: each is tried, what failed is told, and the exit code says whether it was
//! one, some or all of them.

use std::fmt::Display;

use aami_model::Exit;
use serde::Serialize;

use super::dry::Request;
use super::failure::Failure;
use super::screen::{self, Screen};
use super::session::Session;

/// What was done to one thing, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    id: String,
    done: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
}

impl Done {
    pub(crate) fn new(id: impl Display, done: impl Into<String>) -> Self {
        Self {
            id: id.to_string(),
            done: done.into(),
            dry_run: false,
            request: None,
        }
    }

    /// What would be done, and was not.
    pub(crate) fn would(id: impl Display, would: impl Into<String>) -> Self {
        Self {
            dry_run: true,
            ..Self::new(id, would)
        }
    }

    /// By which request.
    pub(crate) fn by(self, request: Request) -> Self {
        Self {
            request: Some(request),
            ..self
        }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        match &self.request {
            Some(request) => format!("{}: {request}", self.done),
            None => self.done.clone(),
        }
    }

    /// Tells it as all there is to tell.
    pub(crate) fn tell(&self, screen: &mut Screen) -> Result<Exit, Failure> {
        screen.show_one(self, &self.line())?;
        Ok(Exit::Ok)
    }
}

/// What became of several things so far.
struct Tally {
    /// Whether there is only one thing: then its failure is the command's.
    alone: bool,
    done: usize,
    last: Option<Exit>,
}

impl Tally {
    const fn of(count: usize) -> Self {
        Self {
            alone: count == 1,
            done: 0,
            last: None,
        }
    }

    fn take(&mut self, screen: &mut Screen, attempt: Result<Done, Failure>) -> Result<(), Failure> {
        match attempt {
            Ok(what) => {
                self.done += 1;
                screen.show_one(&what, &what.line())
            }
            Err(failure @ (Failure::Closed | Failure::Output(_))) => Err(failure),
            Err(failure) if self.alone => Err(failure),
            Err(failure) => {
                screen::complain(&failure, screen.format());
                self.last = Some(failure.exit());
                Ok(())
            }
        }
    }

    fn exit(&self) -> Exit {
        match self.last {
            None => Exit::Ok,
            Some(_) if self.done > 0 => Exit::Partial,
            Some(exit) => exit,
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
    let mut tally = Tally::of(names.len());
    for name in names {
        let attempt = action(session, name);
        tally.take(&mut session.screen, attempt)?;
    }
    Ok(tally.exit())
}

/// Tells what became of several things, by the same rules.
pub(crate) fn told(screen: &mut Screen, attempts: Vec<Result<Done, Failure>>) -> Result<Exit, Failure> {
    let mut tally = Tally::of(attempts.len());
    for attempt in attempts {
        tally.take(screen, attempt)?;
    }
    Ok(tally.exit())
}
