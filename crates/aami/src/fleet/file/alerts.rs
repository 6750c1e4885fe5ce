//! Rules of the configuration in the folder that Prometheus reads: judged, placed, loaded, or taken back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aami_config::Config;
use aami_model::code;
use aami_monitor::presets::{RuleFile, is_ours};

use super::{FileFleet, write};
use crate::cli::failure::Failure;
use crate::fleet::engines::{Engine, EngineError, Reload};
use crate::fleet::monitor;

/// Everybody may read rules.
const MODE: u32 = 0o644;
/// How long Prometheus may take to take rules over.
const LOADING: Duration = Duration::from_secs(15);
/// How often it is asked meanwhile.
const OFTEN: Duration = Duration::from_millis(100);
/// Prometheus as `aami init` and `aami server install` run it.
const UNIT: &str = "aami-prometheus.service";

/// What became of rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Prometheus has loaded them.
    Loaded,
    /// They are in place, and nobody is there who would load them: why.
    Waiting(String),
}

/// The rules folder before it was changed.
struct Before {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl FileFleet {
    /// Adds presets to the configuration and brings rules to what it then says. Where Prometheus does not take them,
    /// configuration and rules are as before.
    pub(crate) fn apply_presets(&self, names: &[String]) -> Result<Applied, Failure> {
        let settings = self.read()?;
        let after = self.edited(&settings, |document, _| {
            names
                .iter()
                .try_for_each(|name| document.add_preset(name).map(drop))
        })?;
        // The configuration comes last: what it names is what holds.
        let applied = self.apply_rules(after.config())?;
        self.change(|document, _| {
            names
                .iter()
                .try_for_each(|name| document.add_preset(name).map(drop))
        })?;
        Ok(applied)
    }

    /// What would be judged and placed for these presets beside those that are there.
    pub(crate) fn judge_presets(&self, names: &[String]) -> Result<Vec<RuleFile>, Failure> {
        let settings = self.read()?;
        let after = self.edited(&settings, |document, _| {
            names
                .iter()
                .try_for_each(|name| document.add_preset(name).map(drop))
        })?;
        let files = monitor::rules(after.config())?;
        judged(&files)?;
        Ok(files)
    }

    /// Brings the rules folder to what a configuration says, and Prometheus to the folder.
    pub(crate) fn apply_rules(&self, config: &Config) -> Result<Applied, Failure> {
        let files = monitor::rules(config)?;
        judged(&files)?;
        let folder = self.place.path(monitor::RULES);
        fs::create_dir_all(&folder).map_err(|source| Failure::File {
            path: folder.clone(),
            doing: "made",
            source,
        })?;
        let _held = write::hold(&folder.join("rules"))?;
        let before = Before::of(&folder)?;
        let prometheus = Engine::here(config.prometheus.port);
        let earlier = prometheus.reload();
        let outcome = place(&before, &files).and_then(|()| match earlier {
            Ok(earlier) => self.load(&prometheus, earlier, &files),
            Err(error) => Ok(Applied::Waiting(error.to_string())),
        });
        if outcome.is_err() {
            before.restore(&files)?;
            // What was loaded before is loaded again; that it was refused is what is told.
            let _ = self.told_to_reload(&prometheus);
        }
        outcome
    }

    /// Makes Prometheus read the folder, and waits until it has every rule.
    fn load(&self, prometheus: &Engine, earlier: Reload, files: &[RuleFile]) -> Result<Applied, Failure> {
        if let Err(why) = self.told_to_reload(prometheus) {
            return Ok(Applied::Waiting(why));
        }
        let until = Instant::now() + LOADING;
        loop {
            let now = prometheus.reload();
            let seen = match now {
                Ok(now) if !now.went_well => {
                    return Err(not_loaded(format!(
                        "Prometheus at {} refuses its configuration with these rules",
                        prometheus.url()
                    )));
                }
                Ok(now) if now.at > earlier.at || earlier.at <= 0.0 => match missing(prometheus, files) {
                    Ok(None) => return Ok(Applied::Loaded),
                    Ok(Some(group)) => format!("it has not loaded the rules of {group}"),
                    Err(error) => error.to_string(),
                },
                Ok(_) => "it has not read its configuration again".to_owned(),
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
    fn told_to_reload(&self, prometheus: &Engine) -> Result<(), String> {
        let refused = match prometheus.post("/-/reload", None) {
            // It says 500 to what it cannot load, and its metrics say so as well.
            Ok(_) | Err(EngineError::Refused { status: 500, .. }) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if !self.place.is_system() {
            return Err(refused);
        }
        let told = Command::new("systemctl")
            .args(["reload", UNIT])
            .stdin(Stdio::null())
            .output();
        match told {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!(
                "{refused}; `systemctl reload {UNIT}`: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => Err(format!("{refused}; systemctl: {error}")),
        }
    }
}

fn not_loaded(sentence: String) -> Failure {
    Failure::found(code::ALERT_RULES_NOT_LOADED, sentence)
}

/// The first group that a Prometheus lacks, or in which a rule of ours is missing.
fn missing(prometheus: &Engine, files: &[RuleFile]) -> Result<Option<String>, EngineError> {
    let loaded = prometheus.rules()?;
    for file in files {
        for name in &file.groups {
            let group = loaded
                .iter()
                .find(|group| group.name == *name && Path::new(&group.file).ends_with(&file.name));
            let Some(group) = group else {
                return Ok(Some(name.clone()));
            };
            if let Some(rule) = group.rules.iter().find(|rule| !rule.last_error.is_empty()) {
                tracing::debug!(
                    rule = rule.name,
                    error = rule.last_error,
                    "a rule cannot be evaluated"
                );
            }
        }
        let has = |alert: &String| {
            loaded
                .iter()
                .flat_map(|group| &group.rules)
                .any(|rule| rule.name == *alert)
        };
        if let Some(alert) = file.alerts.iter().find(|alert| !has(alert)) {
            return Ok(Some(alert.clone()));
        }
    }
    Ok(None)
}

/// Has the rules judged by promtool, where there is one.
fn judged(files: &[RuleFile]) -> Result<(), Failure> {
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
        return Ok(());
    }
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .args(&paths)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said
                .chars()
                .filter(|c| !c.is_control() || *c == '\n')
                .take(1000)
                .collect();
            Err(Failure::found(
                code::ALERT_RULE_INVALID,
                format!("promtool refuses the rules: {}", said.trim()),
            ))
        }
        // Prometheus judges them itself when it loads them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Runtime(error)),
    }
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
