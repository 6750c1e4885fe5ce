//! Doing a command.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use aami_api::link::{CommandResult, LONGEST_OUTPUT, Order};
use aami_model::command::NodeCommand;
use aami_model::exporter::ExporterKind;
use aami_model::{Code, code};
use aami_plans::node::check::Places;
use aami_plans::node::{ASKED, CHECKS_UNIT, exporter_unit};

use super::super::state::Shared;
use super::super::update;
use super::super::watch::{Results, results};
use super::{LONGEST_COMMAND, Node, diagnose, failed, unit};

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(50);
/// A round that was at work when it was asked for began too early; then there is another, and no third.
const ROUNDS: usize = 2;

/// What was done, and what it gave.
type Done = Result<(String, String), (Code, String)>;

/// Does a command and says how it ended; nothing where the next daemon will.
pub(super) fn done(shared: &Shared, node: &Node, order: &Order) -> Option<CommandResult> {
    let allowed = Duration::from_secs(order.timeout_seconds.max(1).into()).min(LONGEST_COMMAND);
    let deadline = Instant::now() + allowed;
    let done = match &order.command {
        NodeCommand::RunChecks => run_checks(shared, node, deadline),
        NodeCommand::RefreshInventory => refresh_inventory(shared, deadline),
        NodeCommand::Diagnose => Ok((
            "what was found is the output".to_owned(),
            diagnose::bundle(shared, node, deadline),
        )),
        NodeCommand::RestartExporter { exporter } => restart_exporter(node, *exporter, deadline),
        NodeCommand::UpdateAgent { version } => {
            let updates = unit::Updates::of(node, Some(deadline));
            return update::replace(shared, order, version, deadline, &updates);
        }
        NodeCommand::Unknown => Err((
            code::COMMAND_NOT_OFFERED,
            format!(
                "aami-agent {} does not know this command",
                env!("CARGO_PKG_VERSION")
            ),
        )),
    };
    Some(match done {
        Ok((message, output)) => CommandResult {
            command_id: order.command_id.clone(),
            ok: true,
            code: None,
            message,
            output: last_of(output, LONGEST_OUTPUT),
        },
        Err((code, why)) => failed(&order.command_id, code, &why),
    })
}

/// The end of a text that is too long.
pub(super) fn last_of(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut from = text.len() - most;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.drain(..from);
    }
    text
}

fn late() -> (Code, String) {
    (
        code::COMMAND_TIMED_OUT,
        code::COMMAND_TIMED_OUT.sentence.to_owned(),
    )
}

/// Asks for a round of everything and triggers the unit that runs rounds: it stays their only runner.
fn run_checks(shared: &Shared, node: &Node, deadline: Instant) -> Done {
    unit::offered(node)?;
    let refused = |error: std::io::Error| (code::COMMAND_FAILED, error.to_string());
    fs::write(shared.own(ASKED), b"").map_err(refused)?;
    let asked = shared.wall();
    let folder = Places::below(&node.root).folder;
    let mut found = Results::new();
    for _ in 0..ROUNDS {
        unit::systemctl(&["start", CHECKS_UNIT], deadline)?;
        found = results(&folder);
        if found.values().all(|told| told.at >= asked) {
            break;
        }
    }
    let count = |status: &str| found.values().filter(|told| told.status == status).count();
    let message = format!(
        "{} checks: {} ok, {} warning, {} critical, {} unknown",
        found.len(),
        count("ok"),
        count("warning"),
        count("critical"),
        count("unknown")
    );
    let lines = found
        .values()
        .map(|told| format!("{:<9} {}: {}\n", told.status, told.name, told.message));
    Ok((message, lines.collect()))
}

fn refresh_inventory(shared: &Shared, deadline: Instant) -> Done {
    let document = |shared: &Shared| {
        let document = shared.inventory.lock().ok()?;
        Some(document.as_ref()?.sha256.clone())
    };
    // Before the first look ended, what is known is what was told last.
    let before = document(shared).or_else(|| shared.memory.noted().inventory.clone());
    let look = shared.vitals.looks.next();
    shared.wish(|wishes| wishes.refresh = true);
    while !shared.vitals.looks.has_ended(look) {
        if Instant::now() >= deadline || shared.is_stopping() {
            return Err(late());
        }
        thread::park_timeout(LOOK);
    }
    let now = document(shared);
    let message = if now == before {
        "the hardware is what it was"
    } else {
        "the hardware is not what it was; the new inventory is on its way"
    };
    Ok((message.to_owned(), String::new()))
}

fn restart_exporter(node: &Node, exporter: ExporterKind, deadline: Instant) -> Done {
    unit::offered(node)?;
    let unit = exporter_unit(&node.root, node.form, &node.cluster, exporter).ok_or_else(|| {
        let why = format!("{} was not installed here by AAMI", exporter.name());
        (code::NOT_FOUND, why)
    })?;
    unit::systemctl(&["restart", &unit], deadline)?;
    unit::systemctl(&["is-active", "--quiet", &unit], deadline)?;
    Ok((format!("{unit} was restarted and is running"), String::new()))
}

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;

    use super::super::super::state::stage;
    use super::super::super::watch::Document;
    use super::*;

    #[test]
    fn a_look_that_began_before_it_was_asked_for_is_no_answer_and_the_first_one_is_compared_with_what_was_told()
     {
        // Given a node that told its inventory before it started again, and its first look under way,
        let folder = tempfile::tempdir().unwrap();
        let shared = stage(folder.path());
        shared
            .memory
            .change(|noted| noted.inventory = Some("same".to_owned()))
            .unwrap();
        let looks = &shared.vitals.looks;
        looks.begin();
        let limit = Duration::from_secs(60);
        thread::scope(|scope| {
            // when a look is asked for,
            let asked = scope.spawn(|| refresh_inventory(&shared, Instant::now() + limit));
            assert!(shared.wait_for_wish(limit).refresh);
            // then that one is not waited for,
            let seen = |sha256: &str| {
                let document = Some(Document::on_stage(sha256));
                *shared.inventory.lock().unwrap_or_else(PoisonError::into_inner) = document;
            };
            seen("another");
            looks.end();
            // but the next, and the hardware is what it was told to be.
            looks.begin();
            seen("same");
            looks.end();
            assert_eq!(asked.join().unwrap().unwrap().0, "the hardware is what it was");
        });
    }

    #[test]
    fn a_long_output_keeps_its_end() {
        assert_eq!(last_of("abcdef".to_owned(), 3), "def");
        assert_eq!(last_of("aéé".to_owned(), 3), "é");
        assert_eq!(last_of("ab".to_owned(), 3), "ab");
    }
}
