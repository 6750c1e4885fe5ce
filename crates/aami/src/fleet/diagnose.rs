//! Why a node is not monitored: from what is declared of it to the alerts about it, hop by hop.
//!
//! A fleet says what it knows of a node ([`Subject`]); [`examine`] measures and judges, the same for every fleet. What
//! depends on a broken hop is not judged but shown as skipped, with the reason. Nothing is changed anywhere: connections
//! are opened and closed, pages and answers read, each with a deadline and a longest length. What hosts say is hostile
//! until it is parsed.
//!
//! `link` is what a diagnosis is made of; `wire`, `name`, `page` and `text` measure; `reach`, `exporter` and `watched` judge;
//! `deeper` looks at the node itself by SSH, where that is asked for.

mod deeper;
mod exporter;
mod link;
mod name;
mod page;
mod reach;
mod text;
mod watched;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use aami_api::node::Probe;
use aami_model::exporter::Exporter;
use aami_monitor::presets::RuleFile;

pub(crate) use link::{Diagnosis, Hop, Link, Standing};
pub(crate) use name::{Meaning, look_up};

use super::engines::Engine;
use super::ways::Ways;
use super::{Member, wanted};
use crate::cli::failure::Failure;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The Prometheus to ask, where it is not the fleet's own.
    pub(crate) prometheus: Option<String>,
    /// How long things may take.
    pub(crate) limits: Limits,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A connection, or a name.
    pub(crate) connect: Duration,
    /// A page.
    pub(crate) answer: Duration,
}

/// What a fleet knows of a node.
pub(crate) struct Subject {
    /// The node's name.
    pub(crate) node: String,
    /// Whose it is, for sentences.
    pub(crate) fleet: String,
    /// The first hop, judged.
    pub(crate) declared: Link,
    /// The second, judged; it is shown as skipped where the first is broken.
    pub(crate) installed: Link,
    /// Where the node is; none where nobody knows it.
    pub(crate) member: Option<Member>,
    /// What Prometheus is to scrape there.
    pub(crate) exporters: Vec<Exporter>,
    /// The labels that what is scraped must bear, beside `node` and `job`.
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether Prometheus is told of each exporter, in their order.
    pub(crate) listed: Vec<Listed>,
    /// Who scrapes it; where that is not known, the hop as it then stands.
    pub(crate) watcher: Result<Watcher, Link>,
    /// The rules that are wanted, or why nobody knows.
    pub(crate) rules: Result<Vec<RuleFile>, String>,
    /// How each exporter answers where the measurements of this machine do not count.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// Why nobody elsewhere looked, where somebody should have.
    pub(crate) unasked: Option<String>,
    /// How to change the node's address, as it is typed.
    pub(crate) readdress: String,
}

/// Who scrapes a node.
pub(crate) struct Watcher {
    /// The Prometheus.
    pub(crate) prometheus: Engine,
    /// How often it looks, as far as it is known.
    pub(crate) interval: Duration,
    /// The unit it runs as, where it runs on this machine.
    pub(crate) unit: Option<&'static str>,
    /// What its configuration must speak of to find what is listed; empty where anything will do.
    pub(crate) finds_by: String,
}

/// Whether Prometheus is told of an exporter, by what stands where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// It is: there, changed so long ago.
    Yes(String, Option<Duration>),
    /// It is not: there.
    No(String),
    /// Nobody knows: why.
    Unknown(String),
}

/// How another machine reaches the exporters.
pub(crate) struct Elsewhere {
    /// Who looked.
    pub(crate) who: String,
    /// What it saw, an exporter each.
    pub(crate) probes: Vec<Probe>,
}

/// What an exporter does, as far as it was measured.
struct Probed<'a> {
    exporter: &'a Exporter,
    at: SocketAddr,
    /// From this machine.
    wire: wire::Wire,
    /// Its page, where it could be connected to.
    page: Option<page::Fetched>,
    /// As another machine sees it.
    elsewhere: Option<&'a Probe>,
}

impl Probed<'_> {
    /// `dcgm on 10.0.0.7:9400`.
    fn called(&self) -> String {
        format!("{} on {}", self.exporter.kind.job(), self.at)
    }
}

/// Measures and judges all hops. `ways` leads to the node itself, where a look at it is asked for. Fails where that look
/// was told to stop.
pub(crate) fn examine(subject: Subject, limits: Limits, ways: Option<&Ways>) -> Result<Diagnosis, Failure> {
    let mut hops = vec![subject.declared.clone()];
    let Some(member) = subject.member.as_ref().filter(|_| !subject.declared.is_broken()) else {
        let because = "the fleet does not know the node";
        hops.push(Link::skipped(Hop::Installed, because));
        hops.push(unknown_name(&subject.node, limits.connect));
        for hop in [Hop::Route, Hop::Firewall, Hop::Port, Hop::Exporter, Hop::Clock] {
            hops.push(Link::skipped(hop, because));
        }
        hops.extend(watched::look(&subject, &[], &[]));
        return Ok(Diagnosis::of(subject.node, subject.fleet, hops));
    };
    hops.push(subject.installed.clone());
    let wanted = (subject.rules.as_ref()).map_or_else(|_| BTreeMap::new(), |files| wanted::series(files));
    let names: BTreeSet<String> = wanted.keys().cloned().collect();
    let measured = reach::measure(&subject, member, &names, limits);
    hops.push(reach::name(&subject, member, &measured));
    hops.push(reach::route(member, &measured));
    let alive = reach::is_alive(&measured);
    let is_cut_off = |hop| {
        (!alive)
            .then(|| match measured.unasked {
                Some(_) => Link::skipped(hop, "route is unknown"),
                None => Link::skipped(hop, "route is broken"),
            })
            .or_else(|| {
                let none = measured.exporters.is_empty();
                none.then(|| Link::skipped(hop, "nothing is installed, so nothing is expected to answer"))
            })
    };
    for (hop, judge) in [
        (
            Hop::Firewall,
            reach::firewall as fn(&Member, &reach::Measured<'_>) -> Link,
        ),
        (Hop::Port, reach::port),
    ] {
        hops.push(is_cut_off(hop).unwrap_or_else(|| judge(member, &measured)));
    }
    let judged = exporter::judge(&measured, &wanted, &subject.node);
    hops.push(is_cut_off(Hop::Exporter).unwrap_or_else(|| exporter::link(&judged)));
    hops.push(is_cut_off(Hop::Clock).unwrap_or_else(|| exporter::clock(&measured)));
    let sound: Vec<bool> = (judged.iter())
        // Whoever scrapes it is the only one to ask where this machine's connections do not count.
        .map(|one| measured.unasked.is_some() || one.is_sound())
        .collect();
    let at: Vec<SocketAddr> = measured.exporters.iter().map(|probed| probed.at).collect();
    let watched = watched::look(&subject, &at, &sound);
    // The last thing that is waited for: from here on Ctrl-C ends it and nothing else.
    if let Some(ways) = ways {
        let (link, rejected) = deeper::look(ways, member, &subject.exporters, &reach::closed(&measured))?;
        reach::rejected(&mut hops, &rejected, &measured);
        hops.push(link);
    }
    for link in &mut hops {
        unjudged(link, measured.unasked);
    }
    hops.extend(watched);
    Ok(Diagnosis::of(subject.node, subject.fleet, hops))
}

/// What only this machine sees breaks nothing where another one scrapes and could not be asked.
fn unjudged(link: &mut Link, unasked: Option<&str>) {
    if let Some(why) = unasked.filter(|_| link.is_broken() && (Hop::Name..=Hop::Exporter).contains(&link.hop))
    {
        link.standing = Standing::Unknown;
        link.sentence = format!("seen from this machine alone, {}; {why}", link.sentence);
    }
}

/// A name of which nothing is declared: its address would be needed to declare it.
fn unknown_name(node: &str, within: Duration) -> Link {
    match look_up(node, within) {
        Meaning::Addresses(found) => Link::ok(Hop::Name, format!("{node} is {}", name::shown(&found))),
        Meaning::Nothing(why) => Link::new(
            Hop::Name,
            Standing::Warning,
            format!("{node} means no address here"),
        )
        .seen(why, "this machine's resolver"),
        Meaning::Silence => Link::new(
            Hop::Name,
            Standing::Warning,
            format!("no answer about {node} in time"),
        )
        .seen(
            format!("no answer within {} s", within.as_secs_f32()),
            "this machine's resolver",
        ),
    }
}
