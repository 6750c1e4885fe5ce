//! The order in which an update goes, and where each failure leads. Begun again after any cut, it goes on.

use std::io;
use std::time::Duration;

use aami_model::version::{Version, is_downgrade};
use aami_model::{Timestamp, code};

use super::Wrong;
use super::journal::{Book, Journal, Outcome, Phase, Request};

/// How long a new agent may take to be acknowledged by the control plane.
const TRIAL: Duration = Duration::from_secs(100);
/// How long the old one is waited for, so that the report says whether it is back.
const RETURN: Duration = Duration::from_secs(30);
/// How often a trial, or an install, may be cut off before it counts as failed.
const MOST_BEGUN: u32 = 3;
/// How often the install of the new agent is tried: another installer may be at work.
const SETTLES: u32 = 6;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(10);

/// The pieces of an update. Each may be done twice, and may be cut off anywhere.
pub(crate) trait Pieces {
    /// Fetches the release, judges it, and places its agent where nothing uses it yet.
    fn fetch(&self, version: &str) -> Result<(), Wrong>;
    /// Lets the unit run the new agent, and starts it anew.
    fn put_on_trial(&self) -> Result<(), Wrong>;
    /// Lets the unit run what is installed; what runs goes on until it is started anew.
    fn end_trial(&self) -> Result<(), Wrong>;
    /// Starts the daemon anew.
    fn restart(&self) -> Result<(), Wrong>;
    /// Lets the new agent install itself, or the installed agent of `version` do so again.
    fn settle(&self, version: Option<&str>) -> Result<(), Wrong>;
    /// Removes what was fetched.
    fn clear(&self) -> io::Result<()>;
    /// What the service manager last said about the daemon, where that is worth telling.
    fn last_words(&self) -> String;
    /// Waits a moment.
    fn wait(&self, pause: Duration);
    /// By a clock nobody sets.
    fn elapsed(&self) -> Duration;
    /// For people.
    fn now(&self) -> Timestamp;
    /// Says a line to whoever reads the log.
    fn say(&self, line: &str);
    /// Called between any two of the above, for those who want to cut.
    fn between(&self) {}
}

/// Does what is asked for, or goes on with what was cut off. `own` is the version of the agent that runs this.
///
/// What goes wrong with an update is its outcome. Fails where the outcome itself cannot be written; then the unit is
/// started again.
pub(crate) fn run(pieces: &impl Pieces, book: &Book, own: &str) -> io::Result<()> {
    let mut journal = match book.journal() {
        Some(journal) => journal,
        None => match begin(pieces, book, own)? {
            Some(journal) => journal,
            None => return Ok(()),
        },
    };
    loop {
        pieces.between();
        let Some(next) = step(pieces, book, &journal)? else {
            return Ok(());
        };
        pieces.between();
        journal.phase = next;
        book.set_journal(Some(&journal))?;
    }
}

const fn done(ok: bool, code: Option<String>, message: String) -> Phase {
    Phase::Done { ok, code, message }
}

fn failed(wrong: Wrong) -> Phase {
    done(false, Some(wrong.code.symbol.to_owned()), wrong.message)
}

/// Takes a request, where there is one that was not answered yet.
fn begin(pieces: &impl Pieces, book: &Book, own: &str) -> io::Result<Option<Journal>> {
    // A trial nobody remembers is none.
    if let Err(wrong) = pieces.end_trial() {
        pieces.say(&wrong.message);
    }
    let Some(request) = book.request() else {
        return Ok(None);
    };
    if book
        .outcome()
        .is_some_and(|outcome| outcome.command_id == request.command_id)
    {
        book.answered()?;
        return Ok(None);
    }
    let phase = match judge(&request, own) {
        Ok(()) => {
            pieces.say(&format!("replacing {own} by {}", request.version));
            Phase::Fetching
        }
        Err(wrong) => failed(wrong),
    };
    let journal = Journal {
        command_id: request.command_id,
        version: request.version,
        from: own.to_owned(),
        phase,
    };
    book.set_journal(Some(&journal))?;
    Ok(Some(journal))
}

/// Whether a request may be done at all.
fn judge(request: &Request, own: &str) -> Result<(), Wrong> {
    let version: Version = request
        .version
        .parse()
        .map_err(|error: aami_model::version::NotAVersion| Wrong::new(code::INVALID, error.to_string()))?;
    if is_downgrade(own, version.as_str()) && !request.pinned {
        let message = format!("{version} is older than {own}, and this node is not pinned to it");
        return Err(Wrong::new(code::UPDATE_DOWNGRADE, message));
    }
    if own == version.as_str() {
        return Err(Wrong::new(code::CONFLICT, format!("{own} is what runs")));
    }
    Ok(())
}

/// Does one phase and says which comes next; nothing when it is all over.
fn step(pieces: &impl Pieces, book: &Book, journal: &Journal) -> io::Result<Option<Phase>> {
    let version = journal.version.as_str();
    Ok(Some(match &journal.phase {
        Phase::Fetching => match pieces.fetch(version) {
            Ok(()) => Phase::Trial { begun: 0 },
            // Nothing was changed yet but the folder of what was fetched.
            Err(wrong) => failed(wrong),
        },
        Phase::Trial { begun } if *begun >= MOST_BEGUN => {
            let message = format!("the trial of {version} was cut off {begun} times");
            back(Wrong::new(code::UPDATE_ROLLED_BACK, message), false)
        }
        Phase::Trial { begun } => {
            let mut again = journal.clone();
            again.phase = Phase::Trial { begun: begun + 1 };
            book.set_journal(Some(&again))?;
            pieces.between();
            match trial(pieces, book, version)? {
                Ok(()) => Phase::Settling { begun: 0 },
                Err(wrong) => back(wrong, false),
            }
        }
        Phase::Settling { begun } if *begun >= MOST_BEGUN => {
            let message = format!("the install of {version} was cut off {begun} times");
            back(Wrong::new(code::UPDATE_ROLLED_BACK, message), true)
        }
        Phase::Settling { begun } => {
            let mut again = journal.clone();
            again.phase = Phase::Settling { begun: begun + 1 };
            book.set_journal(Some(&again))?;
            pieces.between();
            match settle(pieces, None) {
                Ok(()) => {
                    let message = format!("{version} runs in the place of {}", journal.from);
                    done(true, None, message)
                }
                Err(wrong) => back(wrong, true),
            }
        }
        Phase::Back {
            code,
            message,
            settled,
        } => {
            let mut message = message.clone();
            if let Err(wrong) = go_back(pieces, book, &journal.from, *settled)? {
                message.push_str(&format!("; going back: {}", wrong.message));
            }
            done(false, Some(code.clone()), message)
        }
        Phase::Done { ok, code, message } => {
            end(pieces, book, journal, *ok, code.clone(), message)?;
            return Ok(None);
        }
    }))
}

fn back(wrong: Wrong, settled: bool) -> Phase {
    Phase::Back {
        code: wrong.code.symbol.to_owned(),
        message: wrong.message,
        settled,
    }
}

/// Lets the new agent run, and waits until the control plane has acknowledged it.
fn trial(pieces: &impl Pieces, book: &Book, version: &str) -> io::Result<Result<(), Wrong>> {
    book.set_standing(None)?;
    pieces.between();
    let refused = |why: String| Wrong::new(code::UPDATE_ROLLED_BACK, why);
    if let Err(wrong) = pieces.put_on_trial() {
        return Ok(Err(refused(format!(
            "{version} did not start: {}",
            wrong.message
        ))));
    }
    if acknowledged(pieces, book, version, TRIAL) {
        pieces.say(&format!("{version} is connected"));
        return Ok(Ok(()));
    }
    let words = pieces.last_words();
    let seconds = TRIAL.as_secs();
    Ok(Err(refused(format!(
        "{version} was not acknowledged by the control plane within {seconds} s{words}"
    ))))
}

/// Whether the control plane acknowledges an agent of this version in time.
fn acknowledged(pieces: &impl Pieces, book: &Book, version: &str, patience: Duration) -> bool {
    let deadline = pieces.elapsed() + patience;
    loop {
        if book
            .standing()
            .is_some_and(|standing| standing.version == version)
        {
            return true;
        }
        if pieces.elapsed() >= deadline {
            return false;
        }
        pieces.wait(Duration::from_millis(200));
    }
}

/// Lets an agent install itself; another installer is waited for.
fn settle(pieces: &impl Pieces, version: Option<&str>) -> Result<(), Wrong> {
    // The unit that is installed is the one that shall run from here on.
    pieces.end_trial()?;
    pieces.between();
    let mut tried = 1;
    loop {
        match pieces.settle(version) {
            Err(wrong) if wrong.code == code::LOCKED && tried < SETTLES => {
                tried += 1;
                pieces.wait(PAUSE);
            }
            other => return other,
        }
    }
}

/// Takes the old agent back.
fn go_back(pieces: &impl Pieces, book: &Book, from: &str, settled: bool) -> io::Result<Result<(), Wrong>> {
    pieces.say(&format!("going back to {from}"));
    if settled && let Err(wrong) = settle(pieces, Some(from)) {
        return Ok(Err(wrong));
    }
    if let Err(wrong) = pieces.end_trial() {
        return Ok(Err(wrong));
    }
    pieces.between();
    book.set_standing(None)?;
    if let Err(wrong) = pieces.restart() {
        return Ok(Err(wrong));
    }
    if !acknowledged(pieces, book, from, RETURN) {
        pieces.say(&format!("{from} runs, and is not connected yet"));
    }
    Ok(Ok(()))
}

/// Writes down how it ended, and then that nothing is under way.
fn end(
    pieces: &impl Pieces,
    book: &Book,
    journal: &Journal,
    ok: bool,
    code: Option<String>,
    message: &str,
) -> io::Result<()> {
    pieces.say(message);
    book.set_outcome(&Outcome {
        command_id: journal.command_id.clone(),
        version: journal.version.clone(),
        ok,
        code,
        message: message.chars().take(500).collect(),
        at: pieces.now(),
    })?;
    pieces.between();
    pieces.clear()?;
    pieces.between();
    // The request goes first: one without a journal would be taken anew.
    book.answered()?;
    pieces.between();
    book.set_journal(None)
}

#[cfg(test)]
mod tests;
