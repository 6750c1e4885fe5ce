//! What a control plane knows of a node: the node, what Prometheus is told of it, who watches it with which rules, and
//! whether the control plane itself reaches its exporters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aami_api::client::ClientError;
use aami_api::discovery::TargetGroup;
use aami_api::health::Status;
use aami_api::node::NodeView;
use aami_api::prometheus::{PrometheusView, RuleBundle};
use aami_model::code;
use aami_model::exporter::Exporter;
use aami_model::node_status::NodeStatus;
use aami_monitor::presets::RuleFile;

use super::{ApiFleet, diff, nodes};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::{find, reach};
use crate::fleet::Fleet as _;
use crate::fleet::diagnose::{Asked, Elsewhere, Hop, Link, Listed, Standing, Subject, Watcher};
use crate::fleet::engines::Engine;

/// How often a Prometheus scrapes that a control plane configures.
const INTERVAL: Duration = Duration::from_secs(15);
/// After so long without a question Prometheus has stopped asking, in seconds.
const LONGEST_UNASKED: u64 = 120;

pub(super) fn subject(fleet: &mut ApiFleet, name: &str, asked: &Asked) -> Result<Subject, Failure> {
    let settings = fleet.settings()?;
    let session = &fleet.session;
    let server = session.client.server().to_owned();
    let node = match find::node(session, name) {
        Ok(node) => Some(node),
        Err(failure) if failure.code() == Some(code::NOT_FOUND) => None,
        Err(failure) => return Err(failure),
    };
    let status = session.client.status()?;
    let member = match &node {
        Some(node) => Some(nodes::member(node.clone(), settings.config())?),
        None => None,
    };
    let exporters: Vec<Exporter> = (node.iter())
        .flat_map(|node| &node.exporters)
        .map(|view| view.exporter.clone())
        .filter(|exporter| exporter.enabled && exporter.check().is_ok())
        .collect();
    // None where the control plane is one that does not keep any.
    let known = diff::prometheuses(session).map(Option::unwrap_or_default);
    let (watcher, rules) = match &known {
        Ok(known) => watched(session, node.as_ref(), known, asked, &status),
        Err(failure) => unlisted(session, asked, failure),
    };
    let listed = listed(session, node.as_ref(), &exporters);
    let verified = (node.as_ref().filter(|_| !exporters.is_empty())).map(|node| verified(session, node));
    let (elsewhere, unasked) = match verified.transpose() {
        Ok(elsewhere) => (elsewhere, None),
        Err(error) => (None, Some(format!("the control plane did not look: {error}"))),
    };
    Ok(Subject {
        node: node
            .as_ref()
            .map_or_else(|| name.to_owned(), |node| node.hostname.clone()),
        declared: declared(node.as_ref(), name, &server),
        installed: installed(node.as_ref(), &exporters, &server),
        labels: BTreeMap::from([("cluster".to_owned(), status.cluster)]),
        listed,
        watcher,
        rules,
        elsewhere,
        unasked,
        readdress: format!("aami nodes show {}", aami_ssh::quote(name)),
        fleet: fleet.name(),
        member,
        exporters,
    })
}

fn declared(node: Option<&NodeView>, name: &str, server: &str) -> Link {
    let Some(node) = node else {
        return Link::broken(
            Hop::Declared,
            code::NOT_FOUND,
            format!("no node is called {name}"),
        )
        .seen("there is none", format!("{server}/api/v1/nodes"))
        .next("aami tokens create --name nodes");
    };
    let read = format!("{server}/api/v1/nodes/{}", node.id);
    let facts = format!(
        "{}, {} since {}{}",
        node.ip_address,
        node.status.name(),
        node.status_since,
        if node.connected {
            ", its agent is connected"
        } else {
            ""
        }
    );
    let why = (node.status_reason.as_ref()).map_or_else(String::new, |why| format!(": {why}"));
    let link = match node.status {
        NodeStatus::Inactive => Link::broken(
            Hop::Declared,
            code::NODE_DECOMMISSIONED,
            format!("{} was taken out of the fleet{why}", node.hostname),
        )
        .next(format!("aami nodes restore {}", node.hostname)),
        NodeStatus::Maintenance => Link::new(
            Hop::Declared,
            Standing::Warning,
            format!(
                "{} is in maintenance, so its alerts are silenced{why}",
                node.hostname
            ),
        )
        .next(format!("aami nodes resume {}", node.hostname)),
        status => Link::ok(
            Hop::Declared,
            format!(
                "{} is {} with {}{why}",
                node.hostname,
                status.name(),
                node.ip_address
            ),
        ),
    };
    (node.findings.iter().take(5)).fold(link.seen(facts, &read), |link, finding| {
        link.seen(format!("finding {}: {}", finding.code, finding.summary), &read)
    })
}

fn installed(node: Option<&NodeView>, exporters: &[Exporter], server: &str) -> Link {
    let Some(node) = node else {
        return Link::skipped(Hop::Installed, "there is no such node");
    };
    let read = format!("{server}/api/v1/nodes/{}", node.id);
    let name = &node.hostname;
    let why = node.status_reason.as_deref().unwrap_or("it does not say why");
    match node.status {
        NodeStatus::Error => {
            let sentence = format!("the installation of {name} failed: {why}");
            Link::broken(Hop::Installed, code::NODE_NOT_INSTALLED, sentence)
                .next(format!("aami runs list --node {name}"))
        }
        _ if exporters.is_empty() => {
            let sentence = format!("{name} has no exporter that is enabled: it did not register any");
            Link::broken(Hop::Installed, code::NODE_NOT_INSTALLED, sentence)
                .next(format!("aami nodes install {name}"))
        }
        NodeStatus::Installing => Link::new(
            Hop::Installed,
            Standing::Warning,
            format!("{name} is being installed"),
        )
        .next(format!("aami runs list --node {name}")),
        _ => Link::ok(Hop::Installed, "exporters are registered"),
    }
    .seen(
        match exporters {
            [] => "no exporter".to_owned(),
            some => {
                let names = some
                    .iter()
                    .map(|one| format!("{} on port {}", one.kind.job(), one.port));
                names.collect::<Vec<_>>().join(", ")
            }
        },
        read,
    )
}

/// What the control plane itself sees, where this key may ask it to look.
fn verified(session: &Session, node: &NodeView) -> Result<Elsewhere, ClientError> {
    let verified = session.client.look(&node.id)?;
    Ok(Elsewhere {
        who: "the control plane".to_owned(),
        probes: verified.exporters,
    })
}

/// Whether Prometheus is told of each exporter.
fn listed(session: &Session, node: Option<&NodeView>, exporters: &[Exporter]) -> Vec<Listed> {
    let Some(node) = node else {
        return Vec::new();
    };
    let path = "/api/v1/sd/prometheus";
    let place = format!("{}{path}", session.client.server());
    let groups: Result<Vec<TargetGroup>, ClientError> = session.client.get(path);
    let one = |exporter: &Exporter| {
        let groups = match &groups {
            Ok(groups) => groups,
            Err(error) => return Listed::Unknown(format!("{place}: {error}")),
        };
        let Ok(ip) = node.ip_address.parse::<std::net::IpAddr>() else {
            return Listed::Unknown(format!("{:?} is no address", node.ip_address));
        };
        let target = SocketAddr::new(ip.to_canonical(), exporter.port).to_string();
        if groups.iter().any(|group| group.targets.contains(&target)) {
            Listed::Yes(place.clone(), None)
        } else {
            Listed::No(place.clone())
        }
    };
    exporters.iter().map(one).collect()
}

type Watched = (Result<Watcher, Link>, Result<Vec<RuleFile>, String>);

/// The control plane did not say which Prometheuses there are.
fn unlisted(session: &Session, asked: &Asked, failure: &Failure) -> Watched {
    let why = format!("which Prometheuses there are is not known: {failure}");
    let watcher = match &asked.prometheus {
        Some(url) => Ok(watcher(url)),
        None => Err(Link::new(Hop::Prometheus, Standing::Unknown, why.clone())
            .coded(failure.code().unwrap_or(code::PROMETHEUS_UNREACHABLE))
            .seen(
                failure.to_string(),
                format!("{}/api/v1/prometheuses", session.client.server()),
            )
            .next("aami prometheuses list")),
    };
    (watcher, Err(why))
}

fn watcher(url: &str) -> Watcher {
    Watcher {
        prometheus: Engine::at(url),
        interval: INTERVAL,
        unit: None,
        finds_by: "/api/v1/sd/prometheus".to_owned(),
    }
}

/// Who watches the node, with which rules.
fn watched(
    session: &Session,
    node: Option<&NodeView>,
    known: &[PrometheusView],
    asked: &Asked,
    status: &Status,
) -> Watched {
    let watches = |one: &&PrometheusView| {
        let groups = &one.prometheus.groups;
        node.is_none_or(|node| groups.is_empty() || groups.iter().any(|group| node.groups.contains(group)))
    };
    // Who watches its groups by name before who watches everybody.
    let theirs = (known.iter())
        .filter(watches)
        .max_by_key(|one| !one.prometheus.groups.is_empty());
    let rules = match theirs {
        None => {
            Err("the control plane names no Prometheus, so which rules are wanted is not known".to_owned())
        }
        Some(one) => bundle(session, one),
    };
    let url = match (&asked.prometheus, theirs) {
        (Some(url), _) => url.clone(),
        (None, Some(one)) if is_reached(&one.prometheus.url, session.client.server()) => {
            one.prometheus.url.clone()
        }
        (None, one) => return (Err(from_afar(session, one, status)), rules),
    };
    (Ok(watcher(&url)), rules)
}

fn bundle(session: &Session, one: &PrometheusView) -> Result<Vec<RuleFile>, String> {
    let path = format!("/api/v1/prometheuses/{}/bundle", one.prometheus.id);
    let bundle: RuleBundle =
        (session.client.get(&path)).map_err(|error| format!("the rules that are wanted: {error}"))?;
    Ok(bundle.files)
}

/// An address on the control plane's own machine means another one here, unless it is the same machine.
fn is_reached(url: &str, server: &str) -> bool {
    !reach::is_this_machine(url) || reach::is_this_machine(server)
}

/// What is known of a Prometheus that cannot be asked from here.
fn from_afar(session: &Session, one: Option<&PrometheusView>, status: &Status) -> Link {
    let read = format!("{}/api/v1/status", session.client.server());
    let (told, is_silent) = match status.discovery_asked_seconds {
        Some(ago) => (
            format!("Prometheus asked what to scrape {ago} s ago"),
            ago > LONGEST_UNASKED,
        ),
        None => (
            "nobody has asked what to scrape since the control plane started".to_owned(),
            true,
        ),
    };
    let link = if is_silent {
        Link::broken(Hop::Prometheus, code::PROMETHEUS_UNREACHABLE, told.clone())
            .next("aami config prometheus --help")
    } else {
        let why = match one {
            Some(one) => format!(
                "Prometheus {} at {} answers on the control plane's machine alone; run this there, or name one with \
                 --prometheus",
                one.prometheus.name, one.prometheus.url
            ),
            None => {
                "the control plane does not say where Prometheus is; name it with --prometheus".to_owned()
            }
        };
        Link::new(Hop::Prometheus, Standing::Unknown, why).coded(code::PROMETHEUS_UNREACHABLE)
    };
    link.seen(told, read)
}
