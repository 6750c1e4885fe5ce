//! A declared fleet against what is applied on this machine: what was installed where, the lists, what the programs of the
//! stack are told, and what Prometheus has loaded of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aami_config::Config;
use aami_model::code;
use aami_model::nodeset::NodeSet;
use aami_model::rule_file;
use aami_monitor::grafana::{self, DataSources};
use aami_monitor::presets::RuleFile;
use aami_plans::rules;
use aami_plans::stack::{Note, Part as Program};

use super::FileFleet;
use super::targets;
use crate::cli::failure::Failure;
use crate::fleet::diff::{Compared, Difference, Differences, Kind, Part, compared};
use crate::fleet::engines::{Engine, EngineError};
use crate::fleet::health::some_of;
use crate::fleet::{Fleet as _, monitor, wanted};

/// Where what the programs are told lies.
const PROMETHEUS: &str = "/etc/aami/prometheus.yml";
const ALERTMANAGER: &str = "/etc/aami/alertmanager.yml";
const GRAFANA: &str = "/etc/aami/grafana";
/// What brings all of it to what is declared.
const INIT: &str = "sudo aami init";
/// By how much a clock of files may be coarser than Prometheus', in seconds.
const GRAIN: f64 = 2.0;

/// What is compared, and what came of it.
struct Comparison<'a> {
    fleet: &'a FileFleet,
    full: bool,
    compared: usize,
    differences: Vec<Difference>,
}

pub(super) fn differences(fleet: &FileFleet, full: bool) -> Result<Differences, Failure> {
    let settings = fleet.read()?;
    let config = settings.config();
    let mut all = Comparison {
        fleet,
        full,
        compared: 0,
        differences: Vec::new(),
    };
    let has = all.programs();
    all.nodes(config);
    let rules = match monitor::rules(config) {
        Ok(rules) => rules,
        Err(failure) => {
            all.unknown(Part::Rules, "alerts", &failure);
            Vec::new()
        }
    };
    all.rules(&rules);
    if has(Program::Prometheus) {
        all.prometheus(config, has(Program::Alertmanager), &rules);
    }
    if has(Program::Alertmanager) {
        all.alertmanager(config);
    }
    if has(Program::Grafana) {
        all.grafana(config, has(Program::Prometheus), has(Program::Alertmanager));
    }
    Ok(Differences::of(fleet.name(), all.compared, all.differences))
}

impl Comparison<'_> {
    /// Which programs are to be here: those that were chosen at the installation; without one, Prometheus, and what has
    /// a configuration here.
    fn programs(&mut self) -> impl Fn(Program) -> bool + use<> {
        let place = self.fleet.place.clone();
        let note = aami_install::Host::folder(&place.root)
            .ok()
            .and_then(|host| Note::read(&host));
        if note.as_ref().is_some_and(|note| note.wishes.control_plane) {
            let sentence =
                "a server with a control plane is installed here, and says what its programs are told";
            self.differences.push(
                Difference::new(Part::Prometheus, Kind::Unknown, PROMETHEUS, sentence)
                    .coded(code::STACK_ELSEWHERE)
                    .next("aami server status"),
            );
        }
        let alertmanager = place.path(ALERTMANAGER).exists();
        let grafana = place.path(GRAFANA).exists();
        move |program| match (&note, program) {
            // What its programs are told is the control plane's affair.
            (Some(note), _) if note.wishes.control_plane => false,
            (Some(note), program) => note.wishes.wants(program),
            (None, Program::Prometheus) => true,
            (None, Program::Alertmanager) => alertmanager,
            (None, Program::Grafana) => grafana,
            (None, Program::ControlPlane) => false,
        }
    }

    fn unknown(&mut self, part: Part, what: &str, failure: &Failure) {
        let mut difference = Difference::new(part, Kind::Unknown, what, failure.to_string());
        difference.code = failure.code().map(|code| code.symbol);
        difference.next = failure.hint().map(str::to_owned);
        self.differences.push(difference);
    }

    fn nodes(&mut self, config: &Config) {
        self.compared += config.nodes.len();
        let noted = match targets::noted(&self.fleet.place, config) {
            Ok(noted) => noted,
            Err(failure) => return self.unknown(Part::Nodes, "fleet.json", &failure),
        };
        let note = noted.path.display();
        let missing = (config.nodes.iter())
            .map(|node| node.name.as_str())
            .filter(|name| !noted.nodes.contains_key(*name));
        if let Some(names) = folded(missing) {
            let sentence = format!("declared, and nothing was installed there as far as {note} knows");
            self.differences.push(
                Difference::new(Part::Nodes, Kind::Missing, &names, sentence)
                    .coded(code::NODE_NOT_INSTALLED)
                    .next(format!("aami nodes install '{names}'")),
            );
        }
        let extra = (noted.nodes.keys())
            .map(String::as_str)
            .filter(|name| config.node(name).is_none());
        if let Some(names) = folded(extra) {
            let sentence = format!("installed by {note}, and no longer declared, so nobody watches them");
            self.differences.push(
                Difference::new(Part::Nodes, Kind::Extra, &names, sentence)
                    .next(format!("aami nodes add '{names}' --ip ADDRESSES")),
            );
        }
        let install = match noted.nodes.keys().find(|name| config.node(name).is_some()) {
            Some(name) => format!("aami nodes install {name}"),
            None => INIT.to_owned(),
        };
        for (path, text) in &noted.lists {
            // Nobody misses a list of nothing.
            if path.exists() || text.contains('{') {
                self.file(Part::Targets, path, text, &install);
            }
        }
    }

    /// One file against what should stand in it.
    fn file(&mut self, part: Part, path: &Path, text: &str, next: &str) {
        self.compared += 1;
        let what = path.display().to_string();
        let difference = match compared(path, text, self.full) {
            Compared::Same => return,
            Compared::Missing => Difference::new(part, Kind::Missing, what, "there is no such file"),
            Compared::Changed(diff) => Difference {
                diff,
                ..Difference::new(
                    part,
                    Kind::Changed,
                    what,
                    "it says something else than is declared",
                )
            },
            Compared::Unreadable(why, is_forbidden) => {
                let next = if is_forbidden { "sudo aami diff" } else { next };
                self.differences
                    .push(Difference::new(part, Kind::Unknown, what, why).next(next));
                return;
            }
        };
        self.differences.push(difference.next(next));
    }

    /// Rules as they are declared against those on the disk.
    fn rules(&mut self, rules: &[RuleFile]) {
        let folder = self.fleet.place.path(monitor::RULES);
        for file in rules {
            let next = (file.name.strip_prefix("aami-preset-"))
                .and_then(|rest| rest.strip_suffix(".yaml"))
                .map_or_else(
                    || INIT.to_owned(),
                    |preset| format!("aami alerts apply-preset {preset}"),
                );
            self.file(Part::Rules, &folder.join(&file.name), &file.text, &next);
        }
        let wanted: BTreeSet<&str> = rules.iter().map(|file| file.name.as_str()).collect();
        let there = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut extra: Vec<PathBuf> = there
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                rule_file::is_of_a_fleet(&name) && !wanted.contains(name.as_str())
            })
            .map(|entry| entry.path())
            .collect();
        extra.sort();
        for path in extra {
            let sentence = "its rules are loaded, and are no longer declared";
            let what = path.display().to_string();
            self.differences
                .push(Difference::new(Part::Rules, Kind::Extra, what, sentence).next(INIT));
        }
    }

    /// Prometheus' configuration on the disk, and what Prometheus has of it and of the rules.
    fn prometheus(&mut self, config: &Config, alertmanager: bool, rules: &[RuleFile]) {
        let path = self.fleet.place.path(PROMETHEUS);
        match monitor::prometheus(config, alertmanager).render() {
            Ok(text) => self.file(Part::Prometheus, &path, &text, INIT),
            Err(error) => self.unknown(Part::Prometheus, PROMETHEUS, &error.into()),
        }
        self.compared += 1;
        let prometheus = Engine::here(config.prometheus.port);
        if let Err(error) = self.loaded(&prometheus, &path, rules) {
            let sentence = format!("what it has loaded cannot be known: {error}");
            self.differences.push(
                Difference::new(Part::Prometheus, Kind::Unknown, prometheus.url(), sentence)
                    .coded(code::PROMETHEUS_UNREACHABLE)
                    .next("aami status"),
            );
        }
    }

    fn loaded(&mut self, prometheus: &Engine, path: &Path, rules: &[RuleFile]) -> Result<(), EngineError> {
        let reload = prometheus.reload()?;
        let loaded = prometheus.rules_alone()?;
        let again = format!("curl -X POST {}/-/reload", prometheus.url());
        if !reload.went_well {
            let sentence = "Prometheus refused it when it was last read, and goes on with the one before";
            self.differences.push(
                Difference::new(
                    Part::Prometheus,
                    Kind::NotLoaded,
                    path.display().to_string(),
                    sentence,
                )
                .next(format!("promtool check config {}", path.display())),
            );
        }
        let folder = self.fleet.place.path(monitor::RULES);
        let told = rules::compared(&loaded, Some(&folder), rules);
        if !told.missing.is_empty() {
            let sentence = format!(
                "Prometheus has not loaded {}",
                some_of(told.missing.iter().map(String::as_str))
            );
            self.differences.push(
                Difference::new(Part::Rules, Kind::NotLoaded, prometheus.url(), sentence)
                    .coded(code::ALERT_RULES_NOT_LOADED)
                    .next(&again),
            );
        }
        if !told.failing.is_empty() {
            let sentence = format!(
                "Prometheus cannot evaluate {}",
                some_of(told.failing.iter().map(String::as_str))
            );
            self.differences.push(
                Difference::new(Part::Rules, Kind::NotLoaded, prometheus.url(), sentence)
                    .next("aami alerts list"),
            );
        }
        // Those that still lie there are told already.
        let left = wanted::unwanted(&loaded, &folder, rules);
        for path in left.into_iter().filter(|path| !path.exists()) {
            let sentence = "it is gone, and Prometheus still goes by its rules, which are no longer declared";
            let what = path.display().to_string();
            self.differences
                .push(Difference::new(Part::Rules, Kind::Extra, what, sentence).next(&again));
        }
        // What was written since it was read is not what is loaded, whatever its rules are called.
        let mut files: BTreeMap<PathBuf, Part> = (rules.iter())
            .map(|file| (folder.join(&file.name), Part::Rules))
            .collect();
        files.insert(path.to_owned(), Part::Prometheus);
        for (path, part) in files {
            let Some(changed) = changed(&path).filter(|at| *at > reload.at + GRAIN) else {
                continue;
            };
            let sentence = format!(
                "it was changed {:.0} s after Prometheus had last read its configuration",
                changed - reload.at
            );
            self.differences.push(
                Difference::new(part, Kind::NotLoaded, path.display().to_string(), sentence).next(&again),
            );
        }
        Ok(())
    }

    fn alertmanager(&mut self, config: &Config) {
        let rendered = monitor::alertmanager(config).and_then(|configuration| {
            let rendered = configuration.render(monitor::SECRETS);
            rendered.map_err(|error| Failure::found(code::FLEET_INVALID, format!("notifications: {error}")))
        });
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(failure) => return self.unknown(Part::Alertmanager, ALERTMANAGER, &failure),
        };
        let place = self.fleet.place.clone();
        self.file(
            Part::Alertmanager,
            &place.path(ALERTMANAGER),
            &rendered.text,
            INIT,
        );
        // Whether a secret is another one may be known; what it is may not.
        let full = std::mem::replace(&mut self.full, false);
        for secret in &rendered.secrets {
            self.file(
                Part::Alertmanager,
                &place.path(&secret.path),
                &secret.content,
                INIT,
            );
        }
        self.full = full;
    }

    fn grafana(&mut self, config: &Config, prometheus: bool, alertmanager: bool) {
        let near = |port: u16, has: bool| has.then(|| format!("http://127.0.0.1:{port}"));
        let sources = DataSources {
            prometheus: near(config.prometheus.port, prometheus),
            alertmanager: near(config.alertmanager.port, alertmanager),
        };
        let files = match grafana::files(GRAFANA, &sources) {
            Ok(files) => files,
            Err(error) => {
                let failure = Failure::found(code::INVALID, error.to_string());
                return self.unknown(Part::Grafana, GRAFANA, &failure);
            }
        };
        for file in files {
            let path = self.fleet.place.path(GRAFANA).join(&file.path);
            self.file(Part::Grafana, &path, &file.text, INIT);
        }
    }
}

/// Names in nodeset notation; nothing where there are none.
fn folded<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return None;
    }
    let set = NodeSet::from_names(names.iter().copied());
    Some(set.map_or_else(|_| names.join(","), |set| set.to_string()))
}

/// When a file was last changed, in seconds since 1970.
fn changed(path: &Path) -> Option<f64> {
    let at = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}
