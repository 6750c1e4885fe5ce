//! Package managers with a small repository: `apt-get`, `dpkg` and `dpkg-query`, or `dnf` and `rpm`.
//!
//! A package is a program at `/usr/bin/NAME` and a configuration at `/etc/NAME.conf`; what is installed
//! stands below `/var/lib`. What the repository offers, who holds the lock and whether the network is
//! there lies in the memory, for a test to set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::system::Answer;

/// What a test sets: a repository, and what is in the way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Repository {
    /// Every package with what it depends on.
    pub packages: BTreeMap<String, Vec<String>>,
    /// Whether the lists were fetched, so that the package manager knows its packages.
    pub listed: bool,
    /// Whether it cannot be reached.
    pub unreachable: bool,
    /// How many more times the lock is found held by another program.
    pub locked: u32,
    /// Whether there is no room for another package.
    pub full: bool,
    /// A package whose installation breaks off half way, once.
    pub breaks: Option<String>,
}

impl Repository {
    /// Sets the repository of the system whose memory lies in `memory`.
    pub fn set(&self, memory: &Path) {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        let written = std::fs::write(memory.join("repository.json"), bytes);
        assert!(written.is_ok(), "the test's repository: {written:?}");
    }

    /// The repository as it is now.
    pub fn of(memory: &Path) -> Self {
        std::fs::read(memory.join("repository.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}

pub(super) struct Manager<'a> {
    root: &'a Path,
    memory: &'a Path,
    repository: Repository,
    /// Each package that is known: `installed`, `config-files` or `half-configured`.
    states: BTreeMap<String, String>,
}

fn table(root: &Path) -> PathBuf {
    root.join("var/lib/packages")
}

pub(super) fn run(root: &Path, memory: &Path, program: &str, args: &[&str]) -> Answer {
    let text = std::fs::read_to_string(table(root)).unwrap_or_default();
    let line = |line: &str| {
        let (name, state) = line.split_once(' ')?;
        Some((name.to_owned(), state.to_owned()))
    };
    let mut manager = Manager {
        root,
        memory,
        repository: Repository::of(memory),
        states: text.lines().filter_map(line).collect(),
    };
    // Options first, then the verb; `-o` takes a value.
    let mut words = Vec::new();
    let mut options = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "-o" => drop(args.next()),
            "--" => {}
            option if option.starts_with('-') => options.push(option),
            word => words.push(word.to_owned()),
        }
    }
    match program {
        "dpkg-query" => manager.query(&words),
        "dpkg" => manager.configure(),
        "apt-get" => manager.apt(&options, &words),
        "rpm" => manager.rpm(&options, &words),
        _ => manager.dnf(&options, &words),
    }
}

impl Manager<'_> {
    fn is_there(&self, name: &str) -> bool {
        self.states.get(name).is_some_and(|state| state != "config-files")
    }

    fn store(&self) {
        let text: String = self
            .states
            .iter()
            .map(|(name, state)| format!("{name} {state}\n"))
            .collect();
        let stored = if text.is_empty() {
            std::fs::remove_file(table(self.root)).or(Ok(()))
        } else {
            std::fs::write(table(self.root), text)
        };
        assert!(stored.is_ok(), "the test's packages: {stored:?}");
    }

    fn query(&self, names: &[String]) -> Answer {
        let known = names
            .iter()
            .filter_map(|name| Some((name, self.states.get(name)?)));
        let text: String = known
            .map(|(name, state)| format!("{name}\tamd64\t{state}\n"))
            .collect();
        let unknown: String = names
            .iter()
            .filter(|name| !self.states.contains_key(*name))
            .map(|name| format!("dpkg-query: no packages found matching {name}\n"))
            .collect();
        Answer(i32::from(!unknown.is_empty()), text, unknown)
    }

    /// What installing `names` adds, in the order of dependencies; the first that is not offered.
    fn closure(&self, names: &[String]) -> Result<Vec<String>, String> {
        let mut open: Vec<String> = names.to_vec();
        let mut added = Vec::new();
        while let Some(name) = open.pop() {
            if self.is_there(&name) || added.contains(&name) {
                continue;
            }
            let Some(needs) = self
                .repository
                .packages
                .get(&name)
                .filter(|_| self.repository.listed)
            else {
                return Err(name);
            };
            open.extend(needs.iter().cloned());
            added.push(name);
        }
        added.reverse();
        Ok(added)
    }

    /// What goes when `names` go: those, and all that depends on them.
    fn dependants(&self, names: &[String]) -> Vec<String> {
        let mut goes: BTreeSet<String> = names.iter().filter(|name| self.is_there(name)).cloned().collect();
        loop {
            let more: Vec<String> = self
                .states
                .keys()
                .filter(|name| self.is_there(name) && !goes.contains(*name))
                .filter(|name| {
                    let needs = self.repository.packages.get(*name);
                    needs.is_some_and(|needs| needs.iter().any(|need| goes.contains(need)))
                })
                .cloned()
                .collect();
            if more.is_empty() {
                return goes.into_iter().collect();
            }
            goes.extend(more);
        }
    }

    fn place(&mut self, name: &str) -> bool {
        let half = self.repository.breaks.as_deref() == Some(name);
        let (program, configuration) = self.files(name);
        let written = std::fs::write(program, format!("the program {name}\n"))
            .and_then(|()| std::fs::write(configuration, format!("# of {name}\n")));
        assert!(written.is_ok(), "the test's package {name}: {written:?}");
        let state = if half { "half-configured" } else { "installed" };
        self.states.insert(name.to_owned(), state.to_owned());
        if half {
            self.repository.breaks = None;
            self.repository.set(self.memory);
        }
        !half
    }

    fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (
            self.root.join("usr/bin").join(name),
            self.root.join("etc").join(format!("{name}.conf")),
        )
    }

    fn take(&mut self, name: &str, purge: bool) {
        let (program, configuration) = self.files(name);
        let _ = std::fs::remove_file(program);
        if purge {
            let _ = std::fs::remove_file(configuration);
            self.states.remove(name);
        } else {
            self.states.insert(name.to_owned(), "config-files".to_owned());
        }
    }

    fn is_locked(&mut self) -> bool {
        let locked = self.repository.locked > 0;
        if locked {
            self.repository.locked -= 1;
            self.repository.set(self.memory);
        }
        locked
    }

    fn apt(&mut self, options: &[&str], words: &[String]) -> Answer {
        let Some((verb, names)) = words.split_first() else {
            return Answer::failed(100, "E: no verb");
        };
        let simulate = options.contains(&"--simulate");
        if !simulate && self.is_locked() {
            return Answer::failed(
                100,
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\n\
                 E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
            );
        }
        let broken = self.states.values().any(|state| state == "half-configured");
        if !simulate && broken && verb != "update" {
            return Answer::failed(
                100,
                "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
            );
        }
        match verb.as_str() {
            "update" if self.repository.unreachable => Answer::failed(
                100,
                "E: Failed to fetch http://deb.example/dists/stable/InRelease  Temporary failure resolving 'deb.example'",
            ),
            "update" => {
                self.repository.listed = true;
                self.repository.set(self.memory);
                Answer::done()
            }
            "install" => self.apt_install(simulate, names),
            "remove" | "purge" => {
                let goes = self.dependants(names);
                if simulate {
                    let lines: String = goes.iter().map(|name| format!("Remv {name} [1.0]\n")).collect();
                    return Answer::said(lines);
                }
                for name in goes {
                    self.take(&name, verb == "purge");
                }
                if verb == "purge" {
                    names.iter().for_each(|name| self.take(name, true));
                }
                self.store();
                Answer::done()
            }
            other => Answer::failed(100, format!("E: Invalid operation {other}")),
        }
    }

    fn apt_install(&mut self, simulate: bool, names: &[String]) -> Answer {
        let added = match self.closure(names) {
            Ok(added) => added,
            Err(name) => return Answer::failed(100, format!("E: Unable to locate package {name}")),
        };
        if simulate {
            let line = |name: &String| format!("Inst {name} (1.0 Debian:12/stable [amd64])\n");
            return Answer::said(added.iter().map(line).collect::<String>());
        }
        if self.repository.unreachable {
            return Answer::failed(
                100,
                "E: Failed to fetch http://deb.example/pool/x.deb  Temporary failure resolving 'deb.example'",
            );
        }
        if self.repository.full {
            return Answer::failed(
                100,
                "E: You don't have enough free space in /var/cache/apt/archives/.",
            );
        }
        for name in added {
            if !self.place(&name) {
                self.store();
                return Answer::failed(
                    100,
                    format!(
                        "dpkg: error processing package {name} (--configure):\n\
                         E: Sub-process /usr/bin/dpkg returned an error code (1)"
                    ),
                );
            }
        }
        self.store();
        Answer::done()
    }

    /// `dpkg --configure -a`.
    fn configure(&mut self) -> Answer {
        for state in self.states.values_mut() {
            if state == "half-configured" {
                "installed".clone_into(state);
            }
        }
        self.store();
        Answer::done()
    }

    fn rpm(&mut self, options: &[&str], names: &[String]) -> Answer {
        if options.contains(&"--query") {
            let missing = names.iter().find(|name| !self.is_there(name));
            return missing.map_or_else(
                || Answer::said(format!("{}-1.0-1.noarch\n", names.join(""))),
                |name| Answer(1, format!("no package provides {name}\n"), String::new()),
            );
        }
        let goes = self.dependants(names);
        if let Some(other) = goes.iter().find(|name| !names.contains(name)) {
            let need = names.first().map_or("", String::as_str);
            return Answer::failed(
                1,
                format!(
                    "error: Failed dependencies:\n\t{need} is needed by (installed) {other}-1.0-1.noarch"
                ),
            );
        }
        if !options.contains(&"--test") {
            if self.is_locked() {
                return Answer::failed(
                    1,
                    "error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)",
                );
            }
            goes.iter().for_each(|name| self.take(name, true));
            self.store();
        }
        Answer::done()
    }

    fn dnf(&mut self, options: &[&str], words: &[String]) -> Answer {
        let Some((verb, names)) = words.split_first() else {
            return Answer::failed(1, "Error: no command");
        };
        if verb == "makecache" || !options.contains(&"--cacheonly") {
            if self.repository.unreachable {
                return Answer::failed(
                    1,
                    "Error: Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve host name",
                );
            }
            self.repository.listed = true;
            self.repository.set(self.memory);
        }
        if verb == "makecache" {
            return Answer::done();
        }
        let added = match self.closure(names) {
            Ok(added) => added,
            Err(name) => return Answer::failed(1, format!("Error: Unable to find a match: {name}")),
        };
        if options.contains(&"--assumeno") {
            let section = |title: &str, wanted: bool| {
                let of = added.iter().filter(|name| names.contains(name) == wanted);
                let lines: String = of
                    .map(|name| format!(" {name}   noarch   1.0-1   baseos   7.0 k\n"))
                    .collect();
                if lines.is_empty() {
                    lines
                } else {
                    format!("{title}\n{lines}")
                }
            };
            let (own, brought) = (
                section("Installing:", true),
                section("Installing dependencies:", false),
            );
            return Answer(
                1,
                format!("Dependencies resolved.\n{own}{brought}\nTransaction Summary\n"),
                "Operation aborted.\n".into(),
            );
        }
        if self.is_locked() {
            return Answer::failed(
                200,
                "Error: Failed to obtain the transaction lock (logged in as: root), is already running",
            );
        }
        for name in added {
            let _ = self.place(&name);
        }
        self.store();
        Answer::done()
    }
}
