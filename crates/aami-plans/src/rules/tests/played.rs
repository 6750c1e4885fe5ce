//! A Prometheus that is played, a promtool beside it, and a folder of rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aami_inventory::{CommandError, Commands, Output};
use aami_model::exporter::parse_duration;
use aami_model::rule_file::RuleFile;

use crate::rules::{Applied, Engine, Judged, Owner, Placed, RulesError, Site};

/// promtool is not there, or says this.
#[derive(Default)]
pub(super) struct Promtool {
    pub(super) says: Option<Output>,
    pub(super) asked: RefCell<Vec<String>>,
}

impl Commands for Promtool {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, CommandError> {
        self.asked
            .borrow_mut()
            .push(format!("{program} {}", arguments.join(" ")));
        self.says
            .clone()
            .ok_or_else(|| CommandError::NotInstalled(program.to_owned()))
    }
}

/// Answers as a Prometheus does, by what lies in a folder when it is told to read it.
pub(super) struct Played {
    port: u16,
    /// Where its endpoint for that is not open: its flags.
    flags: Arc<Mutex<Option<BTreeMap<&'static str, &'static str>>>>,
    pub(super) refuses: Arc<AtomicBool>,
    /// It reads back what it stored, and answers nothing but its metrics.
    pub(super) starting: Arc<AtomicBool>,
    loaded: Arc<Mutex<BTreeMap<String, String>>>,
    pub(super) reloads: Arc<AtomicU32>,
}

impl Played {
    fn reading(folder: &Path) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), folder)
    }

    pub(super) fn on(listener: TcpListener, folder: &Path) -> Self {
        let played = Self {
            port: listener.local_addr().unwrap().port(),
            flags: Arc::default(),
            refuses: Arc::default(),
            starting: Arc::default(),
            loaded: Arc::default(),
            reloads: Arc::default(),
        };
        let (folder, refuses) = (folder.to_owned(), played.refuses.clone());
        let (starting, flags) = (played.starting.clone(), played.flags.clone());
        let (loaded, reloads) = (played.loaded.clone(), played.reloads.clone());
        std::thread::spawn(move || {
            let mut went_well = true;
            // Where it looks for itself: when it did so last, and what it read then.
            let (mut looked, mut read) = (Instant::now(), BTreeMap::new());
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let path = asked(&stream);
                let flags = flags.lock().unwrap().clone();
                let looks = flags
                    .as_ref()
                    .and_then(every)
                    .is_some_and(|every| looked.elapsed() >= every);
                let is_starting = starting.load(Ordering::SeqCst);
                let is_told = path == "/-/reload" && flags.is_none() && !is_starting;
                if is_told || looks {
                    looked = Instant::now();
                    let there = yaml_files(&folder);
                    if is_told || there != read {
                        went_well = !refuses.load(Ordering::SeqCst);
                        if went_well {
                            reloads.fetch_add(1, Ordering::SeqCst);
                            (*loaded.lock().unwrap(), read) = (there.clone(), there);
                        }
                    }
                }
                let answer = if path != "/metrics" && is_starting {
                    (503, "Service Unavailable".to_owned())
                } else if is_told {
                    (if went_well { 200 } else { 500 }, String::new())
                } else if path == "/-/reload" {
                    (403, "Lifecycle API is not enabled.".to_owned())
                } else if path == "/api/v1/status/flags" {
                    let flags = flags.unwrap_or_default();
                    (
                        200,
                        serde_json::json!({"status": "success", "data": flags}).to_string(),
                    )
                } else if path == "/metrics" {
                    let at = reloads.load(Ordering::SeqCst) + 1;
                    let well = u8::from(went_well);
                    let text = format!(
                        "prometheus_config_last_reload_success_timestamp_seconds {at}\n\
                         prometheus_config_last_reload_successful {well}\n"
                    );
                    (200, text)
                } else {
                    (200, groups(&loaded.lock().unwrap()))
                };
                say(stream, answer.0, &answer.1);
            }
        });
        played
    }

    /// Closes its endpoint for being told, and gives it these flags.
    pub(super) fn is_started_with(&self, flags: &[(&'static str, &'static str)]) {
        *self.flags.lock().unwrap() = Some(flags.iter().copied().collect());
    }
}

/// How often one with these flags looks for itself.
fn every(flags: &BTreeMap<&'static str, &'static str>) -> Option<Duration> {
    let every = parse_duration(flags.get("config.auto-reload-interval")?)?;
    let features = flags.get("enable-feature")?;
    features
        .contains("auto-reload-config")
        .then(|| Duration::from_millis(every))
}

fn asked(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    path.split('?').next().unwrap_or_default().to_owned()
}

fn say(mut stream: TcpStream, status: u16, text: &str) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(text.as_bytes());
}

/// The rules of files of one group, named as the file's text says.
fn groups(files: &BTreeMap<String, String>) -> String {
    let groups: Vec<serde_json::Value> = files
        .iter()
        .map(|(name, text)| {
            let rule = serde_json::json!({"name": text.trim(), "lastError": ""});
            serde_json::json!({"name": "g", "file": format!("/rules/{name}"), "rules": [rule]})
        })
        .collect();
    serde_json::json!({"status": "success", "data": {"groups": groups}}).to_string()
}

fn yaml_files(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.ends_with(".yaml"))
        .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
        .collect()
}

/// A file that has one alert, which is its text.
pub(super) fn file(name: &str, alert: &str) -> RuleFile {
    RuleFile {
        name: name.to_owned(),
        text: format!("{alert}\n"),
        groups: vec!["g".to_owned()],
        alerts: vec![alert.to_owned()],
    }
}

pub(super) struct Stage {
    pub(super) root: tempfile::TempDir,
    pub(super) promtool: Promtool,
    pub(super) prometheus: Engine,
    pub(super) owner: Owner,
}

impl Stage {
    pub(super) fn new() -> (Self, Played) {
        let root = tempfile::tempdir().unwrap();
        let played = Played::reading(&root.path().join("rules"));
        let stage = Self {
            prometheus: Engine::here(played.port),
            root,
            promtool: Promtool::default(),
            owner: configuration("/etc/aami/config.yaml"),
        };
        (stage, played)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("rules")
    }

    pub(super) fn site(&self) -> Site<'_> {
        Site {
            folder: self.folder(),
            owner: self.owner.clone(),
            follows: &|_| false,
            prometheus: Engine::at(self.prometheus.url()),
            commands: &self.promtool,
            installed: self.root.path().join("opt"),
            unit: None,
        }
    }

    pub(super) fn files(&self) -> BTreeMap<String, String> {
        yaml_files(&self.folder())
    }

    pub(super) fn apply(&self, files: &[RuleFile]) -> Result<(Applied, Judged), RulesError> {
        self.site().apply(files).and_then(Placed::keep)
    }
}

pub(super) fn configuration(file: &str) -> Owner {
    Owner::Configuration {
        file: PathBuf::from(file),
        cluster: "main".to_owned(),
    }
}
