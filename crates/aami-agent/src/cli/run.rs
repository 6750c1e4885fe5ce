//! `aami-agent run`: commands that go on by themselves, whoever started them, and reading along with them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aami_api::detached::{Kind, Line, Standing};
use aami_install::Tracking;
use aami_install::host::{Clock as _, SystemClock};
use aami_install::render::{self, Progress};
use aami_model::run::{RunEvent, RunStatus};
use aami_model::{Exit, Timestamp, code};
use aami_plans::node::{Form, PUSHED, RUNS};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::bootstrap::launcher;
use super::failure::Failure;
use super::node::Which;
use super::screen;
use super::surroundings::Surroundings;
use crate::detached::follow::{Followed, ends, follow};
use crate::detached::start::{Launcher, Wanted, start};
use crate::detached::work::{Job, work};
use crate::detached::{DetachedError, Run, Runs};

/// Start a command that goes on by itself, and read along with it
///
/// The operator's `aami nodes install` uses this over SSH: a cut connection does not touch what runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami-agent run start --id first -- bootstrap --standalone --components ./components
  aami-agent run follow first
  aami-agent run follow first --after 12 --json
  aami-agent run list
  aami-agent run cancel first")]
pub(crate) struct Detached {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Start(Start),
    Follow(Follow),
    Status(Status),
    List(List),
    Cancel(Cancel),
    Forget(Forget),
    #[command(hide = true)]
    Work(Work),
}

/// Where runs lie.
#[derive(Debug, Args)]
struct Place {
    /// Where runs lie, in place of /var/lib/aami/runs
    #[arg(long, value_name = "DIR", hide = true)]
    runs: Option<PathBuf>,
}

/// Start a command under a name; where there is a run of that name and command already, nothing is started
#[derive(Debug, Args)]
struct Start {
    /// Its name: 1 to 63 of a-z, 0-9 and '-'
    #[arg(long, value_name = "RUN")]
    id: String,
    /// Also begin another attempt where the last one failed or was called off
    #[arg(long)]
    again: bool,
    /// The command: bootstrap, uninstall, exporters or preflight, with its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Print what a run says until it ends, and exit as it does; ending this does not touch the run
#[derive(Debug, Args)]
struct Follow {
    /// Its name
    run: String,
    /// Only lines with a number above this
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// End when standard input is closed
    #[arg(long)]
    until_stdin_closes: bool,
    #[command(flatten)]
    place: Place,
    /// As JSON lines
    #[arg(long)]
    json: bool,
}

/// Show how a run stands
#[derive(Debug, Args)]
struct Status {
    /// Its name
    run: String,
    #[command(flatten)]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Show the runs of this host
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Call a run off: it ends between two changes, and what it did stays recorded
#[derive(Debug, Args)]
struct Cancel {
    /// Its name
    run: String,
    #[command(flatten)]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Remove what is left of a run that has ended; of all of them, and of what was carried here for them, without a name
#[derive(Debug, Args)]
struct Forget {
    /// Its name
    run: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// The process of a run
#[derive(Debug, Args)]
struct Work {
    /// Its name
    run: String,
    /// Which attempt
    #[arg(long)]
    attempt: u32,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn runs(&self) -> Result<Runs, Failure> {
        let Some(folder) = &self.runs else {
            if !rustix::process::geteuid().is_root() {
                return Err(Failure::new(code::NOT_ROOT, code::NOT_ROOT.sentence));
            }
            return Ok(Runs::at(PathBuf::from(RUNS)));
        };
        let folder = std::path::absolute(folder).map_err(|error| Failure::file(folder, &error))?;
        Ok(Runs::at(folder))
    }

    fn run(&self, id: &str) -> Result<Run, Failure> {
        Ok(self.runs()?.run(id)?)
    }
}

impl Detached {
    pub(crate) const fn is_json(&self) -> bool {
        match &self.what {
            What::Start(start) => start.json,
            What::Follow(follow) => follow.json,
            What::Status(status) => status.json,
            What::List(list) => list.json,
            What::Cancel(cancel) => cancel.json,
            What::Forget(_) | What::Work(_) => false,
        }
    }

    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self.what {
            What::Start(start) => start.run(),
            What::Follow(follow) => follow.run(),
            What::Status(status) => {
                let standing = status.place.run(&status.run)?.known()?;
                show(&standing, status.json);
                Ok(Exit::Ok)
            }
            What::List(list) => list.run(),
            What::Cancel(cancel) => {
                let standing = cancel.place.run(&cancel.run)?.call_off()?;
                show(&standing, cancel.json);
                Ok(Exit::Ok)
            }
            What::Forget(forget) => forget.run(),
            What::Work(task) => Ok(work(&task.place.run(&task.run)?, task.attempt, command)?),
        }
    }
}

impl Start {
    fn run(self) -> Result<Exit, Failure> {
        let runs = self.place.runs()?;
        let host = Which {
            cluster: "default".to_owned(),
            root: None,
        }
        .host()?;
        let wanted = Wanted {
            id: self.id,
            command: self.command,
            variables: Surroundings::carried(),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            again: self.again,
            program: launcher()?,
            now: SystemClock::new().now(),
        };
        // A folder that stands for the host has installers of its own, and no units.
        let is_host = self.place.runs.is_none();
        let launcher = match &host.commands {
            Some(commands) if is_host => Launcher::Unit(&**commands),
            _ => Launcher::Session,
        };
        let busy = || {
            let holder = Tracking::host().holder(&host).filter(|_| is_host)?;
            let (pid, plan, since) = (holder.pid, holder.plan, holder.started_at);
            Some(format!(
                "an installer is at work on this host: process {pid}, plan {plan}, since {since}"
            ))
        };
        let standing = start(&runs, &wanted, &launcher, busy)?;
        show(&standing, self.json);
        if !self.json {
            screen::aside(&format!("`aami-agent run follow {}` reads along.", standing.id));
        }
        Ok(Exit::Ok)
    }
}

impl Follow {
    fn run(self) -> Result<Exit, Failure> {
        let run = self.place.run(&self.run)?;
        let (stdout, stdin) = (io::stdout(), io::stdin());
        let mut progress = Progress::new();
        let mut say = |text: &str, line: &Line| {
            let said = if self.json {
                Some(text.to_owned())
            } else {
                plain(&mut progress, line)
            };
            let Some(said) = said else { return Ok(()) };
            // Unlike elsewhere, a reader that is gone is the end.
            let mut out = io::stdout().lock();
            writeln!(out, "{said}").and_then(|()| out.flush())
        };
        let stdin = self.until_stdin_closes.then_some(&stdin);
        match follow(&run, self.after, ends(&stdout, stdin, &mut say))? {
            Followed::Ended(exit) => Ok(Exit::from_number(exit).unwrap_or(Exit::Failed)),
            Followed::Left => Ok(Exit::Ok),
        }
    }
}

/// A line for people; nothing where it is not worth one.
fn plain(progress: &mut Progress, line: &Line) -> Option<String> {
    match &line.kind {
        Kind::Event(kind) => {
            let event = RunEvent {
                seq: line.seq.unwrap_or_default(),
                at: line.at.unwrap_or(Timestamp::EPOCH),
                kind: kind.clone(),
            };
            progress.take(&event);
            render::plain(progress, &event)
        }
        Kind::Ended(ended) => {
            let word = ended.status.name();
            let why = ended
                .message
                .as_ref()
                .map_or_else(String::new, |why| format!(": {why}"));
            Some(format!("The run has ended: {word}, exit {}{why}", ended.exit))
        }
        Kind::Error(error) => Some(format!(
            "error: {}\n  hint: {}\n  code: {} ({})",
            error.message, error.hint, error.code, error.id
        )),
        Kind::Warning(message) => Some(format!("warning: {message}")),
        Kind::Output(message) => Some(message.clone()),
        Kind::Alive | Kind::Other { .. } => None,
    }
}

impl List {
    fn run(&self) -> Result<Exit, Failure> {
        let all = self.place.runs()?.all()?;
        if self.json {
            screen::json(&all);
            return Ok(Exit::Ok);
        }
        for standing in &all {
            show(standing, false);
        }
        if all.is_empty() {
            screen::aside("There are no runs on this host.");
        }
        Ok(Exit::Ok)
    }
}

impl Forget {
    fn run(&self) -> Result<Exit, Failure> {
        let Some(id) = &self.run else {
            let pushed = match self.place.runs {
                None => PathBuf::from(PUSHED),
                // What was pushed to the host is not another folder's business.
                Some(ref runs) => runs.join("pushed"),
            };
            let runs = self.place.runs()?;
            runs.forget_all(&pushed)?;
            if self.place.runs.is_none() {
                remove_base(runs.folder());
            }
            return Ok(Exit::Ok);
        };
        self.place.run(id)?.forget()?;
        Ok(Exit::Ok)
    }
}

/// After a node was taken back: its runs, and what was carried to it, unless it is a run that takes it back. Answers
/// whether there was anything.
pub(super) fn forget(which: &Which) -> Result<bool, Failure> {
    let root = which.root();
    let real = |path: &str| root.join(path.trim_start_matches('/'));
    // Another plan or cluster of ours may have runs of its own.
    let is_bare = !real("/var/lib/aami/install").exists();
    if which.form() != Form::Host || !is_bare {
        return Ok(false);
    }
    let found = Runs::at(real(RUNS)).forget_all(&real(PUSHED))?;
    if found {
        remove_base(&real(RUNS));
    }
    Ok(found)
}

/// What is above the runs is ours as well, and goes when it is empty, as after any uninstall.
fn remove_base(runs: &Path) {
    if let Some(base) = runs.parent() {
        let _ = std::fs::remove_dir(base);
    }
}

/// The command of a run, in its process.
fn command(job: Job) -> Exit {
    let Job { command, variables } = job;
    let arguments = std::iter::once("aami-agent".to_owned()).chain(command);
    let surroundings = || Surroundings::of(|name| variables.get(name).cloned());
    super::run(arguments.map(Into::into).collect(), surroundings)
}

fn show(standing: &Standing, is_json: bool) {
    if is_json {
        let mut value = serde_json::to_value(standing).unwrap_or(Value::Null);
        if let Some(object) = value.as_object_mut() {
            object.insert("type".to_owned(), json!("run"));
        }
        screen::json(&value);
        return;
    }
    let how = match (standing.status, standing.pid) {
        (RunStatus::Running, Some(pid)) => format!("running, process {pid}"),
        (status, _) => match standing.exit {
            Some(exit) => format!("{}, exit {exit}", status.name()),
            None => status.name().to_owned(),
        },
    };
    let (id, since, command) = (&standing.id, standing.started_at, standing.command.join(" "));
    screen::line(&format!("{id:<24} {how:<24} {since}  {command}"));
}

impl From<DetachedError> for Failure {
    fn from(error: DetachedError) -> Self {
        let sentence = error.to_string();
        match error {
            DetachedError::Name(_) | DetachedError::Command(_) => {
                Self::new(code::INVALID, sentence).with_hint("See `aami-agent run --help`.")
            }
            DetachedError::Unknown(_) => {
                Self::new(code::NOT_FOUND, sentence).with_hint("`aami-agent run list` shows those there are.")
            }
            DetachedError::Taken { .. } => {
                Self::new(code::CONFLICT, sentence).with_hint("Choose another name for another command.")
            }
            DetachedError::Busy(_) => Self::new(code::LOCKED, sentence)
                .with_hint("Wait for it to end; `aami-agent run list` and `aami-agent status` show it."),
            DetachedError::NotStarted(_) => Self::new(code::RUN_NOT_STARTED, sentence),
            DetachedError::File { path, source } => Self::file(Path::new(&path), &source),
        }
    }
}
