//! The order in which an update goes, and where each failure leads. Begun again after any cut, it goes on.

use std::io;
use std::time::Duration;

use aami_model::version::{Version, is_downgrade};
use aami_model::{Timestamp, code};

use super::Wrong;
use super::journal::{Book, Journal, Outcome, Phase, Request};

/// How patient an update is with a new agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long it may take to be acknowledged by the control plane.
    pub(crate) trial: Duration,
    /// How long one and the same run of it has to last from then on.
    pub(crate) steady: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            trial: Duration::from_secs(100),
            steady: Duration::from_secs(30),
        }
    }
}

/// How long the old one is waited for, so that the report says whether it is back.
const RETURN: Duration = Duration::from_secs(30);
/// How often a fetch, a trial, or an install, may be cut off before it counts as failed.
const MOST_BEGUN: u32 = 3;
/// How often the way back is tried.
const MOST_BACK: u32 = 10;
/// A request is not carried out later than this: whoever asked has given it up.
const OLDEST_REQUEST: Duration = Duration::from_secs(3600);
/// How often the install of the new agent is tried: another installer may be at work.
const SETTLES: u32 = 6;
/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(500);
/// Between two tries of something.
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
    /// Which run of the daemon this is, as the daemon says it in its standing; nothing where none runs. Fails where the
    /// service manager does not say.
    fn life(&self) -> Result<Option<String>, Wrong>;
    /// Whether the service manager could still start the agent on trial, or that is what runs.
    fn is_on_trial(&self) -> bool;
    /// Removes what was fetched.
    fn clear(&self) -> io::Result<()>;
    /// What the service manager last said about the daemon, where that is worth telling.
    fn last_words(&self) -> String;
    /// Removes the installed agents of all other versions than these, as far as nothing else needs them. Answers what
    /// went.
    fn prune(&self, keep: [&str; 2]) -> Result<Vec<String>, Wrong>;
    /// How long a new agent is given.
    fn patience(&self) -> Patience {
        Patience::default()
    }
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
    let phase = match judge(&request, own, pieces.now()) {
        Ok(()) => {
            pieces.say(&format!("replacing {own} by {}", request.version));
            Phase::Fetching { begun: 0 }
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
fn judge(request: &Request, own: &str, now: Timestamp) -> Result<(), Wrong> {
    let age = now.since(request.asked).max(request.asked.since(now));
    if age > OLDEST_REQUEST {
        let message = "the update was asked for too long ago, by this machine's clock; ask again";
        return Err(Wrong::new(code::COMMAND_TIMED_OUT, message));
    }
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
        Phase::Fetching { begun } if *begun >= MOST_BEGUN => {
            let message = format!("the fetch of {version} was cut off {begun} times");
            failed(Wrong::new(code::COMMAND_INTERRUPTED, message))
        }
        Phase::Fetching { begun } => {
            let mut again = journal.clone();
            again.phase = Phase::Fetching { begun: begun + 1 };
            book.set_journal(Some(&again))?;
            pieces.between();
            match pieces.fetch(version) {
                Ok(()) => Phase::Trial { begun: 0 },
                // Nothing was changed yet but the folder of what was fetched.
                Err(wrong) => failed(wrong),
            }
        }
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
            match settle(pieces, book, version) {
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
            tried,
        } => match go_back(pieces, book, &journal.from, *settled)? {
            Ok(()) => done(false, Some(code.clone()), message.clone()),
            Err(why) if tried + 1 < MOST_BACK => {
                pieces.say(&format!("going back: {why}; once more"));
                pieces.wait(PAUSE);
                Phase::Back {
                    code: code.clone(),
                    message: message.clone(),
                    settled: *settled,
                    tried: tried + 1,
                }
            }
            Err(why) => {
                let message = format!("{message}; going back to {} failed: {why}", journal.from);
                failed(Wrong::new(code::UPDATE_STUCK, message))
            }
        },
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
        tried: 0,
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
    match stands(pieces, book, version, pieces.patience()) {
        Ok(()) => {
            pieces.say(&format!("{version} is connected"));
            Ok(Ok(()))
        }
        Err(why) => Ok(Err(refused(why))),
    }
}

/// Waits until the control plane has acknowledged an agent of this version, and that very run of it has lasted for
/// `steady`. What it is known by is written by the daemon itself: a run that ended is never taken for the next one.
fn stands(
    pieces: &impl Pieces,
    book: &Book,
    version: &str,
    Patience { trial, steady }: Patience,
) -> Result<(), String> {
    let mut deadline = pieces.elapsed() + trial;
    let mut acknowledged: Option<(String, Duration)> = None;
    loop {
        let now = pieces.elapsed();
        match &acknowledged {
            None => {
                let standing = book.standing().filter(|standing| standing.version == version);
                if let Some(standing) = standing
                    && pieces
                        .life()
                        .is_ok_and(|life| life.as_ref() == Some(&standing.life))
                {
                    acknowledged = Some((standing.life, now));
                    deadline = now + steady + RETURN;
                    continue;
                }
            }
            Some((life, since)) => match pieces.life() {
                Ok(found) if found.as_ref() != Some(life) => {
                    let words = pieces.last_words();
                    let lived = now.saturating_sub(*since).as_secs();
                    return Err(format!("{version} ended {lived} s after it was connected{words}"));
                }
                Ok(_) if now.saturating_sub(*since) >= steady => return Ok(()),
                Ok(_) | Err(_) => {}
            },
        }
        if now >= deadline {
            let words = pieces.last_words();
            let seconds = trial.as_secs();
            return Err(format!(
                "{version} was not acknowledged by the control plane within {seconds} s{words}"
            ));
        }
        pieces.wait(LOOK);
    }
}

/// Lets the new agent install itself, and waits until it stands as it was installed: its own unit was not tried yet.
fn settle(pieces: &impl Pieces, book: &Book, version: &str) -> Result<(), Wrong> {
    // The unit that is installed is the one that shall run from here on.
    pieces.end_trial()?;
    pieces.between();
    install(pieces, None)?;
    pieces.between();
    let refused = |why: String| Wrong::new(code::UPDATE_ROLLED_BACK, why);
    if pieces.is_on_trial() {
        return Err(refused(format!(
            "{version} installed itself, and is not what the unit runs"
        )));
    }
    stands(pieces, book, version, pieces.patience())
        .map_err(|why| refused(format!("as it was installed, {why}")))
}

/// Lets an agent install itself; another installer is waited for.
fn install(pieces: &impl Pieces, version: Option<&str>) -> Result<(), Wrong> {
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

/// Takes the old agent back. Each step is done whatever came of the one before; says all that went wrong.
fn go_back(pieces: &impl Pieces, book: &Book, from: &str, settled: bool) -> io::Result<Result<(), String>> {
    pieces.say(&format!("going back to {from}"));
    let mut wrongs = Vec::new();
    wrongs.extend(pieces.end_trial().err());
    pieces.between();
    if settled {
        wrongs.extend(install(pieces, Some(from)).err());
        pieces.between();
    }
    book.set_standing(None)?;
    wrongs.extend(pieces.restart().err());
    pieces.between();
    let mut why: Vec<String> = wrongs.into_iter().map(|wrong| wrong.message).collect();
    if why.is_empty() && pieces.is_on_trial() {
        why.push("the unit still runs what was tried".to_owned());
    }
    if !why.is_empty() {
        return Ok(Err(why.join("; ")));
    }
    let soon = Patience {
        trial: RETURN,
        steady: Duration::ZERO,
    };
    if stands(pieces, book, from, soon).is_err() {
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
    if pieces.is_on_trial() {
        // Without its program the unit could never be started again.
        pieces.say("what was tried stays: the service manager may still start it");
    } else {
        pieces.clear()?;
    }
    pieces.between();
    if ok {
        // The one before is the way back.
        match pieces.prune([&journal.version, &journal.from]) {
            Ok(gone) => gone
                .iter()
                .for_each(|gone| pieces.say(&format!("{gone} is gone"))),
            // They are in nobody's way, and the next update comes by again.
            Err(wrong) => pieces.say(&format!("older agents stay for now: {}", wrong.message)),
        }
        pieces.between();
    }
    // The request goes first: one without a journal would be taken anew.
    book.answered()?;
    pieces.between();
    book.set_journal(None)
}

#[cfg(test)]
mod tests;
