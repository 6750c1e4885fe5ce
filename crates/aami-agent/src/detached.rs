//! Detached runs: a command of this program that goes on by itself, whoever started it, and tells what happens in a file.
//!
//! An operator far away starts one over SSH and then only reads along; a cut connection, a closed laptop or a second
//! reader change nothing. [`start::start`] begins one or finds the one that is there, [`work::work`] is the process it runs
//! in, [`follow::follow`] reads along, and this file says where everything lies and how a run stands.
//!
//! A run is a folder of its own: `request.json` (what to run), `events.jsonl` (the numbered lines, whose shape is
//! `aami_api::detached`), `lock` (held by the kernel for as long as the process lives, so that no stale state is ever
//! believed) and `cancel` (there once it was called off). One run is at work at a time.
//!
//! This room decides nothing about what a command does, and is no part of any plan: its folders are in no receipt.

pub(crate) mod events;
pub(crate) mod follow;
mod launch;
pub(crate) mod start;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aami_api::detached::{Ended, Standing, is_run_name};
use aami_model::run::RunStatus;
use aami_model::{Exit, Timestamp};
use serde::{Deserialize, Serialize};

/// No request is longer.
const LONGEST_REQUEST: u64 = 256 * 1024;
/// How long the lock of a run is tried for, to forget it: whoever looks at the run holds it for an instant.
const FORGETTING: std::time::Duration = std::time::Duration::from_secs(1);
/// What is held while a run is being started; no run has such a name.
const STARTING: &str = ".starting";

/// Why a run cannot be started, found or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachedError {
    /// The name cannot be a folder's.
    #[error("{0:?} is no name for a run: 1 to 63 of a-z, 0-9 and '-', not beginning with '-'")]
    Name(String),
    /// What may not be run like this.
    #[error("{0}")]
    Command(String),
    /// There is no such run.
    #[error("there is no run {0:?} on this host")]
    Unknown(String),
    /// The name belongs to another command.
    #[error("the run {id} is another command: {command}")]
    Taken {
        /// Its name.
        id: String,
        /// What it runs.
        command: String,
    },
    /// Somebody else is at work.
    #[error("{0}")]
    Busy(String),
    /// The process did not begin.
    #[error("the run could not be started: {0}")]
    NotStarted(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DetachedError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// What a run runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    /// The arguments of this program.
    command: Vec<String>,
    /// The variables that commands heed, as they were where it was started. They may hold a proxy's password.
    variables: BTreeMap<String, String>,
    /// Where it was started.
    folder: PathBuf,
    /// When, the first time.
    started_at: Timestamp,
    /// Which attempt it is.
    attempt: u32,
}

/// The runs of a host.
#[derive(Debug, Clone)]
pub(crate) struct Runs(PathBuf);

impl Runs {
    /// Those in a folder.
    pub(crate) const fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The run of a name, whether or not there is one.
    pub(crate) fn run(&self, id: &str) -> Result<Run, DetachedError> {
        if !is_run_name(id) {
            return Err(DetachedError::Name(id.chars().take(80).collect()));
        }
        Ok(Run {
            id: id.to_owned(),
            folder: self.0.join(id),
            starting: self.0.join(STARTING),
        })
    }

    /// How each of them stands, the oldest first.
    pub(crate) fn all(&self) -> Result<Vec<Standing>, DetachedError> {
        let names = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(DetachedError::file(&self.0)(error)),
        };
        let names = names
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut all = Vec::new();
        for name in names.filter(|name| is_run_name(name)) {
            // One that is being removed meanwhile, or was left by a power cut, is none.
            all.extend(self.run(&name)?.standing().ok().flatten());
        }
        all.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Ok(all)
    }

    /// Forgets the runs that have ended and what was carried here for them, `pushed`; not what is still at work. Answers
    /// whether there was anything.
    pub(crate) fn forget_all(&self, pushed: &Path) -> Result<bool, DetachedError> {
        let mut found = false;
        let mut is_at_work = false;
        for run in self.all()? {
            if run.status == RunStatus::Running {
                is_at_work = true;
                continue;
            }
            self.run(&run.id)?.forget()?;
            found = true;
        }
        if is_at_work {
            return Ok(found);
        }
        for folder in [self.0.as_path(), pushed] {
            match fs::remove_dir_all(folder) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(DetachedError::file(folder)(error)),
            }
        }
        Ok(found)
    }
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    id: String,
    folder: PathBuf,
    starting: PathBuf,
}

impl Run {
    fn request_file(&self) -> PathBuf {
        self.folder.join("request.json")
    }

    /// Its numbered lines.
    pub(crate) fn events(&self) -> PathBuf {
        self.folder.join("events.jsonl")
    }

    fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    fn cancel(&self) -> PathBuf {
        self.folder.join("cancel")
    }

    fn request(&self) -> Result<Option<Request>, DetachedError> {
        let path = self.request_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DetachedError::file(&path)(error)),
        };
        let mut text = String::new();
        file.take(LONGEST_REQUEST)
            .read_to_string(&mut text)
            .map_err(DetachedError::file(&path))?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| DetachedError::file(&path)(error.into()))
    }

    /// Its process, while it is at work; 0 where it is only beginning.
    fn at_work(&self) -> Option<u32> {
        let number = |path: &Path| held(path).map(|text| text.trim().parse().unwrap_or(0));
        number(&self.lock()).or_else(|| held(&self.starting).filter(|id| *id == self.id).map(|_| 0))
    }

    /// How it stands; nothing where there is no such run.
    pub(crate) fn standing(&self) -> Result<Option<Standing>, DetachedError> {
        let Some(request) = self.request()? else {
            return Ok(None);
        };
        // Before the file is read: what ends meanwhile has written its last line by then.
        let pid = self.at_work();
        let (last_seq, ended) = events::last(&self.events()).map_err(DetachedError::file(&self.events()))?;
        let ended = ended.filter(|ended| ended.attempt == request.attempt);
        let (status, exit) = if pid.is_some() {
            (RunStatus::Running, None)
        } else {
            let ended = ended.unwrap_or_else(|| self.without_a_word(request.attempt));
            (ended.status, Some(ended.exit))
        };
        Ok(Some(Standing {
            id: self.id.clone(),
            status,
            begun: None,
            attempt: request.attempt,
            last_seq,
            started_at: request.started_at,
            exit,
            pid: pid.filter(|pid| *pid != 0),
            command: request.command,
        }))
    }

    /// How it stands; that there is none is an error.
    pub(crate) fn known(&self) -> Result<Standing, DetachedError> {
        self.standing()?
            .ok_or_else(|| DetachedError::Unknown(self.id.clone()))
    }

    /// Calls it off: its process hears of it within a moment, and ends between two changes; called off once more, it ends
    /// at once. Nothing happens to one that has ended.
    pub(crate) fn call_off(&self) -> Result<Standing, DetachedError> {
        let standing = self.known()?;
        if standing.status == RunStatus::Running {
            let path = self.cancel();
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path);
            file.and_then(|mut file| file.write_all(b"x"))
                .map_err(DetachedError::file(&path))?;
        }
        Ok(standing)
    }

    /// Removes what is left of it, unless it is at work. It holds the run's lock meanwhile, so that no process begins in
    /// a folder that goes.
    pub(crate) fn forget(&self) -> Result<(), DetachedError> {
        let at_work = || DetachedError::Busy(format!("the run {} is at work", self.id));
        let standing = self.known()?;
        if standing.status == RunStatus::Running {
            return Err(at_work());
        }
        let lock = take(&self.lock(), "forgotten", FORGETTING).map_err(DetachedError::file(&self.lock()))?;
        let _lock = lock.ok_or_else(at_work)?;
        fs::remove_dir_all(&self.folder).map_err(DetachedError::file(&self.folder))
    }

    /// Whether a lock that is held is the run's own: the file of one that was forgotten is locked, and nobody's.
    fn is_locked_by(&self, lock: &File) -> bool {
        let same =
            |held: fs::Metadata, here: fs::Metadata| (held.dev(), held.ino()) == (here.dev(), here.ino());
        match (lock.metadata(), fs::metadata(self.lock())) {
            (Ok(held), Ok(here)) => same(held, here),
            _ => false,
        }
    }

    /// How an attempt ended that left no word: a power cut, or somebody killed it, or it was called off twice.
    fn without_a_word(&self, attempt: u32) -> Ended {
        let (status, message) = if self.cancel().exists() {
            (RunStatus::Cancelled, "it was called off and ended at once")
        } else {
            let message = "its process ended without a word; the same command goes on with it";
            (RunStatus::Interrupted, message)
        };
        Ended {
            status,
            exit: Exit::Interrupted.number(),
            attempt,
            message: Some(message.to_owned()),
        }
    }
}

/// What stands in a file that somebody holds; nothing where nobody does.
fn held(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            (&mut file).take(256).read_to_string(&mut text).ok()?;
            Some(text)
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Opens a file for writing that only its owner reads, made where it is not there.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Takes the lock that a file is, and writes down who holds it. Whoever looks holds it for an instant as well, so it is
/// tried for a moment.
fn take(path: &Path, who: &str, patience: std::time::Duration) -> io::Result<Option<File>> {
    let mut file = private(path)?;
    let deadline = std::time::Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if std::time::Instant::now() >= deadline => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(std::time::Duration::from_millis(10)),
        }
    }
    file.set_len(0)?;
    file.write_all(who.as_bytes())?;
    Ok(Some(file))
}

/// Makes a folder that only its owner enters, and those above it as they usually are.
fn private_folder(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stage() -> (tempfile::TempDir, Run) {
        let folder = tempfile::tempdir().unwrap();
        let run = Runs::at(folder.path().to_owned()).run("r1").unwrap();
        private_folder(&run.folder).unwrap();
        let request = Request {
            command: vec!["preflight".to_owned()],
            variables: BTreeMap::new(),
            folder: PathBuf::from("/"),
            started_at: Timestamp::from_millis(5_000),
            attempt: 1,
        };
        fs::write(run.request_file(), serde_json::to_vec(&request).unwrap()).unwrap();
        (folder, run)
    }

    #[test]
    fn a_run_whose_process_is_gone_without_a_word_is_interrupted() {
        // Given a run whose process holds its lock,
        let (_folder, run) = stage();
        let lock = take(&run.lock(), "42", Duration::ZERO).unwrap().unwrap();
        let standing = run.known().unwrap();
        assert_eq!((standing.status, standing.pid), (RunStatus::Running, Some(42)));
        assert!(run.forget().is_err(), "it is at work");
        // when the process is gone, then it is interrupted,
        drop(lock);
        let standing = run.known().unwrap();
        assert_eq!(
            (standing.status, standing.exit),
            (RunStatus::Interrupted, Some(9))
        );
        // unless it said how it ended.
        let ended = r#"{"seq":1,"type":"run_ended","status":"completed","exit":0,"attempt":1}"#;
        fs::write(run.events(), format!("{ended}\n")).unwrap();
        let standing = run.known().unwrap();
        assert_eq!((standing.status, standing.last_seq), (RunStatus::Completed, 1));
        // What an earlier attempt said is not the word of a later one.
        let mut request = run.request().unwrap().unwrap();
        request.attempt = 2;
        fs::write(run.request_file(), serde_json::to_vec(&request).unwrap()).unwrap();
        assert_eq!(run.known().unwrap().status, RunStatus::Interrupted);
    }

    #[test]
    fn one_that_is_being_started_is_no_interrupted_one() {
        let (_folder, run) = stage();
        let _starting = take(&run.starting, "r1", Duration::ZERO).unwrap().unwrap();
        assert_eq!(run.known().unwrap().status, RunStatus::Running);
    }

    #[test]
    fn what_has_ended_is_forgotten_and_what_was_pushed_goes_with_the_last() {
        let (folder, run) = stage();
        let runs = Runs::at(folder.path().to_owned());
        let pushed = folder.path().join("pushed");
        fs::create_dir(&pushed).unwrap();
        let lock = take(&run.lock(), "42", Duration::ZERO).unwrap().unwrap();
        assert!(!runs.forget_all(&pushed).unwrap());
        assert!(pushed.exists() && run.folder.exists());
        drop(lock);
        assert!(runs.forget_all(&pushed).unwrap());
        assert!(!pushed.exists() && !folder.path().exists());
        assert!(!runs.forget_all(&pushed).unwrap());
    }

    #[test]
    fn a_damaged_run_is_an_error_and_hides_no_other() {
        let (folder, run) = stage();
        let runs = Runs::at(folder.path().to_owned());
        fs::create_dir(folder.path().join("broken")).unwrap();
        fs::write(folder.path().join("broken/request.json"), "{").unwrap();
        assert!(runs.run("broken").unwrap().standing().is_err());
        let all = runs.all().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].id, run.id);
        assert!(runs.run("../etc").is_err());
    }
}
