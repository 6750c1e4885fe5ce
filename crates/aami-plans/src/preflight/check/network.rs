//! Names, proxies and this machine's own devices. The hosts themselves are in [`hosts`](super::hosts).

use aami_model::code;
use ureq::http::Uri;

use super::super::facts::Facts;
use super::super::needs::KNOWN_HOSTS;
use super::super::report::{Category, Check};
use super::super::request::Request;
use super::super::road::{Fault, Lookup};
use super::hosts;

pub(super) fn checks(request: &Request, facts: &Facts) -> Vec<Check> {
    let mut checks = vec![dns(facts), proxy(request, facts), loopback(facts)];
    checks.extend(ca_file(request));
    checks.extend(hosts::checks(facts));
    for name in KNOWN_HOSTS {
        if !facts.hosts.iter().any(|(target, _)| target.key == name) {
            checks.push(check(name, name).quiet().skipped("nothing is fetched from there"));
        }
    }
    if facts.is_node() && request.server.is_none() {
        let check = check("server", "Control plane").quiet();
        checks.push(check.skipped("no --server was given"));
    }
    checks
}

fn check(key: impl Into<String>, title: impl Into<String>) -> Check {
    Check::new(Category::Network, key, title)
}

/// Whether names work, as far as names are needed. A name that is listed in /etc/hosts asks nobody.
fn dns(facts: &Facts) -> Check {
    let check = check("dns", "DNS").from("the system's resolver");
    let Some(nowhere) = &facts.nowhere else {
        return check.passed("not needed: every host is an address or in /etc/hosts");
    };
    if let Lookup::Found(addresses) = nowhere {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        return check
            .measured(list.join(", "))
            .failed(
                code::DNS_WILDCARD,
                "answers for names that do not exist",
                format!(
                    "The name server answers for a name that does not exist, with {}: a typing error leads to a stranger",
                    list.join(", ")
                ),
            )
            .advice("Use another name server in /etc/resolv.conf, or sign in to the network");
    }
    let is_silent = |fault: &Option<Fault>| *fault == Some(Fault::NameServer);
    let lost = facts.hosts.iter().find(|(_, seen)| is_silent(&seen.fault));
    match lost {
        // The host's own check says the same with its name; this one says it once for all.
        Some((target, _)) => check
            .failed(
                code::DNS_FAILED,
                "no name server answers",
                format!(
                    "No name server answers, and {} has to be looked up",
                    target.address()
                ),
            )
            .remedy("Look at the servers", &["cat", "/etc/resolv.conf"]),
        None => check.passed("working"),
    }
}

/// What the environment says about proxies.
fn proxy(request: &Request, facts: &Facts) -> Check {
    let check = check("proxy", "Proxy")
        .quiet()
        .from("https_proxy, http_proxy, no_proxy");
    let given = [&request.proxies.https, &request.proxies.http];
    let bad = given.into_iter().flatten().find(|text| !is_proxy(text));
    if bad.is_some()
        && !facts
            .hosts
            .iter()
            .any(|(_, seen)| seen.fault == Some(Fault::ProxySetting))
    {
        return check
            .failed(
                code::PROXY_INVALID,
                "cannot be understood",
                "The proxy setting of this environment cannot be understood; it is not shown, since it may hold a password",
            )
            .advice("Write it as http://HOST:PORT");
    }
    let asked = facts.hosts.iter().find_map(|(target, _)| target.proxy_address());
    match asked {
        Some(address) => check.measured(address.as_str()).passed(address),
        None => check.passed("none is asked"),
    }
}

fn is_proxy(text: &str) -> bool {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    whole
        .parse::<Uri>()
        .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        && ureq::Proxy::new(text).is_ok()
}

fn loopback(facts: &Facts) -> Check {
    let check = check("loopback", "Loopback")
        .quiet()
        .from("/sys/class/net/lo/flags");
    if facts.confinement.loopback {
        return check.passed("up");
    }
    check
        .measured("down")
        .failed(
            code::LOOPBACK_DOWN,
            "down",
            "The loopback device is down, so services of this machine cannot reach each other",
        )
        .remedy("Bring it up", &["sudo", "ip", "link", "set", "lo", "up"])
}

fn ca_file(request: &Request) -> Option<Check> {
    let problem = request.ca_problem.as_ref()?;
    Some(
        check("ca_file", "CA file")
            .from("--ca-file")
            .failed(
                code::CA_FILE_INVALID,
                "cannot be used",
                format!("The CA file cannot be used: {problem}"),
            )
            .advice("Name a file with a PEM certificate"),
    )
}
