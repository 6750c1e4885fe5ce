//! What watches a node: Prometheus, the targets it has, the labels they bear, the samples that came of them, and the rules.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aami_model::code;
use aami_plans::rules::compared;

use super::{Hop, Link, Listed, Standing, Subject, Watcher};
use crate::fleet::engines::{Engine, EngineError, LoadedTarget, Value};
use crate::fleet::health::some_of;

/// A list that is younger may not have been read yet.
const YOUNG: Duration = Duration::from_secs(30);

/// The last hops. `at` are the exporters' addresses in their order, and `sound` says which of them answer as they should.
pub(super) fn look(subject: &Subject, at: &[SocketAddr], sound: &[bool]) -> Vec<Link> {
    let watcher = match &subject.watcher {
        Ok(watcher) => watcher,
        Err(unknown) => return apart(unknown.clone(), subject),
    };
    let prometheus = prometheus(watcher);
    if prometheus.standing != Standing::Ok && prometheus.standing != Standing::Warning {
        return apart(prometheus, subject);
    }
    let mut links = vec![prometheus];
    if at.is_empty() {
        let because = if subject.declared.is_broken() {
            "the fleet does not know the node"
        } else {
            "nothing is installed, so nothing is expected to be scraped"
        };
        links.extend([Hop::Target, Hop::Labels, Hop::Samples].map(|hop| Link::skipped(hop, because)));
        links.push(rules(subject, watcher));
        return links;
    }
    let addresses: Vec<String> = at.iter().map(ToString::to_string).collect();
    let keep = |target: &LoadedTarget| {
        target.label("node") == subject.node || addresses.iter().any(|address| target.address() == address)
    };
    let url = format!("{}/api/v1/targets", watcher.prometheus.url());
    match watcher.prometheus.targets(&keep) {
        Err(error) => {
            links.push(unanswered(Hop::Target, &error, &url));
            links.extend([Hop::Labels, Hop::Samples].map(|hop| Link::skipped(hop, "target is unknown")));
        }
        Ok(targets) => {
            let found: Vec<Option<&LoadedTarget>> = (addresses.iter().zip(&subject.exporters))
                .map(|(address, exporter)| own(&targets.active, address, &subject.node, exporter.kind.job()))
                .collect();
            let scene = Scene {
                subject,
                watcher,
                addresses: &addresses,
                sound,
                found: &found,
                url: &url,
            };
            let elsewhere = targets.active.iter().find(|target| {
                target.label("node") == subject.node
                    && !addresses.iter().any(|address| target.address() == address)
            });
            let target = scene.target(elsewhere, &targets.dropped);
            let labels = if found.iter().all(Option::is_none) {
                Link::skipped(Hop::Labels, "target is broken")
            } else {
                scene.labels()
            };
            let samples = match [&target, &labels].into_iter().find(|link| link.is_broken()) {
                Some(link) => Link::skipped(Hop::Samples, format!("{} is broken", link.hop.name())),
                None if !sound.contains(&true) => Link::skipped(Hop::Samples, "no exporter answers"),
                None if target.standing == Standing::Pending => {
                    Link::skipped(Hop::Samples, "it was not scraped yet")
                }
                None => scene.samples(),
            };
            links.extend([target, labels, samples]);
        }
    }
    links.push(rules(subject, watcher));
    links
}

/// The target at this address. It may be scraped more than once: the one by which rules find the node before others.
fn own<'a>(targets: &'a [LoadedTarget], address: &str, node: &str, job: &str) -> Option<&'a LoadedTarget> {
    (targets.iter())
        .filter(|target| target.address() == address)
        .min_by_key(|target| (target.label("node") != node, target.label("job") != job))
}

/// Without a Prometheus there is nothing to look at.
fn apart(first: Link, subject: &Subject) -> Vec<Link> {
    let because = if first.is_broken() {
        "prometheus is broken"
    } else {
        "prometheus is unknown"
    };
    let mut links = vec![first];
    // What it should be told of can be known without it.
    let missing = subject.listed.iter().find_map(|listed| match listed {
        Listed::No(place) => Some(place),
        Listed::Yes(..) | Listed::Unknown(_) => None,
    });
    links.push(match missing {
        Some(place) => not_listed(subject, &subject.node, place),
        None => Link::skipped(Hop::Target, because),
    });
    links.extend([Hop::Labels, Hop::Samples, Hop::Rules].map(|hop| Link::skipped(hop, because)));
    links
}

fn unanswered(hop: Hop, error: &EngineError, url: &str) -> Link {
    Link::new(hop, Standing::Unknown, error.to_string())
        .coded(code::PROMETHEUS_UNREACHABLE)
        .seen("no answer that could be understood", url)
}

fn not_listed(subject: &Subject, called: &str, place: &str) -> Link {
    Link::broken(
        Hop::Target,
        code::TARGET_NOT_LISTED,
        format!("Prometheus is not told of {called}"),
    )
    .seen("it is not listed", place)
    .next(format!("aami nodes install {}", subject.node))
}

fn prometheus(watcher: &Watcher) -> Link {
    let engine = &watcher.prometheus;
    let start = watcher.unit.map_or_else(
        || format!("curl -sS {}/-/ready", engine.url()),
        |unit| format!("systemctl status {unit}"),
    );
    let reload = match engine.reload() {
        Ok(reload) => reload,
        Err(error) => {
            let sentence = match &error {
                EngineError::Silent { is_refused: true, .. } => {
                    format!("there is no Prometheus at {}: nobody listens there", engine.url())
                }
                EngineError::Silent { .. } => format!("Prometheus at {} does not answer", engine.url()),
                EngineError::Refused { .. } | EngineError::Strange { .. } => {
                    format!("what answers at {} is no Prometheus", engine.url())
                }
            };
            return Link::broken(Hop::Prometheus, code::PROMETHEUS_UNREACHABLE, sentence)
                .seen(error.to_string(), engine.url())
                .next(start);
        }
    };
    if let Err(error) = engine.text("/-/ready") {
        return Link::broken(
            Hop::Prometheus,
            code::PROMETHEUS_UNREACHABLE,
            format!("Prometheus at {} is not ready", engine.url()),
        )
        .seen(error.to_string(), format!("{}/-/ready", engine.url()))
        .next(start);
    }
    let url = format!("{}/metrics", engine.url());
    if reload.went_well {
        return Link::ok(
            Hop::Prometheus,
            format!("Prometheus at {} is ready", engine.url()),
        )
        .seen("its last reload went well", url);
    }
    Link::new(
        Hop::Prometheus,
        Standing::Warning,
        "Prometheus refuses its configuration and goes on with the one before",
    )
    .seen("prometheus_config_last_reload_successful is 0", url)
    .next("promtool check config /etc/aami/prometheus.yml")
}

/// The exporters of a node, and what a Prometheus has of them.
struct Scene<'a> {
    subject: &'a Subject,
    watcher: &'a Watcher,
    addresses: &'a [String],
    sound: &'a [bool],
    found: &'a [Option<&'a LoadedTarget>],
    url: &'a str,
}

/// The first of those that are worst: what is broken is not hidden by what will be seen soon.
fn worst(links: impl Iterator<Item = Link>) -> Link {
    let severity = |link: &Link| match link.standing {
        Standing::Broken => 0,
        Standing::Pending => 1,
        Standing::Unknown => 2,
        Standing::Warning => 3,
        Standing::Ok | Standing::Skipped => 4,
    };
    links
        .min_by_key(severity)
        .unwrap_or_else(|| Link::skipped(Hop::Target, "nothing is installed"))
}

impl Scene<'_> {
    fn called(&self, at: usize) -> String {
        format!(
            "{} on {}",
            self.subject.exporters[at].kind.job(),
            self.addresses[at]
        )
    }

    fn target(&self, elsewhere: Option<&LoadedTarget>, dropped: &[LoadedTarget]) -> Link {
        let missing = (self.found.iter().enumerate())
            .filter(|(_, target)| target.is_none())
            .map(|(at, _)| self.not_loaded(at, elsewhere, dropped));
        worst(missing.chain(std::iter::once(self.loaded())))
    }

    /// Those exporters that are targets.
    fn loaded(&self) -> Link {
        let known = || {
            self.found
                .iter()
                .enumerate()
                .filter_map(|(at, target)| Some((at, (*target)?)))
        };
        let is_down = |at: usize, target: &LoadedTarget| target.health == "down" && self.sound[at];
        let link = if let Some((at, target)) = known().find(|(at, target)| is_down(*at, target)) {
            Link::broken(
                Hop::Target,
                code::NODE_NOT_SCRAPED,
                format!(
                    "Prometheus cannot scrape {}: {}",
                    self.called(at),
                    target.last_error
                ),
            )
            .next(format!("curl -sS -m 10 {} | head", target.scrape_url))
        } else if let Some((at, _)) =
            known().find(|(at, target)| target.health == "unknown" && self.sound[*at])
        {
            let sentence = format!("Prometheus knows {} and has not scraped it yet", self.called(at));
            Link::new(Hop::Target, Standing::Pending, sentence)
                .coded(code::NODE_NOT_SCRAPED)
                .next(format!("aami diagnose {}", self.subject.node))
        } else if known().any(|(_, target)| target.health == "down") {
            Link::new(
                Hop::Target,
                Standing::Warning,
                "Prometheus knows them all, and sees down what does not answer here either",
            )
        } else {
            Link::ok(Hop::Target, "Prometheus scrapes every exporter")
        };
        known().fold(link, |link, (at, target)| {
            let error = if target.last_error.is_empty() {
                String::new()
            } else {
                format!(": {}", target.last_error)
            };
            let told = format!(
                "{} is {} in {:.0} ms{error}",
                self.called(at),
                target.health,
                target.last_scrape_duration * 1000.0
            );
            link.seen(told, self.url)
        })
    }

    /// An exporter that Prometheus does not scrape, and as far as it can be known, why.
    fn not_loaded(&self, at: usize, elsewhere: Option<&LoadedTarget>, dropped: &[LoadedTarget]) -> Link {
        let called = self.called(at);
        let broken = |code, sentence: String| {
            Link::broken(Hop::Target, code, sentence).seen(format!("{called} is no target"), self.url)
        };
        if dropped
            .iter()
            .any(|target| target.address() == self.addresses[at])
        {
            return broken(
                code::TARGET_NOT_LOADED,
                format!("Prometheus finds {called} and drops it by its own configuration (relabel_configs)"),
            )
            .next("aami diff --full");
        }
        match &self.subject.listed[at] {
            Listed::No(place) => {
                let link = not_listed(self.subject, &called, place);
                match elsewhere {
                    Some(other) => {
                        link.seen(format!("it scrapes {} by this name", other.address()), self.url)
                    }
                    None => link,
                }
            }
            Listed::Yes(place, Some(age)) if *age < YOUNG => {
                let sentence = format!(
                    "{called} was listed {} s ago, and Prometheus has not read it yet",
                    age.as_secs()
                );
                Link::new(Hop::Target, Standing::Pending, sentence)
                    .coded(code::TARGET_NOT_LOADED)
                    .seen("it is listed", place)
                    .next(format!("aami diagnose {}", self.subject.node))
            }
            Listed::Yes(place, _) => {
                let sentence = match self.finds_list() {
                    Some(false) => format!(
                        "{called} is listed, and Prometheus' configuration does not look there ({} stands nowhere in it)",
                        self.watcher.finds_by
                    ),
                    _ => format!("{called} is listed, and Prometheus has not taken it over"),
                };
                broken(code::TARGET_NOT_LOADED, sentence)
                    .seen("it is listed", place)
                    .next("aami diff")
            }
            Listed::Unknown(why) => broken(
                code::TARGET_NOT_LOADED,
                format!("{called} is no target of Prometheus, and whether it is told of it is not known"),
            )
            .seen(why, "what Prometheus is told")
            .next("aami diff"),
        }
    }

    /// Whether its configuration speaks of where targets are listed; nothing where it does not say.
    fn finds_list(&self) -> Option<bool> {
        let text = self.watcher.prometheus.text("/api/v1/status/config").ok()?;
        Some(text.contains(&self.watcher.finds_by))
    }

    fn labels(&self) -> Link {
        let mut wrong = Vec::new();
        let mut odd = Vec::new();
        for (at, target) in self.found.iter().enumerate() {
            let Some(target) = target else {
                continue;
            };
            let job = self.subject.exporters[at].kind.job();
            let identity = [("node", self.subject.node.as_str()), ("job", job)];
            let cluster = self
                .subject
                .labels
                .get("cluster")
                .map(|cluster| ("cluster", cluster.as_str()));
            for (name, wanted) in identity.into_iter().chain(cluster) {
                if target.label(name) != wanted {
                    wrong.push(format!(
                        "{}: {}",
                        self.called(at),
                        differing(name, target.label(name), wanted)
                    ));
                }
            }
            let own = self.subject.labels.iter().filter(|(name, _)| *name != "cluster");
            for (name, wanted) in own.filter(|(name, wanted)| target.label(name) != **wanted) {
                odd.push(format!(
                    "{}: {}",
                    self.called(at),
                    differing(name, target.label(name), wanted)
                ));
            }
        }
        let link = match (wrong.first(), odd.first()) {
            (Some(first), _) => Link::broken(
                Hop::Labels,
                code::TARGET_LABELS_WRONG,
                format!("rules do not find the node by its labels: {first}"),
            )
            .next("aami diff --full"),
            (None, Some(first)) => Link::new(
                Hop::Labels,
                Standing::Warning,
                format!("its own labels are not what is declared: {first}"),
            )
            .coded(code::TARGET_LABELS_WRONG)
            .next("aami diff --full"),
            (None, None) => Link::ok(Hop::Labels, "node, job and cluster are as rules expect them"),
        };
        wrong
            .into_iter()
            .chain(odd)
            .fold(link, |link, one| link.seen(one, self.url))
    }

    fn samples(&self) -> Link {
        let node = &self.subject.node;
        let engine = &self.watcher.prometheus;
        let up = format!("up{{node=\"{node}\"}}");
        let age = format!("time() - timestamp({up})");
        let read = format!("{}/api/v1/query of {up}", engine.url());
        let (up, age) = match (engine.query(&up), engine.query(&age)) {
            (Ok(up), Ok(age)) => (up, age),
            (Err(error), _) | (_, Err(error)) => return unanswered(Hop::Samples, &error, &read),
        };
        let longest = self.watcher.interval.as_secs_f64() * 4.0;
        let mut broken = None;
        let mut told = Vec::new();
        for at in (0..self.addresses.len()).filter(|at| self.sound[*at]) {
            let called = self.called(at);
            // By what its target is called, which may not be where it is.
            let of = |samples: &[Value]| {
                let target = self.found[at]?;
                value_of(samples, target.label("instance"), target.label("job"))
            };
            let why = match (of(&up), of(&age)) {
                (None, _) | (_, None) => format!("there is no sample of {called}"),
                (Some(up), Some(age)) => {
                    told.push(format!("{called}: up is {up}, {age:.0} s old"));
                    if up < 0.5 {
                        format!("{called} was down when it was last scraped")
                    } else if age > longest {
                        format!("the last sample of {called} is {age:.0} s old")
                    } else {
                        continue;
                    }
                }
            };
            broken = broken.or(Some(why));
        }
        let link = match broken {
            Some(why) => Link::broken(Hop::Samples, code::NODE_NOT_SCRAPED, why).next(format!(
                "curl -sSG {}/api/v1/query --data-urlencode 'query=up{{node=\"{node}\"}}'",
                engine.url()
            )),
            None => Link::ok(Hop::Samples, "there are samples, and they are fresh"),
        };
        told.into_iter().fold(link, |link, one| link.seen(one, &read))
    }
}

/// The value of the series of this instance and job.
fn value_of(samples: &[Value], instance: &str, job: &str) -> Option<f64> {
    let has = |labels: &BTreeMap<String, String>, name: &str, value: &str| {
        labels.get(name).is_some_and(|text| text == value)
    };
    let fits = |(labels, _): &&Value| has(labels, "instance", instance) && has(labels, "job", job);
    samples.iter().find(fits).map(|(_, value)| *value)
}

fn differing(name: &str, is: &str, wanted: &str) -> String {
    if is.is_empty() {
        format!("it has no label {name}, which should be {wanted:?}")
    } else {
        format!("its label {name} is {is:?}, and should be {wanted:?}")
    }
}

fn rules(subject: &Subject, watcher: &Watcher) -> Link {
    let engine: &Engine = &watcher.prometheus;
    let url = format!("{}/api/v1/rules", engine.url());
    let files = match &subject.rules {
        Ok(files) => files,
        Err(why) => return Link::new(Hop::Rules, Standing::Unknown, why.clone()),
    };
    let loaded = match engine.rules_alone() {
        Ok(loaded) => loaded,
        Err(error) => return unanswered(Hop::Rules, &error, &url),
    };
    let told = compared(&loaded, None, files);
    let some = |all: &[String]| some_of(all.iter().map(String::as_str));
    let reapply = (told.files.iter())
        .find_map(|name| name.strip_prefix("aami-preset-")?.strip_suffix(".yaml"))
        .map_or_else(
            || "aami diff".to_owned(),
            |preset| format!("aami alerts apply-preset {preset}"),
        );
    let mut link = if !told.missing.is_empty() {
        let sentence = format!("Prometheus has not loaded {}", some(&told.missing));
        Link::broken(Hop::Rules, code::ALERT_RULES_NOT_LOADED, sentence)
            .seen(format!("{} are not there", told.missing.len()), &url)
            .next(reapply)
    } else if !told.failing.is_empty() {
        let sentence = format!("Prometheus cannot evaluate {}", some(&told.failing));
        Link::broken(Hop::Rules, code::ALERT_RULES_NOT_LOADED, sentence)
            .seen(some(&told.failing), &url)
            .next("aami alerts list")
    } else if files.is_empty() {
        Link::new(
            Hop::Rules,
            Standing::Warning,
            "no rules are wanted, so nothing alerts about it",
        )
        .next("aami alerts apply-preset gpu-production")
    } else {
        Link::ok(
            Hop::Rules,
            "every rule that is wanted is loaded and can be evaluated",
        )
        .seen(format!("{} alerts of {} files", told.loaded, files.len()), &url)
    };
    let firing = format!("ALERTS{{alertstate=\"firing\",node=\"{}\"}}", subject.node);
    if let Ok(samples) = engine.query(&firing) {
        let names = samples.iter().filter_map(|(labels, _)| labels.get("alertname"));
        let names = some_of(names.map(String::as_str));
        let told = if names.is_empty() {
            "no alert about the node fires".to_owned()
        } else {
            format!("firing about the node: {names}")
        };
        link = link.seen(told, format!("{}/api/v1/query of ALERTS", engine.url()));
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str, labels: &[(&str, &str)]) -> LoadedTarget {
        let map = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            (all.iter())
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        LoadedTarget {
            discovered_labels: map(&[("__address__", address)]),
            labels: map(labels),
            ..LoadedTarget::default()
        }
    }

    #[test]
    fn among_those_at_its_address_the_target_is_the_one_that_rules_find() {
        let all = [
            target(
                "10.0.0.1:9100",
                &[("job", "infra"), ("instance", "10.0.0.1:9100")],
            ),
            target("10.0.0.1:9100", &[("job", "infra"), ("node", "gpu-01")]),
            target(
                "10.0.0.1:9100",
                &[("job", "node"), ("node", "gpu-01"), ("instance", "gpu-01")],
            ),
        ];
        let found = |all| own(all, "10.0.0.1:9100", "gpu-01", "node");
        assert_eq!(found(&all[..]).unwrap().label("instance"), "gpu-01");
        assert_eq!(found(&all[..2]).unwrap().label("node"), "gpu-01");
        assert_eq!(found(&all[..1]).unwrap().label("job"), "infra");
        assert!(own(&all, "10.0.0.2:9100", "gpu-01", "node").is_none());
    }

    #[test]
    fn what_is_broken_is_not_hidden_by_what_will_be_seen_soon() {
        let link = |standing| Link::new(Hop::Target, standing, "a sentence");
        let of = |all: &[Standing]| worst(all.iter().map(|one| link(*one))).standing;
        assert_eq!(of(&[Standing::Pending, Standing::Broken]), Standing::Broken);
        assert_eq!(of(&[Standing::Pending, Standing::Ok]), Standing::Pending);
        assert_eq!(of(&[Standing::Ok]), Standing::Ok);
    }
}
