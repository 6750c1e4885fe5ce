//! The way to a node: its name, the route, firewalls, ports. All is measured at once; then each hop is judged by itself.

mod firewall;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;

use aami_api::node::Hop as Ended;
use aami_model::code;

use super::name::{self, Meaning};
use super::wire::{self, Wire, connect};
use super::{Hop, Limits, Link, Probed, Standing, Subject, page};
use crate::cli::reach::is_this_machine;
use crate::fleet::Member;

pub(super) use firewall::{firewall, opening, rejected};

/// What was measured.
pub(super) struct Measured<'a> {
    /// What the node's name means.
    pub(super) meaning: Meaning,
    /// Whether its SSH server answers, which tells a host that is down from a firewall.
    pub(super) ssh: Wire,
    /// Addresses its name means instead of the declared one, and whether SSH answers there.
    pub(super) instead: Vec<(IpAddr, Wire)>,
    /// Its exporters.
    pub(super) exporters: Vec<Probed<'a>>,
    /// Who else looked.
    pub(super) who: Option<&'a str>,
    /// Why nobody else did, where somebody should have.
    pub(super) unasked: Option<&'a str>,
    /// From where it is scraped: an address, or a word that stands for one.
    pub(super) from: String,
}

/// Ports that are closed for whoever scrapes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Closed {
    /// Nothing comes back.
    pub(super) dropped: BTreeSet<u16>,
    /// The connection is refused.
    pub(super) refused: BTreeSet<u16>,
    /// From where.
    pub(super) from: String,
}

/// Measures everything at once: a host that drops all of it costs one deadline and not many.
pub(super) fn measure<'a>(
    subject: &'a Subject,
    member: &Member,
    wanted: &BTreeSet<String>,
    limits: Limits,
) -> Measured<'a> {
    let address = member.address.to_canonical();
    thread::scope(|scope| {
        let named = scope.spawn(|| {
            let meaning = name::look_up(&member.name, limits.connect);
            let others: Vec<IpAddr> = match &meaning {
                Meaning::Addresses(found) if !found.contains(&address) => {
                    found.iter().copied().filter(|ip| !ip.is_loopback()).collect()
                }
                _ => Vec::new(),
            };
            let tried = others.into_iter().take(2);
            let instead = tried.map(|ip| (ip, connect(SocketAddr::new(ip, member.port), limits.connect)));
            (meaning, instead.collect())
        });
        let ssh = scope.spawn(|| connect(SocketAddr::new(address, member.port), limits.connect));
        let probes = subject.elsewhere.as_ref();
        let exporters: Vec<_> = (subject.exporters.iter())
            .map(|exporter| {
                scope.spawn(move || {
                    let at = SocketAddr::new(address, exporter.port);
                    let wire = connect(at, limits.connect);
                    let page = matches!(wire, Wire::Open(_))
                        .then(|| page::fetch(at, exporter, wanted, limits.answer));
                    let url = format!("http://{at}{}", exporter.metrics_path);
                    Probed {
                        exporter,
                        at,
                        wire,
                        page,
                        elsewhere: probes.and_then(|seen| seen.probes.iter().find(|probe| probe.url == url)),
                    }
                })
            })
            .collect();
        let lost = || Wire::Forbidden("it could not be measured".to_owned());
        let (meaning, instead) = named.join().unwrap_or((Meaning::Silence, Vec::new()));
        Measured {
            meaning,
            instead,
            ssh: ssh.join().unwrap_or_else(|_| lost()),
            exporters: exporters
                .into_iter()
                .filter_map(|probed| probed.join().ok())
                .collect(),
            who: probes.map(|seen| seen.who.as_str()),
            unasked: subject.unasked.as_deref(),
            from: from(subject, address),
        }
    })
}

/// From where a node at this address is scraped, as its firewall sees it.
fn from(subject: &Subject, address: IpAddr) -> String {
    let url = subject
        .watcher
        .as_ref()
        .ok()
        .map(|watcher| watcher.prometheus.url());
    let ip = match url {
        Some(url) if is_this_machine(url) => wire::seen_as(address),
        Some(url) => url.parse::<http::Uri>().ok().and_then(|uri| {
            let host = uri.host()?.trim_matches(['[', ']']);
            host.parse().ok()
        }),
        None => None,
    };
    ip.map_or_else(|| "PROMETHEUS".to_owned(), |ip: IpAddr| ip.to_string())
}

/// A command of the shell on a node, as it is typed.
pub(super) fn exec(node: &str, command: &str) -> String {
    let is_plain = command.split(' ').all(|word| aami_ssh::quote(word) == word);
    let command = if is_plain {
        command.to_owned()
    } else {
        aami_ssh::quote(command)
    };
    format!("aami nodes exec {node} --sudo -- {command}")
}

impl Probed<'_> {
    /// How it is reached by whoever counts: another machine where one looked, else this one.
    pub(super) fn reached(&self) -> Wire {
        let Some(probe) = self.elsewhere else {
            return self.wire.clone();
        };
        match probe.hop {
            None | Some(Ended::Slow | Ended::Status | Ended::NotMetrics) => {
                Wire::Open(std::time::Duration::ZERO)
            }
            Some(Ended::Refused) => Wire::Refused,
            Some(Ended::Timeout) => Wire::Silent(std::time::Duration::from_secs(3)),
            Some(Ended::Route) => Wire::NoRoute(probe.detail.clone()),
            Some(Ended::AddressRefused) => Wire::Forbidden(probe.detail.clone()),
        }
    }
}

/// Whether the host is there, as anybody sees it.
pub(super) fn is_alive(measured: &Measured<'_>) -> bool {
    measured.ssh.answers()
        || (measured.exporters.iter()).any(|probed| probed.wire.answers() || probed.reached().answers())
}

/// What each port said to whom, as evidence.
fn told(mut link: Link, member: &Member, measured: &Measured<'_>) -> Link {
    let here = "a connection from this machine";
    let ssh = SocketAddr::new(member.address.to_canonical(), member.port);
    link = link.seen(format!("ssh on {ssh}: {}", measured.ssh.told()), here);
    if let Some(why) = measured.unasked {
        link = link.seen(why, "whoever scrapes it, asked to verify it");
    }
    for probed in &measured.exporters {
        link = link.seen(format!("{}: {}", probed.called(), probed.wire.told()), here);
        if let (Some(probe), Some(who)) = (probed.elsewhere, measured.who) {
            link = link.seen(probe.detail.clone(), format!("{who}, asked to verify it"));
        }
    }
    link
}

/// The name. It is broken where the declared address is dead and the name leads to one that is not.
pub(super) fn name(subject: &Subject, member: &Member, measured: &Measured<'_>) -> Link {
    let read = "this machine's resolver";
    let (node, address) = (&member.name, member.address.to_canonical());
    let warning = |sentence: String| Link::new(Hop::Name, Standing::Warning, sentence);
    match &measured.meaning {
        Meaning::Addresses(found) if found.contains(&address) => {
            Link::ok(Hop::Name, format!("{node} is {address}")).seen(name::shown(found), read)
        }
        Meaning::Addresses(found) => {
            let shown = name::shown(found);
            let living = measured.instead.iter().find(|(_, wire)| wire.answers());
            match living.filter(|_| !is_alive(measured)) {
                Some((living, _)) => Link::broken(
                    Hop::Name,
                    code::NODE_ADDRESS_STALE,
                    format!(
                        "{node} is at {living} by its name, and declared with {address}, where nobody answers"
                    ),
                )
                .next(&subject.readdress),
                None => warning(format!(
                    "{node} means {shown} here, and is declared with {address}, which is what is scraped"
                )),
            }
            .seen(shown, read)
        }
        Meaning::Nothing(why) => warning(format!(
            "{node} means no address here; {address} is scraped all the same"
        ))
        .seen(why, read),
        Meaning::Silence => warning(format!(
            "nobody said in time what {node} means; {address} is scraped all the same"
        ))
        .seen("no answer in time", read),
    }
}

/// The route: whether the host answers at all.
pub(super) fn route(member: &Member, measured: &Measured<'_>) -> Link {
    let address = member.address.to_canonical();
    let link = if is_alive(measured) {
        let here = measured.ssh.answers() || measured.exporters.iter().any(|probed| probed.wire.answers());
        Link::ok(
            Hop::Route,
            match measured.who {
                Some(who) if !here => {
                    format!("{address} answers {who}; not this machine, which hinders nobody")
                }
                _ => format!("{address} answers"),
            },
        )
    } else {
        let wires =
            || std::iter::once(&measured.ssh).chain(measured.exporters.iter().map(|probed| &probed.wire));
        if let Some(Wire::NoRoute(why)) = wires().find(|wire| matches!(wire, Wire::NoRoute(_))) {
            let sentence = format!("there is no way to {address}: {why}");
            Link::broken(Hop::Route, code::NODE_UNREACHABLE, sentence).next(format!("ip route get {address}"))
        } else if let Some(Wire::Forbidden(why)) = wires().find(|wire| matches!(wire, Wire::Forbidden(_))) {
            let sentence = format!("this machine lets nothing out to {address}: {why}");
            Link::broken(Hop::Route, code::NODE_UNREACHABLE, sentence).next("sudo nft list ruleset")
        } else {
            let sentence = format!(
                "{address} answers nothing, not even SSH on port {}: the host is down, its address is another, or a \
                 firewall drops everything",
                member.port
            );
            Link::broken(Hop::Route, code::NODE_UNREACHABLE, sentence).next(format!("ping -c 3 {address}"))
        }
    };
    told(link, member, measured)
}

/// The ports that are closed, on a host that answers.
pub(super) fn closed(measured: &Measured<'_>) -> Closed {
    let alive = is_alive(measured);
    let those = |is: &dyn Fn(&Wire) -> bool| -> BTreeSet<u16> {
        let closed = (measured.exporters.iter()).filter(|probed| alive && is(&probed.reached()));
        closed.map(|probed| probed.exporter.port).collect()
    };
    Closed {
        dropped: those(&|wire| !wire.answers()),
        refused: those(&|wire| *wire == Wire::Refused),
        from: measured.from.clone(),
    }
}

/// Ports: those on which nobody listens.
pub(super) fn port(member: &Member, measured: &Measured<'_>) -> Link {
    let closed: Vec<&Probed<'_>> = (measured.exporters.iter())
        .filter(|probed| probed.reached() == Wire::Refused)
        .collect();
    let Some(first) = closed.first() else {
        let open = measured.exporters.iter().any(|probed| probed.reached().answers());
        return if open {
            told(
                Link::ok(Hop::Port, "somebody listens on every port that can be reached"),
                member,
                measured,
            )
        } else {
            let stands = if measured.unasked.is_some() {
                "unknown"
            } else {
                "broken"
            };
            Link::skipped(Hop::Port, format!("firewall is {stands}"))
        };
    };
    let names: Vec<String> = closed.iter().map(|probed| probed.called()).collect();
    let sentence = format!(
        "{}: the connection is refused: nobody listens there, or for the node itself alone, or a firewall rejects it",
        names.join(", ")
    );
    let look = match unit(first.exporter.kind) {
        Some(unit) => format!("systemctl status {unit}"),
        None => format!("ss -ltnp 'sport = :{}'", first.exporter.port),
    };
    told(
        Link::broken(Hop::Port, code::NOBODY_LISTENS, sentence),
        member,
        measured,
    )
    .next(exec(&member.name, &look))
}

/// The unit an exporter runs as, where AAMI installed it.
pub(super) fn unit(kind: aami_model::exporter::ExporterKind) -> Option<&'static str> {
    use aami_model::exporter::ExporterKind;

    match kind {
        ExporterKind::NodeExporter => Some("aami-node-exporter.service"),
        ExporterKind::DcgmExporter => Some("aami-dcgm-exporter.service"),
        ExporterKind::AllSmi => Some("aami-all-smi.service"),
        ExporterKind::Aami => Some("aami-agent.service"),
        ExporterKind::Custom => None,
    }
}

#[cfg(test)]
mod tests;
