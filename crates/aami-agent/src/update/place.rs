//! The pieces of an update on a real host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aami_api::client::Trust;
use aami_install::Host;
use aami_install::host::{UnitError, Units};
use aami_inventory::{Commands as _, SystemCommands};
use aami_model::{Code, Timestamp, code};
use aami_plans::download::Downloader;
use aami_plans::node::{AGENT_UNIT, FETCHED, RELEASE_KEY, TRIAL, TRIAL_DROP_IN, daemon_command, program_of};
use serde::Deserialize;

use super::Wrong;
use super::course::{Patience, Pieces};
use super::journal::{Book, life_of, sync_folder};
use super::release::{self, Source};

/// How long a new agent may take to say its version.
const SAYING: Duration = Duration::from_secs(20);
/// How long it may take to install itself.
const SETTLING: Duration = Duration::from_secs(300);
/// What is shown of what a program said.
const MOST_SAID: usize = 300;

/// Removes installed agents but those of these versions, by the receipt; answers what went, or why nothing could.
pub(crate) type Prune = dyn Fn([&str; 2]) -> Result<Vec<String>, Wrong>;

/// A host.
pub(crate) struct Place {
    host: Host,
    book: Book,
    server: String,
    /// Whose receipt names what is installed.
    cluster: String,
    trust: Trust,
    downloader: Downloader,
    prune: Option<Box<Prune>>,
    patience: Patience,
    began: Instant,
    say: fn(&str),
}

#[derive(Deserialize)]
struct Version {
    name: String,
    version: String,
}

impl Place {
    pub(crate) fn new(
        host: Host,
        book: Book,
        server: String,
        cluster: String,
        trust: Trust,
        downloader: Downloader,
        say: fn(&str),
    ) -> Self {
        Self {
            host,
            book,
            server,
            cluster,
            trust,
            downloader,
            prune: None,
            patience: Patience::default(),
            began: Instant::now(),
            say,
        }
    }

    /// With a way to remove older agents; none is removed without one.
    pub(crate) fn pruned_by(mut self, prune: Box<Prune>) -> Self {
        self.prune = Some(prune);
        self
    }

    /// With another patience.
    pub(crate) const fn patient(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    fn units(&self) -> Result<&dyn Units, Wrong> {
        self.host.units.as_deref().ok_or_else(|| {
            let why = "this node has no service manager that AAMI's units are in";
            Wrong::new(code::COMMAND_NOT_OFFERED, why)
        })
    }

    /// Runs an agent with arguments; what it said, or why it failed.
    fn agent(program: &str, arguments: &[&str], limit: Duration) -> Result<String, String> {
        let commands = SystemCommands {
            limit,
            most_output: 1024 * 1024,
            ..SystemCommands::default()
        };
        let output = commands
            .run(program, arguments)
            .map_err(|error| error.to_string())?;
        if output.status == Some(0) {
            return Ok(output.stdout);
        }
        let said = if output.stderr.trim().is_empty() {
            output.stdout
        } else {
            output.stderr
        };
        let how = output
            .status
            .map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
        Err(format!("it ended with {how}: {}", short(&said)))
    }
}

/// The end of what a program said, in one line.
fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    let from = line.chars().count().saturating_sub(MOST_SAID);
    line.chars().skip(from).collect()
}

fn failed(what: &Path, error: &io::Error) -> Wrong {
    Wrong::new(code::COMMAND_FAILED, format!("{}: {error}", what.display()))
}

/// Places a program in one move, on the disk when this returns.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let beside = to.with_extension("new");
    fs::copy(from, &beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o755))?;
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, to)?;
    sync_folder(to)?;
    sync_folder(folder)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn of_unit(error: &UnitError) -> Wrong {
    Wrong::new(code::UNIT_FAILED, short(&error.to_string()))
}

impl Pieces for Place {
    fn fetch(&self, version: &str) -> Result<(), Wrong> {
        // Without them nothing of what follows can be done.
        self.units()?;
        let key = release::key(Path::new(RELEASE_KEY))?;
        let source = Source {
            server: &self.server,
            trust: &self.trust,
            downloader: &self.downloader,
        };
        let staging = self.book.folder().join(FETCHED);
        let program = release::fetch(&source, &key, version, &staging)?;
        let trial = Path::new(TRIAL);
        place(program.path(), trial).map_err(|error| failed(trial, &error))?;
        drop(program);
        // It has to run on this machine at all, and be what it was signed as.
        let refused = |why: String| {
            Wrong::new(
                code::UPDATE_ROLLED_BACK,
                format!("{version} does not run here: {why}"),
            )
        };
        let said = Self::agent(TRIAL, &["version", "--json"], SAYING).map_err(refused)?;
        match serde_json::from_str::<Version>(&said) {
            Ok(said) if said.name == "aami-agent" && said.version == version => Ok(()),
            Ok(said) => Err(refused(format!("it says it is {} {}", said.name, said.version))),
            Err(_) => Err(refused("it does not say its version".to_owned())),
        }
    }

    fn put_on_trial(&self) -> Result<(), Wrong> {
        let path = Path::new(TRIAL_DROP_IN);
        let text = format!(
            "# A new agent on trial, by aami-agent-update.service; it goes by itself.\n[Service]\nExecStart=\n\
             ExecStart={}\n",
            daemon_command(TRIAL, &self.cluster)
        );
        let put = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder)?;
            let beside = path.with_extension("new");
            fs::write(&beside, &text)?;
            File::open(&beside)?.sync_all()?;
            fs::rename(&beside, path)?;
            sync_folder(path)?;
            sync_folder(folder)
        };
        put().map_err(|error| failed(path, &error))?;
        let units = self.units()?;
        units.reload().map_err(|error| of_unit(&error))?;
        units.restart(AGENT_UNIT).map_err(|error| of_unit(&error))
    }

    fn end_trial(&self) -> Result<(), Wrong> {
        let path = Path::new(TRIAL_DROP_IN);
        let folder = path.parent().unwrap_or(path);
        if !folder.exists() {
            // The file may be gone and the manager not know it yet: an earlier try ended between the two.
            let units = self.units()?;
            let unit = units.show(AGENT_UNIT).map_err(|error| of_unit(&error))?;
            return if unit.needs_reload {
                units.reload().map_err(|error| of_unit(&error))
            } else {
                Ok(())
            };
        }
        let take = || -> io::Result<()> {
            remove(&path.with_extension("new"))?;
            remove(path)?;
            sync_folder(path)?;
            // Somebody else's drop-ins stay.
            let _ = fs::remove_dir(folder);
            sync_folder(folder)
        };
        take().map_err(|error| failed(path, &error))?;
        self.units()?.reload().map_err(|error| of_unit(&error))
    }

    fn restart(&self) -> Result<(), Wrong> {
        self.units()?.restart(AGENT_UNIT).map_err(|error| of_unit(&error))
    }

    fn settle(&self, version: Option<&str>) -> Result<(), Wrong> {
        let program = version.map_or_else(|| TRIAL.to_owned(), program_of);
        let arguments = ["update", "--settle", "--json", "--cluster", &self.cluster];
        let done = Self::agent(&program, &arguments, SETTLING);
        let Err(why) = done else { return Ok(()) };
        // Another installer at work says so by its code.
        let is_locked = why.contains(&format!("\"{}\"", code::LOCKED.symbol));
        let code: Code = if is_locked {
            code::LOCKED
        } else {
            code::UPDATE_ROLLED_BACK
        };
        Err(Wrong::new(code, format!("it could not install itself: {why}")))
    }

    fn life(&self) -> Result<Option<String>, Wrong> {
        let unit = self.units()?.show(AGENT_UNIT).map_err(|error| of_unit(&error))?;
        Ok((unit.is_active() && unit.main_pid > 0).then(|| life_of(&unit.invocation, unit.main_pid)))
    }

    fn is_on_trial(&self) -> bool {
        let unit = match &self.host.units {
            Some(units) => units.show(AGENT_UNIT),
            // Nothing was ever put on trial here.
            None => return false,
        };
        let Ok(unit) = unit else { return true };
        let runs = fs::read_link(format!("/proc/{}/exe", unit.main_pid));
        // What was replaced on the disk has a word behind its name (proc(5)).
        let runs_trial = runs.is_ok_and(|program| program.to_string_lossy().starts_with(TRIAL));
        Path::new(TRIAL_DROP_IN).exists() || unit.needs_reload || runs_trial
    }

    fn clear(&self) -> io::Result<()> {
        let trial = Path::new(TRIAL).parent().unwrap_or(Path::new(TRIAL)).to_owned();
        for folder in [trial, self.book.folder().join(FETCHED)] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let Some(units) = &self.host.units else {
            return String::new();
        };
        match units.journal(AGENT_UNIT, 3).as_slice() {
            [] => String::new(),
            lines => format!("; it said: {}", short(&lines.join(" | "))),
        }
    }

    fn prune(&self, keep: [&str; 2]) -> Result<Vec<String>, Wrong> {
        self.prune
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), |prune| prune(keep))
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn wait(&self, pause: Duration) {
        thread::park_timeout(pause);
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    fn say(&self, line: &str) {
        (self.say)(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_said_is_one_short_line_of_its_end() {
        let text = format!("{}\u{1b}[31mthe end\n", "x".repeat(1000));
        let line = short(&text);
        assert!(
            line.ends_with("the end") && line.chars().count() == MOST_SAID,
            "{line}"
        );
        assert!(!line.contains('\u{1b}'));
    }

    #[test]
    fn a_program_is_placed_whole_and_may_be_placed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("opt/x/aami-agent"));
        for bytes in ["one", "two"] {
            fs::write(&from, bytes).unwrap();
            place(&from, &to).unwrap();
            assert_eq!(fs::read_to_string(&to).unwrap(), bytes);
            assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}
