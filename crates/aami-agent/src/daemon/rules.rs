//! The loop that brings alert rules to a Prometheus on this node: asked of the control plane by their hash, judged,
//! placed, loaded and told, or taken back and told why.
//!
//! How rules get into a folder and back out is `aami-plans`' room `rules`; this is who asks, how often, and what of it is
//! believed. A control plane says which rules and which port. It says neither folder nor machine: rules go below
//! `/etc/aami/rules` and nowhere else ([`place`]), and only an address of this machine is ever asked.
//!
//! The folder is also how an operator says yes: where it is, the control plane is asked every few seconds; where it is
//! not, a few times an hour, to say that it is missed. Nothing is kept between two lives but what the folder itself
//! notes, so a daemon that dies at any moment is followed by one that begins anew.

mod known;
mod place;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aami_api::client::{Client, ClientError, Settings};
use aami_api::prometheus::{LoadReport, NodePrometheus};
use aami_inventory::{Commands, SystemCommands};
use aami_model::prometheus::{LoadResult, MOST_ON_NODE};
use aami_model::rule_file::RuleFile;
use aami_model::secret::Secret;
use aami_plans::rules::{Applied, Owner, RulesError, Seen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::command::concealed;
use super::pause::Pauses;
use super::state::{Shared, random};
use super::wire::Road;
use known::{Known, Trials};
use place::Places;
use tools::Tools;
pub(crate) use tools::take_rules_back;

/// Nodes of a site are switched on together; few of them have a Prometheus.
const FIRST_SPREAD: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_secs(1);
/// How often the control plane is asked where there is a folder for rules, and as much again at most on top.
const OFTEN: Duration = Duration::from_secs(4);
/// How often where there is none.
const RARELY: Duration = Duration::from_secs(600);
/// How long one answer of the control plane may take: a bundle may be large.
const ANSWER: Duration = Duration::from_secs(30);
/// How long promtool and the service manager may take.
const TOOL: Duration = Duration::from_secs(30);
/// How long one wait lasts at most: the watchdog looks at it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Answers that time alone does not change.
const REFUSALS: [u16; 5] = [401, 403, 404, 409, 410];
/// What is told is no longer, in characters, and there are no more of them.
const MOST_TOLD: usize = 300;
const MOST_FAILING: usize = 20;

/// Runs until the daemon stops.
pub(super) fn run(shared: &Shared, road: &Road, credential: &Secret) {
    let settings = Settings {
        trust: road.trust.clone(),
        proxy: road.proxy.clone(),
        timeout: ANSWER,
        ..Settings::new(road.server.clone())
    };
    let client = match Client::new(&settings) {
        Ok(client) => client.with_bearer(credential.reveal()),
        // The link says the same of the same address, and goes on trying.
        Err(error) => return shared.say(&format!("alert rules cannot be asked for: {error}")),
    };
    let commands = SystemCommands {
        limit: TOOL,
        ..SystemCommands::default()
    };
    let mut job = Job::new(shared, client, &commands);
    let spread = if job.places.is_there() {
        FIRST
    } else {
        FIRST_SPREAD
    };
    let mut pause = spread.mul_f64(random());
    loop {
        wait(shared, pause);
        if shared.is_stopping() {
            return;
        }
        pause = job.turn();
    }
}

/// Waits as long as that, or until the daemon stops. The loop moves meanwhile.
fn wait(shared: &Shared, pause: Duration) {
    let until = shared.now() + pause;
    loop {
        shared.pulses.rules.beat(shared.now());
        let left = until.saturating_sub(shared.now()).min(LONGEST_WAIT);
        if left.is_zero() || shared.is_stopping() {
            return;
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let _ = poll(&mut [PollFd::new(shared.ending(), PollFlags::IN)], Some(&timeout));
    }
}

/// What this node delivers.
struct Job<'a> {
    shared: &'a Shared,
    client: Client,
    tools: Tools<'a>,
    places: Places,
    known: BTreeMap<String, Known>,
    /// Folders that rules were to leave, and did not.
    staying: BTreeMap<PathBuf, Trials>,
    pauses: Pauses,
    /// When the control plane is asked although there is no folder.
    asked_next: Duration,
    /// What was said last: the same is not said again.
    said: String,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, client: Client, commands: &'a dyn Commands) -> Self {
        Self {
            places: Places::below(&shared.root),
            tools: Tools::of(&shared.root, commands),
            shared,
            client,
            known: BTreeMap::new(),
            staying: BTreeMap::new(),
            pauses: Pauses::default(),
            asked_next: Duration::ZERO,
            said: String::new(),
        }
    }

    /// Looks once at everything. Answers how long until the next time.
    fn turn(&mut self) -> Duration {
        let now = self.shared.now();
        // Whoever is refused its socket is refused this as well: the link finds out when that ends.
        let is_refused = self.shared.vitals.is_refused.load(Ordering::Relaxed);
        if is_refused || (!self.places.is_there() && now < self.asked_next) {
            return OFTEN.mul_f64(1.0 + random());
        }
        let listed = match self.client.node_prometheuses() {
            Ok(listed) => listed.items,
            Err(error) => {
                let pause = match &error {
                    ClientError::Refused(problem) if REFUSALS.contains(&problem.status) => {
                        Pauses::refused(&mut random)
                    }
                    _ => self.pauses.next(&mut random),
                };
                self.say(format!("alert rules: the control plane was not asked: {error}"));
                self.asked_next = now + pause;
                return pause;
            }
        };
        self.pauses.forget();
        self.asked_next = now + RARELY.mul_f64(1.0 + random());
        self.known
            .retain(|id, _| listed.iter().any(|item| item.id.as_str() == id));
        let mut taken = Vec::new();
        for item in listed.iter().take(MOST_ON_NODE) {
            self.shared.pulses.rules.beat(self.shared.now());
            if self.shared.is_stopping() {
                return Duration::ZERO;
            }
            self.serve(item, &listed, &mut taken);
        }
        self.tidy(&listed);
        OFTEN.mul_f64(1.0 + random())
    }

    /// One Prometheus: its bundle, where it is new; its rules, where it is time; and what is told of it.
    fn serve(&mut self, item: &NodePrometheus, listed: &[NodePrometheus], taken: &mut Vec<PathBuf>) {
        let id = item.id.as_str().to_owned();
        let mut known = self.known.remove(&id).unwrap_or_default();
        if item.sha256.is_none() {
            // What it should have cannot be said: it keeps what it has.
            if let Ok(folder) = self.places.of(&item.name) {
                taken.push(folder);
            }
        } else if let Err(error) = self.fetch(item, &mut known) {
            self.say(format!("alert rules of {}: {error}", item.name));
        } else if known.is_due(self.shared.now()) {
            let report = self.delivered(item, listed, taken, &known);
            known.looked(report, self.shared.now(), random());
        } else if let Ok(folder) = self.places.of(&item.name) {
            taken.push(folder);
        }
        if let Some(report) = known.to_be_told(item.loaded.as_deref()).cloned() {
            match self.client.report_loaded(&item.id, &report) {
                Ok(()) => {
                    self.say(told(&item.name, &report));
                    known.was_told(report);
                }
                Err(error) => self.say(format!("alert rules of {}: not told: {error}", item.name)),
            }
        }
        self.known.insert(id, known);
    }

    /// Takes the bundle that is wanted, unless it is known.
    fn fetch(&self, item: &NodePrometheus, known: &mut Known) -> Result<(), ClientError> {
        if item.sha256.as_deref().is_none_or(|sha256| known.is(sha256)) {
            return Ok(());
        }
        if let Some(bundle) = self.client.rule_bundle(&item.id, known.sha256())? {
            known.take(bundle);
        }
        Ok(())
    }

    /// Brings the rules in, where they are not there, and says how they stand.
    fn delivered(
        &self,
        item: &NodePrometheus,
        listed: &[NodePrometheus],
        taken: &mut Vec<PathBuf>,
        known: &Known,
    ) -> LoadReport {
        let (sha256, files) = known.wanted();
        let outcome = self.places.of(&item.name).and_then(|folder| {
            let address = place::address(&item.url)?;
            if taken.contains(&folder) {
                return Err(place::taken(&item.name, &folder));
            }
            taken.push(folder.clone());
            self.bring(item, listed, folder, &address, files)
                .map_err(|error| place::Refused {
                    code: error.code(),
                    sentence: match error.hint() {
                        Some(hint) => format!("{}. {hint}", error.sentence()),
                        None => error.sentence(),
                    },
                })
        });
        let report =
            |result, code: Option<String>, sentence: Option<String>, failing: Vec<String>| LoadReport {
                sha256: sha256.to_owned(),
                result,
                code,
                sentence: sentence.map(|sentence| shown(&sentence)),
                failing: failing.iter().take(MOST_FAILING).map(|why| shown(why)).collect(),
            };
        match outcome {
            Ok(Applied::Loaded(failing)) => report(LoadResult::Loaded, None, None, failing),
            Ok(Applied::Waiting(why)) => {
                let code = aami_model::code::ALERT_RULES_NOT_LOADED.symbol.to_owned();
                report(LoadResult::Waiting, Some(code), Some(why), Vec::new())
            }
            Err(refused) => report(
                LoadResult::Failed,
                Some(refused.code.symbol.to_owned()),
                Some(refused.sentence),
                Vec::new(),
            ),
        }
    }

    fn bring(
        &self,
        item: &NodePrometheus,
        listed: &[NodePrometheus],
        folder: PathBuf,
        address: &str,
        files: &[RuleFile],
    ) -> Result<Applied, RulesError> {
        let own = item.id.as_str();
        // One that the control plane does not name any more is followed by whoever it names now.
        let follows = |earlier: &Owner| match earlier {
            Owner::Agent { prometheus, .. } => {
                prometheus == own || !listed.iter().any(|item| item.id.as_str() == prometheus)
            }
            Owner::Configuration { .. } | Owner::Server { .. } => false,
        };
        let site = self.tools.site(folder, own, address, &follows);
        match site.seen(files)? {
            Seen::Loaded(failing) => Ok(Applied::Loaded(failing)),
            Seen::Waiting(why) => Ok(Applied::Waiting(why)),
            Seen::Otherwise(_) => match site.apply(files) {
                Ok(placed) => Ok(placed.keep()?.0),
                // Nothing is wrong with it or the rules: it takes them when it has started.
                Err(RulesError::Starting(why)) => Ok(Applied::Waiting(why)),
                Err(error) => Err(error),
            },
        }
    }

    /// Rules of a Prometheus that the control plane does not name any more leave its folder, and those of one that has
    /// another folder by now leave the earlier one. Where they cannot, that is tried ever more rarely: each try makes a
    /// Prometheus read everything.
    fn tidy(&mut self, listed: &[NodePrometheus]) {
        let now = self.shared.now();
        let is_left = |folder: &Path, prometheus: &str| {
            let item = listed.iter().find(|item| item.id.as_str() == prometheus);
            item.is_none_or(|item| self.moved(item, folder))
                && self.staying.get(folder).is_none_or(|trials| trials.is_due(now))
        };
        let left = self.tools.leave(&self.places, is_left);
        self.staying.retain(|folder, _| folder.exists());
        for (folder, gone) in left {
            match gone {
                Ok(()) => {
                    self.staying.remove(&folder);
                    self.say(format!(
                        "alert rules: those in {} went, as the control plane names no Prometheus for them there",
                        folder.display()
                    ));
                }
                Err(error) => {
                    let trials = self.staying.entry(folder).or_default();
                    trials.failed(self.shared.now(), random());
                    self.say(format!("alert rules: {}", error.sentence()));
                }
            }
        }
    }

    /// Whether the rules of a Prometheus lie in a folder of its own by now, and not only in this one.
    fn moved(&self, item: &NodePrometheus, folder: &Path) -> bool {
        let own = self.places.of(&item.name).ok().filter(|own| own != folder);
        let owner = own.and_then(|own| aami_plans::rules::owner_of(&own).ok().flatten());
        matches!(owner, Some(Owner::Agent { prometheus, .. }) if prometheus == item.id.as_str())
    }

    fn say(&mut self, line: String) {
        if self.said != line {
            self.shared.say(&line);
            self.said = line;
        }
    }
}

/// What is told leaves the node: without secrets, short, and on one line.
fn shown(text: &str) -> String {
    let plain: String = concealed(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST_TOLD)
        .collect();
    plain.trim().to_owned()
}

fn told(name: &str, report: &LoadReport) -> String {
    let hash: String = report.sha256.chars().take(12).collect();
    match (report.result, &report.sentence) {
        (LoadResult::Loaded, _) => format!("alert rules of {name}: {hash} is loaded"),
        (LoadResult::Waiting | LoadResult::Failed, Some(why)) => {
            format!("alert rules of {name}: {hash} is not loaded: {why}")
        }
        (LoadResult::Waiting | LoadResult::Failed, None) => {
            format!("alert rules of {name}: {hash} is not loaded")
        }
    }
}

#[cfg(test)]
mod tests;
