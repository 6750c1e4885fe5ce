//! The process of a run: it holds the run's lock, runs its command, and writes down what that says and how it ends.
//!
//! Whoever holds the lock decides what becomes of the run: a process that comes to it late, when whoever started it has
//! given it up, finds another attempt or none, and does nothing. The command runs in this very process, so that the lock
//! ends with it however it ends. What it and its children write
//! to either output comes through a pipe and is numbered there.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aami_api::detached::Ended;
use aami_install::host::{Clock, SystemClock};
use aami_model::Exit;
use aami_model::run::RunStatus;
use rustix::process::{Signal, getpid, kill_process, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use super::events::Writer;
use super::{DetachedError, Request, Run, take};

/// How long the lock is tried for: whoever looks at the run holds it for an instant.
const LOCK: Duration = Duration::from_secs(5);
/// How often it is looked whether the run was called off.
const LOOK: Duration = Duration::from_millis(200);
/// How long what children wrote is waited for once the command has ended: they may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Of a line, so much is kept in memory.
const LONGEST: u64 = 1 << 20;

/// What the command is run with.
pub(crate) struct Job {
    /// Its arguments.
    pub(crate) command: Vec<String>,
    /// The value of a variable, as it was where the run was started.
    pub(crate) variables: std::collections::BTreeMap<String, String>,
}

/// Runs this attempt of it, and answers how it ended.
pub(crate) fn work(
    run: &Run,
    attempt: u32,
    command: impl FnOnce(Job) -> Exit,
) -> Result<Exit, DetachedError> {
    // Outside of the session it was started from, where that is still ours to do.
    let _ = setsid();
    let (_lock, request) = begin(run, attempt)?;
    // A command with a relative path means the place where it was asked for.
    let _ = std::env::set_current_dir(&request.folder);
    let events = run.events();
    let failed = || DetachedError::file(&events);
    let clock = SystemClock::new();
    let mut writer = Writer::open(&events).map_err(failed())?;
    let before = request.attempt.saturating_sub(1);
    if before > 0 && !writer.has_ended(before).map_err(failed())? {
        let ended = run.without_a_word(before);
        writer.end(&ended, clock.now()).map_err(failed())?;
    }
    let (reader, pipe) = io::pipe().map_err(failed())?;
    dup2_stdout(&pipe)
        .and_then(|()| dup2_stderr(&pipe))
        .map_err(|error| failed()(error.into()))?;
    drop(pipe);
    let writer = Arc::new(Mutex::new(Some(writer)));
    let (done, written) = mpsc::channel();
    let copying = writer.clone();
    let pump = std::thread::Builder::new()
        .name("events".to_owned())
        .spawn(move || {
            copy(reader, &copying);
            let _ = done.send(());
        });
    pump.map_err(failed())?;
    let (ending, ended) = mpsc::channel::<()>();
    listen(run, ended).map_err(failed())?;

    let exit = command(Job {
        command: request.command.clone(),
        variables: request.variables.clone(),
    });

    drop(ending);
    let _ = io::stdout().flush();
    // The pipe ends with the last that holds it.
    let nowhere = File::options().write(true).open("/dev/null").map_err(failed())?;
    let _ = dup2_stdout(&nowhere).and_then(|()| dup2_stderr(&nowhere));
    let ended = ended_as(exit, &request, run.cancel().exists());
    let _ = written.recv_timeout(LAST_WORDS);
    // Whatever comes after the end has nobody to write it down any more.
    let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut writer) = writer {
        writer.end(&ended, clock.now()).map_err(failed())?;
    }
    Ok(exit)
}

/// Takes the lock of a run that is still to be worked on by this attempt.
pub(super) fn begin(run: &Run, attempt: u32) -> Result<(File, Request), DetachedError> {
    if run.request()?.is_none() {
        // Not even a lock is left of one that was given up.
        return Err(DetachedError::Unknown(run.id.clone()));
    }
    let who = std::process::id().to_string();
    let lock = take(&run.lock(), &who, LOCK).map_err(DetachedError::file(&run.lock()))?;
    let Some(lock) = lock else {
        return Err(DetachedError::Busy(format!(
            "the run {} is at work already",
            run.id
        )));
    };
    // Only now nobody can give it up any more; before that, somebody may have.
    let request = run.request()?.filter(|request| request.attempt == attempt);
    match request {
        Some(request) if run.is_locked_by(&lock) => Ok((lock, request)),
        _ => Err(DetachedError::Unknown(run.id.clone())),
    }
}

/// How an exit code is told.
fn ended_as(exit: Exit, request: &Request, is_cancelled: bool) -> Ended {
    let status = match exit {
        Exit::Ok => RunStatus::Completed,
        Exit::Interrupted if is_cancelled => RunStatus::Cancelled,
        Exit::Interrupted => RunStatus::Interrupted,
        _ => RunStatus::Failed,
    };
    Ended {
        status,
        exit: exit.number(),
        attempt: request.attempt,
        message: None,
    }
}

/// Writes down line by line what comes through the pipe, until nobody holds its other end.
fn copy(reader: PipeReader, writer: &Mutex<Option<Writer>>) {
    let clock = SystemClock::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match io::Read::take(&mut reader, LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(writer) = writer.as_mut() else { return };
                writer.take(&String::from_utf8_lossy(&line), clock.now());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Hears when the run is called off, and passes it on as the signal that every command knows. Called off twice, the
/// second signal ends the command at once, as a second Ctrl-C does.
fn listen(run: &Run, ended: Receiver<()>) -> io::Result<()> {
    let cancel = run.cancel();
    let watch = move || {
        let mut told = 0;
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
            // One byte each time it was called off.
            let wanted = std::fs::metadata(&cancel).map_or(0, |file| file.len());
            if told < wanted.min(2) {
                told += 1;
                let _ = kill_process(getpid(), Signal::TERM);
            }
        }
    };
    std::thread::Builder::new()
        .name("cancel".to_owned())
        .spawn(watch)
        .map(drop)
}
