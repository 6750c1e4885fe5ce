//! The daemon's half of replacing the agent: it leaves a request, starts the unit that does it, and tells how it ended.
//!
//! The daemon itself is replaced on the way, so whoever comes up next, the new agent or the old one, waits for the
//! outcome and tells it. See [`crate::update`] for the other half.

use std::thread;
use std::time::{Duration, Instant};

use aami_api::link::{CommandResult, Order};
use aami_model::version::{self, is_downgrade};
use aami_model::{Code, CommandId, code};

use super::command::concealed;
use super::state::Shared;
use crate::update::{Book, Outcome, Request, Standing, life_of};

/// How long an outcome is waited for by an agent that came up in the middle.
const PATIENCE: Duration = Duration::from_secs(1200);
/// Between two looks for the outcome.
const LOOK: Duration = Duration::from_millis(250);

fn book(shared: &Shared) -> Book {
    Book::below(&shared.root, &shared.own(""))
}

/// The control plane has acknowledged this agent: whoever put it on trial sees that.
pub(super) fn stand(shared: &Shared) {
    // systemd.exec(5); what else starts this daemon tries no agent.
    let invocation = std::env::var("INVOCATION_ID").unwrap_or_default();
    let standing = Standing {
        version: version::own().to_owned(),
        life: life_of(&invocation, std::process::id()),
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

/// The unit that does it.
pub(super) trait Updater {
    /// Starts it; one that runs goes on.
    fn start(&self) -> Result<(), (Code, String)>;
    /// Whether it runs no more. Only then a start is one.
    fn is_idle(&self) -> bool;
}

/// Asks for an update and waits for its end. Nothing where this daemon is to end first.
pub(super) fn replace(
    shared: &Shared,
    order: &Order,
    version: &str,
    deadline: Instant,
    updater: &impl Updater,
) -> Option<CommandResult> {
    match ask(shared, order, version, updater) {
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
    outcome(shared, &order.command_id, deadline, updater)
}

/// Waits for the end of an update that an earlier daemon asked for. Nothing where this one is to end first.
pub(super) fn await_outcome(
    shared: &Shared,
    id: &CommandId,
    updater: &impl Updater,
) -> Option<CommandResult> {
    // The earlier one may have ended between its request and the start.
    if book(shared)
        .outcome()
        .is_none_or(|outcome| outcome.command_id != *id)
        && let Err((_, why)) = updater.start()
    {
        shared.say(&format!("the update that was asked for is not started: {why}"));
    }
    outcome(shared, id, Instant::now() + PATIENCE, updater)
}

/// Nobody waits for what is asked for: it shall not be done later.
pub(super) fn forget(shared: &Shared) {
    let book = book(shared);
    if !book.is_under_way()
        && let Err(error) = book.answered()
    {
        shared.say(&format!(
            "the update that was asked for cannot be forgotten: {error}"
        ));
    }
}

enum Refused {
    Already(String),
    Wrong(Code, String),
}

fn ask(shared: &Shared, order: &Order, version: &str, updater: &impl Updater) -> Result<(), Refused> {
    let own = version::own();
    if own == version {
        return Err(Refused::Already(format!("{own} is what runs")));
    }
    let pinned = shared.memory.noted().config.agent_version.as_deref() == Some(version);
    if is_downgrade(own, version) && !pinned {
        let message = format!("{version} is older than {own}, and this node is not pinned to it");
        return Err(Refused::Wrong(code::UPDATE_DOWNGRADE, message));
    }
    // An update whose command ran out of time goes on, and would take the request of the next one for its own.
    if book(shared).is_under_way() || !updater.is_idle() {
        let message = "another update of this node is under way".to_owned();
        return Err(Refused::Wrong(code::COMMAND_BUSY, message));
    }
    let request = Request {
        command_id: order.command_id.clone(),
        version: version.to_owned(),
        pinned,
        asked: shared.wall(),
    };
    if let Err(error) = book(shared).ask(&request) {
        let message = format!("the update cannot be asked for: {error}");
        return Err(Refused::Wrong(code::COMMAND_FAILED, message));
    }
    updater.start().map_err(|(code, message)| {
        // Nobody shall do later what is refused now.
        let _ = book(shared).answered();
        Refused::Wrong(code, message)
    })
}

fn outcome(
    shared: &Shared,
    id: &CommandId,
    deadline: Instant,
    updater: &impl Updater,
) -> Option<CommandResult> {
    let book = book(shared);
    loop {
        let is_late = Instant::now() >= deadline;
        // While the updater still tidies up, the next request would be emptied with this one, and the start of a unit
        // that is about to end is none.
        if let Some(outcome) = book.outcome().filter(|outcome| outcome.command_id == *id)
            && (is_late || (book.request().is_none() && !book.is_under_way() && updater.is_idle()))
        {
            let Outcome {
                ok, code, message, ..
            } = outcome;
            // It may hold what a program said.
            return Some(result(id, ok, code, concealed(&message)));
        }
        if shared.is_stopping() {
            return None;
        }
        if is_late {
            forget(shared);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use aami_model::Timestamp;

    use super::super::state::stage;
    use super::*;

    /// A unit that counts its starts, and is at work for so many looks.
    #[derive(Default)]
    struct Unit {
        starts: Cell<u32>,
        busy: Cell<u32>,
    }

    impl Updater for Unit {
        fn start(&self) -> Result<(), (Code, String)> {
            self.starts.set(self.starts.get() + 1);
            Ok(())
        }

        fn is_idle(&self) -> bool {
            let left = self.busy.get();
            self.busy.set(left.saturating_sub(1));
            left == 0
        }
    }

    fn ended(shared: &Shared, message: &str) {
        let folder = shared
            .root
            .join(aami_plans::node::UPDATE_FOLDER.trim_start_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        let outcome = Outcome {
            command_id: "c1".parse().unwrap(),
            version: "2.0.0".to_owned(),
            ok: false,
            code: None,
            message: message.to_owned(),
            at: Timestamp::EPOCH,
        };
        let text = serde_json::to_vec(&outcome).unwrap();
        std::fs::write(folder.join(aami_plans::node::OUTCOME), text).unwrap();
    }

    fn asked(shared: &Shared) {
        let request = Request {
            command_id: "c1".parse().unwrap(),
            version: "2.0.0".to_owned(),
            pinned: false,
            asked: shared.wall(),
        };
        book(shared).ask(&request).unwrap();
    }

    #[test]
    fn an_outcome_is_told_when_the_unit_has_ended_and_without_secrets() {
        // Given an update that ended, of which the unit still runs,
        let folder = tempfile::tempdir().unwrap();
        let shared = stage(folder.path());
        ended(&shared, "it said: password=hunter2");
        let unit = Unit::default();
        unit.busy.set(2);
        // when it is awaited, then it is told once the unit is gone.
        let told = await_outcome(&shared, &"c1".parse().unwrap(), &unit).unwrap();
        assert_eq!((unit.busy.get(), unit.starts.get()), (0, 0));
        assert!(!told.message.contains("hunter2"), "{}", told.message);
    }

    #[test]
    fn what_was_asked_for_by_a_daemon_that_died_is_started_and_what_nobody_did_in_time_is_not_done_later() {
        let folder = tempfile::tempdir().unwrap();
        let shared = stage(folder.path());
        asked(&shared);
        let (unit, id) = (Unit::default(), "c1".parse().unwrap());
        // A daemon that stops starts it all the same,
        shared.stop();
        assert_eq!(await_outcome(&shared, &id, &unit), None);
        assert_eq!(unit.starts.get(), 1);
        assert_eq!(under_way(&shared), Some(id));
        // and a request that ran out of time is gone.
        forget(&shared);
        assert_eq!(under_way(&shared), None);
    }
}
