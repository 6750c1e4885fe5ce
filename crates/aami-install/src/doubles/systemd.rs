//! systemd: units loaded from files below the root, started with the program and configuration they
//! name, enabled by links.
//!
//! What it keeps from the real one: an inactive unit is read afresh whenever it is asked for, an
//! active one is remembered as loaded until `daemon-reload`; `enable` makes links in `*.wants/` by
//! `[Install]`, `disable` removes them and the folder when that is empty; a unit linked to
//! `/dev/null` is masked; a program that is missing or not executable ends in 203, a user that does
//! not exist in 217; what a service runs with is what lay on disk when it was started.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::system::Answer;
use crate::digest::Digest;

const FOLDERS: [&str; 3] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
];

/// What is known of one unit from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPicture {
    /// Its name.
    pub unit: String,
    /// Whether it runs.
    pub active: bool,
    /// Whether it failed.
    pub failed: bool,
    /// What it was loaded from.
    pub loaded: Option<Digest>,
    /// What it was started with: unit file, program, environment file.
    pub runs: Option<Digest>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Remembered {
    active: bool,
    failed: bool,
    result: String,
    exit_status: i32,
    loaded: Option<Digest>,
    runs: Option<Digest>,
    pid: u32,
    journal: Vec<String>,
}

/// The id of the `n`th start of a unit.
fn invocation(unit: &str, n: u32) -> String {
    Digest::of(format!("{unit} {n}").as_bytes()).to_string()[..32].to_owned()
}

/// systemd's memory of one moment.
pub(super) struct Systemd {
    root: PathBuf,
    memory: PathBuf,
    units: BTreeMap<String, Remembered>,
}

/// A unit file as read from disk.
struct OnDisk {
    /// As the system sees it.
    path: String,
    text: String,
    masked: bool,
}

impl OnDisk {
    fn value(&self, key: &str) -> Option<&str> {
        self.text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
            .map(str::trim)
    }
}

impl Systemd {
    pub(super) fn load(root: &Path, memory: &Path) -> Self {
        let file = memory.join("systemd.json");
        let units = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            root: root.to_owned(),
            memory: file,
            units: units.unwrap_or_default(),
        }
    }

    fn store(&self) {
        let bytes = serde_json::to_vec_pretty(&self.units).unwrap_or_default();
        let temporary = self.memory.with_extension("new");
        let stored =
            std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &self.memory));
        assert!(stored.is_ok(), "the test's systemd cannot remember: {stored:?}");
    }

    pub(super) fn picture(&self) -> Vec<UnitPicture> {
        let picture = |(unit, known): (&String, &Remembered)| UnitPicture {
            unit: unit.clone(),
            active: known.active,
            failed: known.failed,
            loaded: known.loaded,
            runs: known.runs,
        };
        self.units
            .iter()
            .filter(|(_, known)| known.active || known.failed)
            .map(picture)
            .collect()
    }

    fn on_disk(&self, unit: &str) -> Option<OnDisk> {
        FOLDERS.iter().find_map(|folder| {
            let path = self.root.join(folder).join(unit);
            let masked = std::fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null"));
            let text = if masked {
                String::new()
            } else {
                std::fs::read_to_string(&path).ok()?
            };
            Some(OnDisk {
                path: format!("/{folder}/{unit}"),
                text,
                masked,
            })
        })
    }

    fn wants(&self, unit: &str) -> Vec<PathBuf> {
        let folder = self.root.join(FOLDERS[0]);
        let folders = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        folders
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".wants"))
            .map(|entry| entry.path().join(unit))
            .filter(|link| link.symlink_metadata().is_ok())
            .collect()
    }

    fn file_state(&self, unit: &str) -> &'static str {
        match self.on_disk(unit) {
            None => "",
            Some(file) if file.masked => "masked",
            Some(_) if !self.wants(unit).is_empty() => "enabled",
            Some(file) if file.value("WantedBy").is_some() => "disabled",
            Some(_) => "static",
        }
    }

    pub(super) fn systemctl(mut self, args: &[&str]) -> Answer {
        let words: Vec<&str> = args
            .iter()
            .filter(|arg| !arg.starts_with("--"))
            .copied()
            .collect();
        let Some((verb, units)) = words.split_first() else {
            return Answer::failed(1, "no verb");
        };
        let unit = units.first().copied().unwrap_or_default();
        let answer = match *verb {
            "show" => return self.show(unit),
            "daemon-reload" => self.reload(),
            "enable" => self.enable(unit),
            "disable" => self.disable(unit),
            "unmask" => self.unmask(unit),
            "start" => self.start(unit),
            "restart" => {
                self.stop(unit);
                self.start(unit)
            }
            "stop" => self.stop(unit),
            "reset-failed" => {
                self.units.retain(|name, known| name != unit || known.active);
                Answer::done()
            }
            other => Answer::failed(1, format!("Unknown command verb {other}.")),
        };
        self.store();
        answer
    }

    fn show(&self, unit: &str) -> Answer {
        let known = self.units.get(unit).cloned().unwrap_or_default();
        let file = self.on_disk(unit);
        let now = file.as_ref().map(|file| Digest::of(file.text.as_bytes()));
        let load = match &file {
            _ if known.active && known.loaded.is_some() => "loaded",
            None => "not-found",
            Some(file) if file.masked => "masked",
            Some(_) => "loaded",
        };
        let (active, sub) = match (known.active, known.failed) {
            (true, _) if unit.ends_with(".service") => ("active", "running"),
            (true, _) => ("active", "waiting"),
            (_, true) => ("failed", "failed"),
            _ => ("inactive", "dead"),
        };
        let stale = known.active && known.loaded != now;
        Answer::said(format!(
            "LoadState={load}\nActiveState={active}\nSubState={sub}\nUnitFileState={}\nResult={}\nExecMainStatus={}\n\
             MainPID={}\nNeedDaemonReload={}\nFragmentPath={}\nInvocationID={}\n",
            self.file_state(unit),
            if known.result.is_empty() {
                "success"
            } else {
                &known.result
            },
            known.exit_status,
            if known.active { known.pid } else { 0 },
            if stale { "yes" } else { "no" },
            file.map_or(String::new(), |file| file.path),
            if known.pid == 0 {
                String::new()
            } else {
                invocation(unit, known.pid)
            },
        ))
    }

    fn reload(&mut self) -> Answer {
        let digests: BTreeMap<String, Option<Digest>> = self
            .units
            .keys()
            .map(|unit| {
                (
                    unit.clone(),
                    self.on_disk(unit).map(|file| Digest::of(file.text.as_bytes())),
                )
            })
            .collect();
        for (unit, known) in &mut self.units {
            known.loaded = digests[unit];
        }
        // A failed unit whose file is gone stays in memory as a ghost until it is reset.
        self.units.retain(|_, known| known.active || known.failed);
        Answer::done()
    }

    fn enable(&self, unit: &str) -> Answer {
        let Some(file) = self.on_disk(unit) else {
            return Answer::failed(
                1,
                format!("Failed to enable unit: Unit file {unit} does not exist."),
            );
        };
        if file.masked {
            return Answer::failed(1, format!("Failed to enable unit: Unit file {unit} is masked."));
        }
        for target in file.value("WantedBy").unwrap_or_default().split_whitespace() {
            let folder = self.root.join(FOLDERS[0]).join(format!("{target}.wants"));
            let linked = std::fs::create_dir_all(&folder)
                .and_then(|()| std::os::unix::fs::symlink(&file.path, folder.join(unit)));
            if let Err(error) = linked
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Answer::failed(1, format!("Failed to enable unit: {error}"));
            }
        }
        Answer::done()
    }

    fn unmask(&self, unit: &str) -> Answer {
        let path = self.root.join(FOLDERS[0]).join(unit);
        if std::fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) {
            let _ = std::fs::remove_file(path);
        }
        Answer::done()
    }

    fn disable(&self, unit: &str) -> Answer {
        for link in self.wants(unit) {
            let _ = std::fs::remove_file(&link);
            let _ = link.parent().map(std::fs::remove_dir);
        }
        Answer::done()
    }

    fn start(&mut self, unit: &str) -> Answer {
        let known = self.units.get(unit).cloned().unwrap_or_default();
        if known.active {
            return Answer::done();
        }
        let Some(file) = self.on_disk(unit) else {
            return Answer::failed(5, format!("Failed to start {unit}: Unit {unit} not found."));
        };
        if file.masked {
            return Answer::failed(1, format!("Failed to start {unit}: Unit {unit} is masked."));
        }
        let mut next = Remembered {
            pid: known.pid + 1,
            ..Remembered::default()
        };
        next.loaded = Some(Digest::of(file.text.as_bytes()));
        // Timers and the like run nothing themselves.
        let started = if unit.ends_with(".service") {
            self.execute(&file)
        } else {
            Ok(Digest::of(file.text.as_bytes()))
        };
        match started {
            Ok(runs) => {
                next.active = true;
                next.runs = Some(runs);
                next.journal.push(format!("Started {unit}."));
            }
            Err((status, why)) => {
                next.failed = true;
                next.result = "exit-code".into();
                next.exit_status = status;
                next.journal.push(why);
            }
        }
        let failed = next.failed;
        self.units.insert(unit.to_owned(), next);
        if failed {
            return Answer::failed(
                1,
                format!("Job for {unit} failed because the control process exited with error code."),
            );
        }
        Answer::done()
    }

    /// What the service runs with, or the exit status it dies with and its last words.
    fn execute(&self, file: &OnDisk) -> Result<Digest, (i32, String)> {
        let below = |path: &str| self.root.join(path.trim_start_matches('/'));
        if let Some(user) = file.value("User") {
            let passwd = std::fs::read_to_string(self.root.join("etc/passwd")).unwrap_or_default();
            if !passwd.lines().any(|line| line.split(':').next() == Some(user)) {
                return Err((
                    217,
                    format!("Failed to determine user credentials: no user {user}"),
                ));
            }
        }
        let program = file
            .value("ExecStart")
            .and_then(|line| line.split_whitespace().next())
            .unwrap_or_default();
        let path = below(program);
        let mode = path.metadata().map_or(0, |meta| meta.permissions().mode());
        let Ok(bytes) = std::fs::read(&path) else {
            return Err((
                203,
                format!("Unable to locate executable '{program}': No such file or directory"),
            ));
        };
        if mode & 0o111 == 0 {
            return Err((
                203,
                format!("Failed at step EXEC spawning {program}: Permission denied"),
            ));
        }
        if bytes.starts_with(b"CRASHES") {
            return Err((
                1,
                format!("{program}: listen tcp :9100: bind: address already in use"),
            ));
        }
        let mut runs = file.text.clone().into_bytes();
        runs.extend_from_slice(&bytes);
        if let Some(path) = file.value("EnvironmentFile") {
            runs.extend(std::fs::read(below(path.trim_start_matches('-'))).unwrap_or_default());
        }
        Ok(Digest::of(&runs))
    }

    fn stop(&mut self, unit: &str) -> Answer {
        if self.on_disk(unit).is_none() && !self.units.contains_key(unit) {
            return Answer::failed(5, format!("Failed to stop {unit}: Unit {unit} not loaded."));
        }
        self.units.retain(|name, known| name != unit || known.failed);
        Answer::done()
    }

    pub(super) fn journalctl(self, args: &[&str]) -> Answer {
        let named = |field: &str| args.iter().find_map(|arg| arg.strip_prefix(field));
        let is_meant = |unit: &str, known: &Remembered| {
            let id = || invocation(unit, known.pid);
            match (named("--unit="), named("_SYSTEMD_INVOCATION_ID=")) {
                (Some(wanted), _) => wanted == unit,
                (None, Some(wanted)) => wanted == id(),
                (None, None) => false,
            }
        };
        // Asked by the first field alone, what systemd says of a service is not told.
        let is_whole = named("--unit=").is_some() || named("INVOCATION_ID=").is_some();
        let known = self.units.iter().find(|(unit, known)| is_meant(unit, known));
        let lines = known.map_or(&[][..], |(_, known)| known.journal.as_slice());
        let told = lines
            .iter()
            .filter(|line| is_whole || !line.starts_with("Started "));
        Answer::said(told.cloned().collect::<Vec<_>>().join("\n"))
    }
}
