//! What watches a node: Prometheus, the targets it has, the labels they bear, the samples that came of them, and the rules.

mod rules;
mod series;
mod target;

use std::net::SocketAddr;

use aami_model::code;

use super::{Hop, Link, Listed, Standing, Subject, Watcher};
use crate::fleet::engines::{EngineError, LoadedTarget};
use rules::rules;

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
}

#[cfg(test)]
mod tests;
