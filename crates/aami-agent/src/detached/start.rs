//! Beginning a run, or finding the one that is there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aami_api::detached::Standing;
use aami_model::Timestamp;
use aami_model::run::RunStatus;

pub(crate) use super::launch::Launcher;
use super::launch::Process;
use super::{DetachedError, Request, Run, Runs, events, private, private_folder, take};

/// So many runs that have ended are kept.
const KEPT: usize = 20;
/// How long another start is waited for, and how long a process may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether it began.
const LOOK: Duration = Duration::from_millis(10);
/// What can be run like this.
const COMMANDS: [&str; 4] = ["bootstrap", "uninstall", "exporters", "preflight"];

/// What is wanted.
pub(crate) struct Wanted {
    /// Its name.
    pub(crate) id: String,
    /// The arguments of this program.
    pub(crate) command: Vec<String>,
    /// The variables that commands heed.
    pub(crate) variables: BTreeMap<String, String>,
    /// Where it is asked for.
    pub(crate) folder: PathBuf,
    /// Begin another attempt also where the last one failed or was called off.
    pub(crate) again: bool,
    /// This program.
    pub(crate) program: PathBuf,
    /// What time it is.
    pub(crate) now: Timestamp,
}

impl Wanted {
    /// What may be run: commands that end by themselves and say what they do, without a secret in their arguments.
    fn check(&self) -> Result<(), DetachedError> {
        let wrong = |why: &str| Err(DetachedError::Command(why.to_owned()));
        let name = self.command.first().map(String::as_str).unwrap_or_default();
        if !COMMANDS.contains(&name) {
            return Err(DetachedError::Command(format!(
                "{name:?} is not run detached; {} are",
                COMMANDS.join(", ")
            )));
        }
        if self
            .command
            .iter()
            .any(|word| word == "--token" || word.starts_with("--token="))
        {
            return wrong("a token in the arguments would be read by others; --token-file names its file");
        }
        Ok(())
    }

    /// The command as it is kept: with lines for programs.
    fn arguments(&self) -> Vec<String> {
        let mut command = self.command.clone();
        if !command.iter().any(|word| word == "--json") {
            command.insert(1, "--json".to_owned());
        }
        // `exporters --json install X` is not understood.
        if command.first().is_some_and(|name| name == "exporters")
            && command.get(1).is_some_and(|word| word == "--json")
        {
            command.remove(1);
            command.push("--json".to_owned());
        }
        command
    }
}

/// Begins the run that is wanted, unless it is there. `busy` says who else is at work on this host, if anybody is.
pub(crate) fn start(
    runs: &Runs,
    wanted: &Wanted,
    launcher: &Launcher<'_>,
    busy: impl Fn() -> Option<String>,
) -> Result<Standing, DetachedError> {
    wanted.check()?;
    let run = runs.run(&wanted.id)?;
    private_folder(runs.folder()).map_err(DetachedError::file(runs.folder()))?;
    // One start at a time, so that what is looked at stays so.
    let starting = take(&run.starting, &wanted.id, PATIENCE).map_err(DetachedError::file(&run.starting))?;
    let Some(_starting) = starting else {
        return Err(DetachedError::Busy(
            "another run is being started on this host".to_owned(),
        ));
    };
    let before = before(&run)?;
    if let Some(before) = &before {
        if before.command != wanted.arguments() {
            return Err(DetachedError::Taken {
                id: wanted.id.clone(),
                command: before.command.join(" "),
            });
        }
        let goes_on = match before.status {
            RunStatus::Running | RunStatus::Pending | RunStatus::Completed => false,
            RunStatus::Interrupted => true,
            RunStatus::Failed | RunStatus::Cancelled => wanted.again,
        };
        if !goes_on {
            return Ok(Standing {
                begun: Some(false),
                ..before.clone()
            });
        }
    }
    if let Some(other) = runs
        .all()?
        .into_iter()
        .find(|other| other.status == RunStatus::Running && other.id != wanted.id)
    {
        let (id, since, command) = (&other.id, other.started_at, other.command.join(" "));
        return Err(DetachedError::Busy(format!(
            "the run {id} is at work on this host since {since}: {command}"
        )));
    }
    if let Some(who) = busy() {
        return Err(DetachedError::Busy(who));
    }
    let attempt = before
        .as_ref()
        .map_or(1, |before| before.attempt.saturating_add(1));
    let earlier = run.request()?;
    let request = Request {
        command: wanted.arguments(),
        variables: wanted.variables.clone(),
        folder: wanted.folder.clone(),
        started_at: before.as_ref().map_or(wanted.now, |before| before.started_at),
        attempt,
    };
    keep(&run, &request).map_err(DetachedError::file(&run.folder))?;
    let process = Process {
        program: wanted.program.clone(),
        id: &wanted.id,
        attempt,
        runs: runs.folder(),
    };
    let begun = process.begin(launcher).and_then(|()| wait(&run, attempt));
    if let Err(why) = begun
        && give_up(&run, attempt, earlier.as_ref()).map_err(DetachedError::file(&run.folder))?
    {
        return Err(DetachedError::NotStarted(why));
    }
    prune(runs);
    Ok(Standing {
        begun: Some(true),
        ..run.known()?
    })
}

/// How the run of this name stood before; while it is being started here, it is not at work.
fn before(run: &Run) -> Result<Option<Standing>, DetachedError> {
    let Some(mut standing) = run.standing()? else {
        return Ok(None);
    };
    // The lock that says "being started" is ours.
    if standing.status == RunStatus::Running && standing.pid.is_none() {
        let (_, ended) = events::last(&run.events()).map_err(DetachedError::file(&run.events()))?;
        let ended = ended.filter(|ended| ended.attempt == standing.attempt);
        let ended = ended.unwrap_or_else(|| run.without_a_word(standing.attempt));
        (standing.status, standing.exit) = (ended.status, Some(ended.exit));
    }
    Ok(Some(standing))
}

/// Writes down what is to be run.
fn keep(run: &Run, request: &Request) -> io::Result<()> {
    private_folder(&run.folder)?;
    match fs::remove_file(run.cancel()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = run.folder.join("request.json.new");
    let mut file = private(&new)?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(request)?)?;
    file.sync_all()?;
    fs::rename(&new, run.request_file())?;
    fs::File::open(&run.folder)?.sync_all()
}

/// Waits until its process is at work, or has ended by now.
fn wait(run: &Run, attempt: u32) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let has_ended = || {
            let last = events::last(&run.events());
            last.is_ok_and(|(_, ended)| ended.is_some_and(|ended| ended.attempt == attempt))
        };
        if super::held(&run.lock()).is_some() || has_ended() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!(
                "its process did not begin within {} s",
                PATIENCE.as_secs()
            ));
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Gives up an attempt whose process did not begin in time, so that it does nothing when it comes late. The run's lock
/// decides: answers no where the process has it by now, or had it and has ended.
fn give_up(run: &Run, attempt: u32, earlier: Option<&Request>) -> io::Result<bool> {
    let Some(_lock) = take(&run.lock(), "given up", super::FORGETTING)? else {
        return Ok(false);
    };
    let (_, ended) = events::last(&run.events())?;
    if ended.is_some_and(|ended| ended.attempt == attempt) {
        return Ok(false);
    }
    match earlier {
        // What was known before is what is known now.
        Some(earlier) => keep(run, earlier)?,
        // It never was.
        None => fs::remove_dir_all(&run.folder)?,
    }
    Ok(true)
}

/// Forgets the oldest of those that have ended.
fn prune(runs: &Runs) {
    let all = runs.all().unwrap_or_default();
    let mut ended: Vec<_> = all
        .into_iter()
        .filter(|run| run.status != RunStatus::Running)
        .collect();
    let most = ended.len().saturating_sub(KEPT);
    for old in ended.drain(..most) {
        // What cannot be removed now is tried with the next start.
        let _ = runs.run(&old.id).and_then(|run| run.forget());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(command: &[&str]) -> Wanted {
        Wanted {
            id: "r1".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            variables: BTreeMap::new(),
            folder: PathBuf::from("/"),
            again: false,
            program: PathBuf::from("/bin/false"),
            now: Timestamp::EPOCH,
        }
    }

    #[test]
    fn only_what_ends_by_itself_is_run_and_no_secret_in_its_arguments() {
        assert!(wanted(&["bootstrap", "--standalone"]).check().is_ok());
        for bad in [
            &[][..],
            &["daemon"],
            &["run", "start"],
            &["bootstrap", "--token", "aami_x"],
            &["bootstrap", "--token=aami_x"],
        ] {
            let error = wanted(bad).check().unwrap_err();
            assert!(!error.to_string().contains("aami_x"), "{error}");
        }
    }

    #[test]
    fn it_speaks_json_where_its_command_understands_that() {
        assert_eq!(
            wanted(&["bootstrap", "--repair"]).arguments(),
            ["bootstrap", "--json", "--repair"]
        );
        assert_eq!(
            wanted(&["bootstrap", "--json"]).arguments(),
            ["bootstrap", "--json"]
        );
        assert_eq!(
            wanted(&["exporters", "install", "all_smi"]).arguments(),
            ["exporters", "install", "all_smi", "--json"]
        );
    }

    #[test]
    fn one_that_is_at_work_keeps_another_from_beginning_and_is_named() {
        // Given a run at work,
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::at(folder.path().to_owned());
        let first = runs.run("first").unwrap();
        let request = Request {
            command: wanted(&["preflight"]).arguments(),
            variables: BTreeMap::new(),
            folder: PathBuf::from("/"),
            started_at: Timestamp::EPOCH,
            attempt: 1,
        };
        keep(&first, &request).unwrap();
        let _lock = take(&first.lock(), "42", Duration::ZERO).unwrap().unwrap();
        // when another is wanted, it is refused and nothing is left of it;
        let error = start(&runs, &wanted(&["preflight"]), &Launcher::Session, || None).unwrap_err();
        assert!(
            matches!(&error, DetachedError::Busy(who) if who.contains("run first")),
            "{error}"
        );
        assert!(!folder.path().join("r1").exists());
        // when the same is wanted again, it is the one that is there;
        let same = Wanted {
            id: "first".to_owned(),
            ..wanted(&["preflight"])
        };
        let found = start(&runs, &same, &Launcher::Session, || None).unwrap();
        assert_eq!((found.begun, found.pid), (Some(false), Some(42)));
        // and another command of its name is refused.
        let other = Wanted {
            id: "first".to_owned(),
            ..wanted(&["uninstall"])
        };
        let error = start(&runs, &other, &Launcher::Session, || None).unwrap_err();
        assert!(matches!(error, DetachedError::Taken { .. }), "{error}");
    }

    /// A run that was asked for and whose process has not begun.
    fn asked_for(attempt: u32) -> (tempfile::TempDir, Run, Request) {
        let folder = tempfile::tempdir().unwrap();
        let run = Runs::at(folder.path().to_owned()).run("r1").unwrap();
        let request = Request {
            command: wanted(&["preflight"]).arguments(),
            variables: BTreeMap::new(),
            folder: PathBuf::from("/"),
            started_at: Timestamp::EPOCH,
            attempt,
        };
        keep(&run, &request).unwrap();
        (folder, run, request)
    }

    #[test]
    fn one_that_begins_late_is_not_taken_away_under_its_feet() {
        // Given a run that took longer to begin than anybody waits, and has begun by now,
        let (_folder, run, _) = asked_for(1);
        let (lock, _) = super::super::work::begin(&run, 1).unwrap();
        // when it is given up, then it goes on.
        assert!(!give_up(&run, 1, None).unwrap());
        assert_eq!(run.known().unwrap().status, RunStatus::Running);
        assert!(run.is_locked_by(&lock));
    }

    #[test]
    fn one_that_was_given_up_does_nothing_when_it_comes_late() {
        // Given a run that has not begun when it is given up,
        let (_folder, run, _) = asked_for(1);
        let opened = take(&run.lock(), "opened early", Duration::ZERO)
            .unwrap()
            .unwrap();
        opened.unlock().unwrap();
        assert!(give_up(&run, 1, None).unwrap());
        assert!(!run.folder.exists());
        // when its process comes, then there is nothing for it to do, whatever it had opened before.
        let late = super::super::work::begin(&run, 1).unwrap_err();
        assert!(matches!(late, DetachedError::Unknown(_)), "{late}");
        assert!(!run.folder.exists());
        opened.try_lock().unwrap();
        assert!(!run.is_locked_by(&opened));
    }

    #[test]
    fn a_second_attempt_that_was_given_up_leaves_what_was_known_of_the_first() {
        let (_folder, run, mut request) = asked_for(1);
        let earlier = run.request().unwrap();
        request.attempt = 2;
        keep(&run, &request).unwrap();
        assert!(give_up(&run, 2, earlier.as_ref()).unwrap());
        assert_eq!(run.known().unwrap().attempt, 1);
        let late = super::super::work::begin(&run, 2).unwrap_err();
        assert!(matches!(late, DetachedError::Unknown(_)), "{late}");
    }

    #[test]
    fn a_failed_one_begins_again_only_when_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::at(folder.path().to_owned());
        let run = runs.run("r1").unwrap();
        let mut again = wanted(&["preflight"]);
        let request = Request {
            command: again.arguments(),
            variables: BTreeMap::new(),
            folder: PathBuf::from("/"),
            started_at: Timestamp::EPOCH,
            attempt: 1,
        };
        keep(&run, &request).unwrap();
        let line = r#"{"seq":1,"type":"run_ended","status":"failed","exit":1,"attempt":1}"#;
        fs::write(run.events(), format!("{line}\n")).unwrap();
        let found = start(&runs, &again, &Launcher::Session, || None).unwrap();
        assert_eq!((found.begun, found.exit), (Some(false), Some(1)));
        // An installer at work keeps it from beginning, and what was known stays.
        again.again = true;
        let busy = || Some("the installer of process 7".to_owned());
        let error = start(&runs, &again, &Launcher::Session, busy).unwrap_err();
        assert!(
            matches!(&error, DetachedError::Busy(who) if who.contains("process 7")),
            "{error}"
        );
        assert_eq!(run.known().unwrap().attempt, 1);
    }
}
