//! Firewalls: what they drop or reject on the way, and how each is told not to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aami_model::code;

use super::{Measured, closed, exec, told};
use crate::fleet::Member;
use crate::fleet::diagnose::{Hop, Link, Probed};

/// Ports that are refused from outside while somebody listens on them there: a firewall does that, and the hops say so.
pub(in crate::fleet::diagnose) fn rejected(
    hops: &mut [Link],
    ports: &BTreeSet<u16>,
    measured: &Measured<'_>,
) {
    if ports.is_empty() {
        return;
    }
    let names: Vec<String> = (measured.exporters.iter())
        .filter(|probed| ports.contains(&probed.exporter.port))
        .map(Probed::called)
        .collect();
    let all = closed(measured);
    for link in hops {
        match link.hop {
            Hop::Firewall if !link.is_broken() => {
                let sentence = format!(
                    "{}: the connection is refused, and somebody listens there: a firewall rejects it",
                    names.join(", ")
                );
                let evidence = std::mem::take(&mut link.evidence);
                *link = Link::broken(Hop::Firewall, code::PORT_DROPPED, sentence);
                link.evidence = evidence;
            }
            Hop::Port if all.refused.is_subset(ports) => {
                *link = Link::skipped(Hop::Port, "firewall is broken");
            }
            _ => {}
        }
    }
}

/// Firewalls: ports that are silent on a host that answers elsewhere.
pub(in crate::fleet::diagnose) fn firewall(member: &Member, measured: &Measured<'_>) -> Link {
    let dropped: Vec<&Probed<'_>> = (measured.exporters.iter())
        .filter(|probed| !probed.reached().answers())
        .collect();
    if dropped.is_empty() {
        return told(
            Link::ok(Hop::Firewall, "no port is dropped on the way"),
            member,
            measured,
        );
    }
    let names: Vec<String> = dropped.iter().map(|probed| probed.called()).collect();
    let sentence = format!(
        "{} {} not answered, and the host is there: a firewall keeps {} out",
        names.join(", "),
        if names.len() == 1 { "is" } else { "are" },
        measured.who.unwrap_or("this machine"),
    );
    let ports = closed(measured).dropped;
    let mut link = told(
        Link::broken(Hop::Firewall, code::PORT_DROPPED, sentence),
        member,
        measured,
    );
    let ways = opening(&measured.from, &ports, member.address);
    for (tool, command) in &ways {
        link = link.seen(command, format!("how {tool} lets it in, on the node"));
    }
    let [(_, usual), ..] = &ways;
    link.next(exec(&member.name, usual))
}

/// How each firewall is told to let somebody in.
pub(in crate::fleet::diagnose) fn opening(
    from: &str,
    ports: &BTreeSet<u16>,
    to: IpAddr,
) -> [(&'static str, String); 3] {
    let (family, word) = if to.is_ipv4() {
        ("ipv4", "ip")
    } else {
        ("ipv6", "ip6")
    };
    let listed: Vec<String> = ports.iter().map(u16::to_string).collect();
    let rules: Vec<String> = (listed.iter())
        .map(|port| {
            format!(
                "firewall-cmd --permanent --add-rich-rule='rule family=\"{family}\" source address=\"{from}\" port \
                 port=\"{port}\" protocol=\"tcp\" accept'"
            )
        })
        .collect();
    [
        (
            "ufw",
            format!("ufw allow from {from} to any port {} proto tcp", listed.join(",")),
        ),
        (
            "firewalld",
            format!("{} && firewall-cmd --reload", rules.join(" && ")),
        ),
        (
            "nftables",
            format!(
                "nft insert rule inet filter input {word} saddr {from} tcp dport '{{ {} }}' accept",
                listed.join(", ")
            ),
        ),
    ]
}
