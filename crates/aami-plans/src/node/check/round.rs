//! One round: what is due runs, side by side, and the metrics of all are written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aami_api::check::NodeCheck;
use aami_api::client::Client;
use aami_install::host::Clock;
use aami_model::Timestamp;
use aami_model::check::{LONGEST_TIMEOUT, RunAs};

use super::memory::{Remembered, Seen};
use super::render;
use super::report::{Report, Status};
use super::run::{self, Identity, Job};
use super::starter::{Expected, Starter};
use super::trust::Rules;
use super::{CheckRoundError, Places, fetch, orphans};

/// How many checks run at once.
const AT_ONCE: usize = 8;
/// How often the control plane is asked.
const FETCH: Duration = Duration::from_secs(240);
/// How long a round may take: to ask, to run the longest check there can be, and to write what was found. What has
/// begun by then ends a little later, and all of it within [`LONGEST`].
const ROUND: Duration = after(fetch::ASK, after(seconds(LONGEST_TIMEOUT), seconds(5)));
/// How long a round takes at most, whatever its checks do. Its unit is given this long.
pub(in crate::node) const LONGEST: Duration =
    after(ROUND, after(run::ENDING, after(orphans::PATIENCE, seconds(10))));
/// A check is due a little early: rounds do not begin to the second.
const EARLY: Duration = Duration::from_secs(15);

const fn seconds(count: u32) -> Duration {
    Duration::from_secs(count as u64)
}

const fn after(one: Duration, other: Duration) -> Duration {
    one.saturating_add(other)
}

/// What a round is run with.
pub struct Round<'a> {
    /// Where everything is.
    pub places: Places,
    /// This program, which carries the starter set.
    pub agent: PathBuf,
    /// Whom checks run as; `None` leaves them to whoever runs the round.
    pub identity: Option<Identity>,
    /// What this node should have.
    pub expected: Expected,
    /// Who is asked for definitions (see [`asker`](super::asker)), and the name this node has there; nobody where
    /// absent.
    pub control_plane: Option<(Client, String)>,
    /// Ask now, and run everything whether it is due or not.
    pub now: bool,
    /// What time it is.
    pub clock: &'a dyn Clock,
}

/// How a round went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Each check that ran, with what it came to.
    pub ran: Vec<(String, Report)>,
    /// Why the control plane could not be asked, where it should have been.
    pub not_fetched: Option<String>,
    /// Whether another round is at work, so that this one did nothing.
    pub is_elsewhere: bool,
}

/// One check of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Where it is from: `starter`, or the hash of its definition.
    pub origin: String,
    /// How often it runs, in seconds.
    pub interval: u32,
    /// As whom.
    pub run_as: RunAs,
    /// Why it does not run, where it does not.
    pub refused: Option<String>,
    /// Whether it is switched off.
    pub is_off: bool,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Starter(Starter),
    Defined(Box<NodeCheck>),
}

impl Planned {
    /// Whether nothing about it is worth a look, by what it found last. One that is off is as somebody wants it,
    /// whatever it found before.
    pub fn is_fine(&self, seen: Option<&Seen>) -> bool {
        let runs_well = self.refused.is_none() && seen.is_none_or(|seen| seen.report.status == Status::Ok);
        self.is_off || runs_well
    }

    fn timeout(&self) -> Duration {
        match &self.source {
            Source::Starter(starter) => starter.timeout(),
            Source::Defined(check) => Duration::from_secs(check.definition.timeout_seconds.into()),
        }
    }
}

impl Round<'_> {
    /// Every check of this node with what it found last, without running any.
    pub fn look(&self) -> Result<(Vec<Planned>, Remembered), CheckRoundError> {
        let remembered = Remembered::read(&self.places.folder);
        let planned = planned(&remembered, &Rules::read(&self.places.rules)?);
        Ok((planned, remembered))
    }

    /// Runs it.
    pub fn run(&self) -> Result<Outcome, CheckRoundError> {
        // Asking is part of the round: its unit's clock runs, too.
        let began = Instant::now();
        let folder = &self.places.folder;
        private(folder)?;
        let lock = File::open(folder).map_err(CheckRoundError::file(folder))?;
        if lock.try_lock().is_err() {
            return Ok(Outcome {
                ran: Vec::new(),
                not_fetched: None,
                is_elsewhere: true,
            });
        }
        let rules = Rules::read(&self.places.rules)?;
        let mut remembered = Remembered::read(folder);
        let not_fetched = self.fetch(&mut remembered);
        let planned = planned(&remembered, &rules);
        let names: Vec<&str> = planned
            .iter()
            .filter(|check| !check.is_off)
            .map(|check| check.name.as_str())
            .collect();
        remembered.checks.retain(|name, _| names.contains(&name.as_str()));
        let now = self.clock.now();
        let mut due: Vec<&Planned> = planned
            .iter()
            .filter(|check| !check.is_off && (self.now || is_due(check, &remembered, now)))
            .collect();
        // Those that waited longest come first, so that none waits for ever where a round has no room for all.
        due.sort_by_key(|check| remembered.checks.get(&check.name).map(|seen| seen.at));
        self.tell(&remembered)?;
        let ran = self.run_all(&due, remembered, began)?;
        Ok(Outcome {
            ran: ran.into_iter().map(|(name, seen)| (name, seen.report)).collect(),
            not_fetched,
            is_elsewhere: false,
        })
    }

    fn fetch(&self, remembered: &mut Remembered) -> Option<String> {
        let (client, hostname) = self.control_plane.as_ref()?;
        let now = self.clock.now();
        let is_fresh = remembered
            .fetched_at
            .is_some_and(|then| now >= then && now.since(then) < FETCH);
        if is_fresh && !self.now {
            return None;
        }
        fetch::ask(client, hostname, remembered, now)
            .err()
            .map(|error| error.to_string())
    }

    /// Keeps what is known and writes the metrics of it.
    fn tell(&self, remembered: &Remembered) -> Result<(), CheckRoundError> {
        remembered.write(&self.places.folder)?;
        render::replace(&self.places.metrics, render::text(remembered).as_bytes(), 0o644)
    }

    /// Runs what is due, and tells of each as soon as it has ended: one that hangs keeps nothing from being
    /// known of the others.
    fn run_all(
        &self,
        due: &[&Planned],
        remembered: Remembered,
        began: Instant,
    ) -> Result<Vec<(String, Seen)>, CheckRoundError> {
        let scripts = Scripts::make(&self.places.scripts)?;
        let next = AtomicUsize::new(0);
        let done = Mutex::new((remembered, Vec::new(), Ok(())));
        let work = || {
            while let Some(check) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
                // What does not fit into this round is due in the next one, and first there.
                if began.elapsed() + check.timeout() > ROUND {
                    continue;
                }
                let at = self.clock.now();
                let (report, took) = match &check.refused {
                    Some(why) => (Report::new(Status::Unknown, why), Duration::ZERO),
                    None => self.run_one(check, &scripts),
                };
                let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let seen = Seen {
                    report,
                    at,
                    duration_ms,
                };
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.0.checks.insert(check.name.clone(), seen.clone());
                done.1.push((check.name.clone(), seen));
                let told = self.tell(&done.0);
                done.2 = std::mem::replace(&mut done.2, Ok(())).and(told);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(due.len()) {
                // Where there is no room for another thread, fewer run at once.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let (_, mut done, told) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        told?;
        done.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(done)
    }

    fn run_one(&self, check: &Planned, scripts: &Scripts) -> (Report, Duration) {
        let identity = match check.run_as {
            RunAs::AamiCheck => self.identity,
            RunAs::Root => None,
        };
        let job = match &check.source {
            Source::Starter(starter) => Job {
                program: self.agent.clone(),
                arguments: starter.arguments(&self.expected),
                timeout: check.timeout(),
                identity,
            },
            Source::Defined(defined) => {
                let definition = &defined.definition;
                let script = match scripts.place(&definition.name, &definition.script) {
                    Ok(path) => path,
                    Err(error) => return (Report::new(Status::Unknown, error.to_string()), Duration::ZERO),
                };
                let mut arguments = vec![script.display().to_string()];
                arguments.extend(definition.args.iter().cloned());
                Job {
                    program: PathBuf::from(&definition.interpreter),
                    arguments,
                    timeout: check.timeout(),
                    identity,
                }
            }
        };
        job.run()
    }
}

/// The starter set with what the control plane says laid over it, by name.
fn planned(remembered: &Remembered, rules: &Rules) -> Vec<Planned> {
    let mut all: BTreeMap<String, Planned> = BTreeMap::new();
    for starter in Starter::ALL {
        let granted = rules.grants_builtin(starter.name());
        let needs = starter.needs_root() && !granted;
        all.insert(
            starter.name().to_owned(),
            Planned {
                name: starter.name().to_owned(),
                origin: "starter".to_owned(),
                interval: starter.interval(),
                run_as: if starter.needs_root() {
                    RunAs::Root
                } else {
                    RunAs::AamiCheck
                },
                refused: None,
                // One that could not do anything says nothing, rather than "unknown" for ever.
                is_off: needs,
                source: Source::Starter(starter),
            },
        );
    }
    for check in &remembered.definitions {
        let definition = &check.definition;
        let refused = fetch::fault(check).or_else(|| rules.grants(definition, &check.sha256).err());
        // Only a name that may stand names a metric.
        if definition.check().is_err() {
            continue;
        }
        all.insert(
            definition.name.clone(),
            Planned {
                name: definition.name.clone(),
                origin: check.sha256.clone(),
                interval: definition.interval_seconds,
                run_as: definition.run_as,
                refused,
                is_off: !check.enabled,
                source: Source::Defined(Box::new(check.clone())),
            },
        );
    }
    all.into_values().collect()
}

fn is_due(check: &Planned, remembered: &Remembered, now: Timestamp) -> bool {
    let Some(seen) = remembered.checks.get(&check.name) else {
        return true;
    };
    let interval = Duration::from_secs(check.interval.into());
    // A clock that was set back must not silence anything.
    now < seen.at || now.since(seen.at) + EARLY >= interval
}

fn private(folder: &Path) -> Result<(), CheckRoundError> {
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o700)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(CheckRoundError::file(folder))
}

/// The scripts of a round: there while it runs, readable for those it runs them as.
struct Scripts {
    folder: PathBuf,
    is_ours: bool,
}

impl Scripts {
    fn make(folder: &Path) -> Result<Self, CheckRoundError> {
        // systemd makes it for the unit and removes it again; cron does not.
        let is_ours = match fs::create_dir(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(CheckRoundError::file(folder)(error)),
        };
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))
            .map_err(CheckRoundError::file(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            is_ours,
        })
    }

    fn place(&self, name: &str, script: &str) -> Result<PathBuf, CheckRoundError> {
        let path = self.folder.join(name);
        render::replace(&path, script.as_bytes(), 0o644)?;
        Ok(path)
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            let _ = fs::remove_file(entry.path());
        }
        if self.is_ours {
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests;
