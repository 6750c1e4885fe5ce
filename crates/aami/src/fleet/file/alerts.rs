//! Rules of the configuration in the folder that Prometheus reads: judged, placed, loaded, or taken back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aami_config::Config;
use aami_model::code;
use aami_monitor::presets::{RuleFile, is_ours};

use super::{FileFleet, Settings, change, write};
use crate::cli::failure::Failure;
use crate::fleet::engines::{Engine, EngineError, LoadedGroup, Reload};
use crate::fleet::monitor;

/// Everybody may read rules.
const MODE: u32 = 0o644;
/// How long Prometheus may take to take rules over.
const LOADING: Duration = Duration::from_secs(15);
/// How often it is asked meanwhile.
const OFTEN: Duration = Duration::from_millis(100);
/// How often another program is looked at that was started.
const SOON: Duration = Duration::from_millis(10);
/// How much of what it says is shown.
const MOST_SAID: u64 = 1000;
/// How long another program may take for what it is told.
const TOLD: Duration = Duration::from_secs(30);
/// Where the stack's programs are installed, each in a folder of its name and version.
const INSTALLED: &str = "/opt/aami";
/// Prometheus as `aami init` and `aami server install` run it.
const UNIT: &str = "aami-prometheus.service";

/// What became of rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Prometheus has loaded them. Those it cannot evaluate, each with the reason.
    Loaded(Vec<String>),
    /// They are in place, and nobody is there who would load them: why.
    Waiting(String),
}

/// Whether there was a promtool to judge rules. Where there is none, Prometheus judges them when it loads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It had nothing against them.
    Sound,
    /// There is none on this machine.
    Nobody,
}

/// Rules in their place, which nobody else of us changes before this is dropped.
struct Placed {
    applied: Applied,
    judged: Judged,
    before: Before,
    files: Vec<RuleFile>,
    _held: write::Held,
}

/// The rules folder before it was changed.
struct Before {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl FileFleet {
    /// Adds presets to the configuration and brings rules to what it then says. Where Prometheus does not take them, or
    /// the configuration cannot be written, configuration and rules are as before.
    pub(crate) fn apply_presets(&self, names: &[String]) -> Result<(Applied, Judged), Failure> {
        let _held = write::hold(&self.place.config)?;
        let settings = self.read()?;
        let after = self.with_presets(&settings, names)?;
        // The configuration comes last: what it names is what holds.
        let placed = self.apply_rules(after.config())?;
        if let Err(error) = change::put(self, &settings, &after) {
            self.take_back(&placed.before, &placed.files, after.config());
            return Err(error);
        }
        Ok((placed.applied, placed.judged))
    }

    /// What would be judged and placed for these presets beside those that are there.
    pub(crate) fn judge_presets(&self, names: &[String]) -> Result<(Vec<RuleFile>, Judged), Failure> {
        let after = self.with_presets(&self.read()?, names)?;
        let files = monitor::rules(after.config())?;
        let judged = self.judged(&files)?;
        Ok((files, judged))
    }

    fn with_presets(&self, settings: &Settings, names: &[String]) -> Result<Settings, Failure> {
        self.edited(settings, |document, _| {
            names
                .iter()
                .try_for_each(|name| document.add_preset(name).map(drop))
        })
    }

    /// Brings the rules folder to what a configuration says, and Prometheus to the folder.
    fn apply_rules(&self, config: &Config) -> Result<Placed, Failure> {
        let files = monitor::rules(config)?;
        let judged = self.judged(&files)?;
        let folder = self.place.path(monitor::RULES);
        fs::create_dir_all(&folder).map_err(|source| Failure::File {
            path: folder.clone(),
            doing: "made",
            source,
        })?;
        let held = write::hold(&folder.join("rules"))?;
        let before = Before::of(&folder)?;
        let prometheus = Engine::here(config.prometheus.port);
        let earlier = match prometheus.reload() {
            Ok(earlier) => Ok(earlier),
            Err(error @ EngineError::Silent { is_refused: true, .. }) => Err(error.to_string()),
            // Somebody is there, and whether it would take rules over cannot be known.
            Err(error) => return Err(not_loaded(error.to_string())),
        };
        let outcome = place(&before, &files).and_then(|()| match earlier {
            Ok(earlier) => self.load(&prometheus, earlier, &files),
            Err(why) => Ok(Applied::Waiting(why)),
        });
        match outcome {
            Ok(applied) => Ok(Placed {
                applied,
                judged,
                before,
                files,
                _held: held,
            }),
            Err(error) => {
                self.take_back(&before, &files, config);
                Err(error)
            }
        }
    }

    /// Makes the folder what it was, and Prometheus read it. What went wrong before is what is told; what goes wrong
    /// here stands in the log.
    fn take_back(&self, before: &Before, files: &[RuleFile], config: &Config) {
        if let Err(error) = before.restore(files) {
            tracing::error!(%error, "the rules that were there before could not be put back");
        }
        if let Err(why) = self.told_to_reload(&Engine::here(config.prometheus.port)) {
            tracing::warn!(why, "Prometheus was not told that the rules are as before");
        }
    }

    /// Makes Prometheus read the folder, and waits until it has every rule.
    fn load(&self, prometheus: &Engine, earlier: Reload, files: &[RuleFile]) -> Result<Applied, Failure> {
        let refused = || {
            not_loaded(format!(
                "Prometheus at {} refuses its configuration with these rules",
                prometheus.url()
            ))
        };
        match self.told_to_reload(prometheus) {
            Ok(Told::Read | Told::Asked) => {}
            Ok(Told::Refused) => return Err(refused()),
            Err(why) => {
                return Err(not_loaded(format!(
                    "Prometheus could not be told of the rules: {why}"
                )));
            }
        }
        let until = Instant::now() + LOADING;
        loop {
            let seen = match prometheus.reload() {
                Ok(now) => match read_since(earlier, now) {
                    Some(false) => return Err(refused()),
                    None => "it has not read its configuration again".to_owned(),
                    Some(true) => match prometheus.rules_alone().map(|loaded| compared(&loaded, files)) {
                        Ok(Ok(failing)) => return Ok(Applied::Loaded(failing)),
                        Ok(Err(missing)) => format!("it has not loaded the rules of {missing}"),
                        Err(error) => error.to_string(),
                    },
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() >= until {
                return Err(not_loaded(format!(
                    "Prometheus at {} did not take the rules over within {} s: {seen}",
                    prometheus.url(),
                    LOADING.as_secs()
                )));
            }
            std::thread::sleep(OFTEN);
        }
    }

    /// By its own endpoint where that is open, else by its unit. Says why neither can be.
    fn told_to_reload(&self, prometheus: &Engine) -> Result<Told, String> {
        let refused = match prometheus.read_again() {
            Ok(()) => return Ok(Told::Read),
            Err(EngineError::Refused { status: 500, .. }) => return Ok(Told::Refused),
            Err(error) => error.to_string(),
        };
        if !self.place.is_system() {
            return Err(refused);
        }
        let mut systemctl = Command::new("systemctl");
        systemctl.args(["reload", UNIT]);
        match ended(&mut systemctl, TOLD) {
            Ok((true, _)) => Ok(Told::Asked),
            Ok((false, said)) => Err(format!("{refused}; `systemctl reload {UNIT}`: {said}")),
            Err(error) => Err(format!("{refused}; systemctl: {error}")),
        }
    }

    /// Has the rules judged by promtool, where there is one.
    fn judged(&self, files: &[RuleFile]) -> Result<Judged, Failure> {
        let here = tempfile::tempdir().map_err(Failure::Runtime)?;
        let mut paths = Vec::new();
        for file in files {
            let path = here.path().join(&file.name);
            fs::write(&path, &file.text).map_err(|source| Failure::File {
                path: path.clone(),
                doing: "written",
                source,
            })?;
            paths.push(path);
        }
        if paths.is_empty() {
            return Ok(Judged::Sound);
        }
        let promtool = installed_promtool(&self.place.path(INSTALLED));
        let mut promtool = Command::new(promtool.unwrap_or_else(|| PathBuf::from("promtool")));
        promtool.args(["check", "rules"]).args(&paths);
        match ended(&mut promtool, TOLD) {
            Ok((true, _)) => Ok(Judged::Sound),
            Ok((false, said)) => Err(Failure::found(
                code::ALERT_RULE_INVALID,
                format!("promtool refuses the rules: {said}"),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Judged::Nobody),
            Err(error) => Err(Failure::Runtime(error)),
        }
    }
}

/// What a Prometheus makes of being told to read its configuration.
enum Told {
    /// It has read it.
    Read,
    /// It has read it, and cannot load it.
    Refused,
    /// It will.
    Asked,
}

/// Whether a configuration that was read since went well; nothing where none was, as far as can be seen. One that
/// failed before and fails still looks like one that was not read again.
fn read_since(earlier: Reload, now: Reload) -> Option<bool> {
    if !now.went_well {
        return earlier.went_well.then_some(false);
    }
    (now.at > earlier.at || earlier.at <= 0.0 || !earlier.went_well).then_some(true)
}

/// The promtool of the newest Prometheus in the folder of installed programs.
fn installed_promtool(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("prometheus-")?;
            let version: Vec<u64> = (version.split('.'))
                .map(|part| part.parse().unwrap_or(0))
                .collect();
            let promtool = entry.path().join("promtool");
            promtool.is_file().then_some((version, promtool))
        })
        .max()
        .map(|(_, promtool)| promtool)
}

/// Runs another program to its end, and kills it where it takes too long. Answers whether it succeeded, and what it
/// said on standard error, shortened.
fn ended(command: &mut Command, within: Duration) -> io::Result<(bool, String)> {
    // A file takes everything at once; a pipe could fill while nobody reads.
    let mut error = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(error.try_clone()?)
        .spawn()?;
    let until = Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{} took longer than {} s",
                    command.get_program().display(),
                    within.as_secs()
                ),
            ));
        }
        std::thread::sleep(SOON);
    };
    error.rewind()?;
    let mut said = Vec::new();
    error.take(MOST_SAID).read_to_end(&mut said)?;
    let said: String = String::from_utf8_lossy(&said)
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect();
    Ok((status.success(), said.trim().to_owned()))
}

fn not_loaded(sentence: String) -> Failure {
    Failure::found(code::ALERT_RULES_NOT_LOADED, sentence)
}

/// The rules that cannot be evaluated, each with the reason; or the first group or alert that a Prometheus lacks.
fn compared(loaded: &[LoadedGroup], files: &[RuleFile]) -> Result<Vec<String>, String> {
    let mut failing = Vec::new();
    for file in files {
        let ours: Vec<&LoadedGroup> = (loaded.iter())
            .filter(|group| Path::new(&group.file).ends_with(&file.name) && file.groups.contains(&group.name))
            .collect();
        let missing = (file.groups.iter()).find(|name| !ours.iter().any(|group| group.name == **name));
        if let Some(name) = missing {
            return Err(name.clone());
        }
        let rules = || ours.iter().flat_map(|group| &group.rules);
        if let Some(alert) = (file.alerts.iter()).find(|alert| !rules().any(|rule| rule.name == **alert)) {
            return Err(alert.clone());
        }
        for rule in rules().filter(|rule| !rule.last_error.is_empty()) {
            failing.push(format!("{}: {}", rule.name, rule.last_error));
        }
    }
    Ok(failing)
}

impl Before {
    fn of(folder: &Path) -> Result<Self, Failure> {
        let unreadable = |source| Failure::File {
            path: folder.to_owned(),
            doing: "read",
            source,
        };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_ours(&name) && entry.file_type().map_err(unreadable)?.is_file() {
                files.insert(name, fs::read(entry.path()).map_err(unreadable)?);
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
        })
    }

    /// The folder as it was: what is new goes, what went or changed comes back.
    fn restore(&self, placed: &[RuleFile]) -> Result<(), Failure> {
        for (name, bytes) in &self.files {
            put(&self.folder.join(name), bytes)?;
        }
        for file in placed {
            if !self.files.contains_key(&file.name) {
                gone(&self.folder.join(&file.name))?;
            }
        }
        Ok(())
    }
}

/// Puts the files into the folder, and takes out those of ours that are no longer wanted.
fn place(before: &Before, files: &[RuleFile]) -> Result<(), Failure> {
    for file in files {
        put(&before.folder.join(&file.name), file.text.as_bytes())?;
    }
    for name in before.files.keys() {
        if !files.iter().any(|file| file.name == *name) {
            gone(&before.folder.join(name))?;
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write::replace(path, bytes, MODE)
}

fn gone(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::File {
            path: path.to_owned(),
            doing: "removed",
            source: error,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(file: &str, alert: &str, last_error: &str) -> LoadedGroup {
        let rule = serde_json::json!({"name": alert, "lastError": last_error});
        serde_json::from_value(serde_json::json!({"name": "aami", "file": file, "rules": [rule]})).unwrap()
    }

    #[test]
    fn a_rule_of_another_file_is_not_ours_and_one_that_cannot_be_evaluated_is_named() {
        let ours = [RuleFile {
            name: "aami-a.yaml".to_owned(),
            text: String::new(),
            groups: vec!["aami".to_owned()],
            alerts: vec!["GPULost".to_owned()],
        }];
        let elsewhere = [
            group("/r/other.yaml", "GPULost", ""),
            group("/r/aami-a.yaml", "Old", ""),
        ];
        assert_eq!(compared(&elsewhere, &ours), Err("GPULost".to_owned()));
        assert_eq!(compared(&[], &ours), Err("aami".to_owned()));
        let failing = [group("/r/aami-a.yaml", "GPULost", "many-to-many")];
        assert_eq!(
            compared(&failing, &ours),
            Ok(vec!["GPULost: many-to-many".to_owned()])
        );
    }

    #[test]
    fn a_configuration_that_failed_before_is_not_refused_before_it_is_read() {
        let state = |at, went_well| Reload { at, went_well };
        assert_eq!(read_since(state(5.0, true), state(5.0, true)), None);
        assert_eq!(read_since(state(5.0, true), state(5.0, false)), Some(false));
        assert_eq!(read_since(state(5.0, false), state(5.0, false)), None);
        assert_eq!(read_since(state(5.0, false), state(6.0, true)), Some(true));
    }

    #[test]
    fn the_newest_promtool_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["2.9.0", "2.42.0", "3.0.0"] {
            fs::create_dir(folder.path().join(format!("prometheus-{version}"))).unwrap();
        }
        for version in ["2.9.0", "2.42.0"] {
            fs::write(folder.path().join(format!("prometheus-{version}/promtool")), "").unwrap();
        }
        assert!(
            installed_promtool(folder.path())
                .unwrap()
                .ends_with("prometheus-2.42.0/promtool")
        );
        assert_eq!(installed_promtool(&folder.path().join("none")), None);
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let begun = Instant::now();
        let error = ended(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
