//! The daemon's half of replacing the agent: it leaves a request, starts the unit that does it, and tells how it ended.
//!
//! The daemon itself is replaced on the way, so whoever comes up next, the new agent or the old one, waits for the
//! outcome and tells it. See [`crate::update`] for the other half.

use std::thread;
use std::time::{Duration, Instant};

use aami_api::link::{CommandResult, Order};
use aami_model::version::{self, is_downgrade};
use aami_model::{Code, CommandId, code};
use aami_plans::node::UPDATE_UNIT;

use super::state::Shared;
use crate::update::{Book, Outcome, Request, Standing};

/// How long an outcome is waited for by an agent that came up in the middle.
const PATIENCE: Duration = Duration::from_secs(1200);
/// Between two looks for the outcome.
const LOOK: Duration = Duration::from_millis(250);

fn book(shared: &Shared) -> Book {
    Book::below(&shared.root, &shared.own(""))
}

/// The control plane has acknowledged this agent: whoever put it on trial sees that.
pub(super) fn stand(shared: &Shared) {
    let standing = Standing {
        version: version::own().to_owned(),
        at: shared.wall(),
    };
    if let Err(error) = book(shared).set_standing(Some(&standing)) {
        shared.say(&format!("that it is connected cannot be noted: {error}"));
    }
}

/// The update that is under way, by its command.
pub(super) fn under_way(shared: &Shared) -> Option<CommandId> {
    book(shared).request().map(|request| request.command_id)
}

/// Asks for an update and waits for its end. Nothing where this daemon is to end first.
pub(super) fn replace(
    shared: &Shared,
    order: &Order,
    version: &str,
    deadline: Instant,
    start: impl FnOnce(&str) -> Result<(), (Code, String)>,
) -> Option<CommandResult> {
    match ask(shared, order, version, start) {
        Ok(()) => {}
        Err(Refused::Already(message)) => return Some(result(&order.command_id, true, None, message)),
        Err(Refused::Wrong(code, message)) => {
            return Some(result(
                &order.command_id,
                false,
                Some(code.symbol.to_owned()),
                message,
            ));
        }
    }
    outcome(shared, &order.command_id, deadline)
}

/// Waits for the end of an update that an earlier daemon asked for. Nothing where this one is to end first.
pub(super) fn await_outcome(shared: &Shared, id: &CommandId) -> Option<CommandResult> {
    outcome(shared, id, Instant::now() + PATIENCE)
}

enum Refused {
    Already(String),
    Wrong(Code, String),
}

fn ask(
    shared: &Shared,
    order: &Order,
    version: &str,
    start: impl FnOnce(&str) -> Result<(), (Code, String)>,
) -> Result<(), Refused> {
    let own = version::own();
    if own == version {
        return Err(Refused::Already(format!("{own} is what runs")));
    }
    let pinned = shared.memory.noted().config.agent_version.as_deref() == Some(version);
    if is_downgrade(own, version) && !pinned {
        let message = format!("{version} is older than {own}, and this node is not pinned to it");
        return Err(Refused::Wrong(code::UPDATE_DOWNGRADE, message));
    }
    let request = Request {
        command_id: order.command_id.clone(),
        version: version.to_owned(),
        pinned,
    };
    if let Err(error) = book(shared).ask(&request) {
        let message = format!("the update cannot be asked for: {error}");
        return Err(Refused::Wrong(code::COMMAND_FAILED, message));
    }
    start(UPDATE_UNIT).map_err(|(code, message)| {
        // Nobody shall do later what is refused now.
        let _ = book(shared).answered();
        Refused::Wrong(code, message)
    })
}

fn outcome(shared: &Shared, id: &CommandId, deadline: Instant) -> Option<CommandResult> {
    let book = book(shared);
    loop {
        // Nobody cares what it was while it is still under way: the updater empties its request last.
        if let Some(outcome) = book.outcome().filter(|outcome| outcome.command_id == *id) {
            let Outcome {
                ok, code, message, ..
            } = outcome;
            return Some(result(id, ok, code, message));
        }
        if shared.is_stopping() {
            return None;
        }
        if Instant::now() >= deadline {
            let code = code::COMMAND_TIMED_OUT;
            let message =
                "the update has not said how it ended; see `journalctl -u aami-agent-update`".to_owned();
            return Some(result(id, false, Some(code.symbol.to_owned()), message));
        }
        thread::park_timeout(LOOK);
    }
}

fn result(id: &CommandId, ok: bool, code: Option<String>, message: String) -> CommandResult {
    CommandResult {
        command_id: id.clone(),
        ok,
        code,
        message,
        output: String::new(),
    }
}
