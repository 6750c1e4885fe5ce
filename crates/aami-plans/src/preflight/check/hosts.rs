//! The hosts that are needed, hop by hop, and this machine's clock against theirs.

use std::time::Duration;

use aami_model::code;

use super::super::facts::Facts;
use super::super::report::{Category, Check};
use super::super::road::{Expect, Fault, Seen, Target};

/// A clock further off than this is worth a warning. A Date header has whole seconds.
const SKEW: Duration = Duration::from_secs(30);

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = facts
        .hosts
        .iter()
        .map(|(target, seen)| host(facts, target, seen))
        .collect();
    checks.push(clock(facts));
    checks
}

fn host(facts: &Facts, target: &Target, seen: &Seen) -> Check {
    let title = match target.expect {
        Expect::ControlPlane => format!("Control plane {}", target.address()),
        Expect::File => format!("Mirror {}", target.address()),
        Expect::Anything => target.key.clone(),
    };
    let by = target
        .proxy_address()
        .map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
    let check = Check::new(Category::Network, target.key.as_str(), title)
        .from(format!(
            "GET {}{by}",
            target.url.split('?').next().unwrap_or_default()
        ))
        .measured(seen.status)
        .member("reachable", seen.fault.is_none())
        .member(
            "milliseconds",
            u64::try_from(seen.took.as_millis()).unwrap_or(u64::MAX),
        );
    let Some(fault) = seen.fault else {
        return check.passed("reachable");
    };
    let address = target.address();
    let words = fault.words();
    let detail: String = seen
        .detail
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let message = match detail.as_str() {
        "" => format!("{address} cannot be reached{by}: {words}"),
        detail => format!("{address} cannot be reached{by}: {words} ({detail})"),
    };
    let check = if target.required {
        check.failed(fault.code(), words, message)
    } else {
        check.warned(fault.code(), words, message)
    };
    advised(facts, target, fault, check)
}

fn advised(facts: &Facts, target: &Target, fault: Fault, check: Check) -> Check {
    let name = target.first_name().unwrap_or_default();
    let address = target.address();
    match fault {
        Fault::NameServer => check.remedy("Look at the name servers", &["cat", "/etc/resolv.conf"]),
        Fault::Name => check
            .remedy("Ask for the name", &["getent", "hosts", &name])
            .advice("Check its spelling"),
        Fault::Refused => check.advice(format!("Check that something listens at {address}, and the port")),
        Fault::Silence => check.remedy("See where packets end", &["tracepath", "-n", &name]),
        Fault::Route => check.remedy("Look at the routes", &["ip", "route"]),
        Fault::Tls => check.advice("Check that the port speaks TLS (https) and not plain HTTP"),
        Fault::Untrusted => check.advice("Name the control plane's CA with --ca-file"),
        Fault::OtherName => check.advice("Use the host name that is in the certificate"),
        Fault::NotNow => check
            .advice(format!("Look at this machine's clock ({}) first", facts.now))
            .advice("Have the certificate renewed"),
        Fault::CaFile => check.advice("Name a file with a PEM certificate"),
        Fault::ProxySetting => check.advice("Write the proxy as http://HOST:PORT"),
        Fault::ProxyPassword => {
            check.advice("Put name and password into https_proxy: http://USER:PASSWORD@HOST:PORT")
        }
        Fault::ProxyAway | Fault::ProxyRefused => {
            check.advice("Check https_proxy and http_proxy, or name the host in no_proxy")
        }
        Fault::Portal => {
            check.advice("Sign in to the network, or have this machine exempted from its portal")
        }
        Fault::NotAami => check.advice("Check address and port of the control plane"),
        Fault::Unwell => check.advice("Look at the server's log, and try again"),
    }
}

/// This machine's clock against the control plane's; against any other that answered where there is none.
fn clock(facts: &Facts) -> Check {
    let check = Check::new(Category::Network, "clock", "Clock")
        .quiet()
        .limit(SKEW.as_secs());
    let dated = |target: &Target| !matches!(target.expect, Expect::ControlPlane);
    let mut hosts: Vec<_> = facts
        .hosts
        .iter()
        .filter(|(_, seen)| seen.date.is_some())
        .collect();
    hosts.sort_by_key(|(target, _)| dated(target));
    let found = hosts
        .first()
        .and_then(|(target, seen)| Some((target, seen.date?, seen.at?, seen.took)));
    let Some((target, theirs, ours, took)) = found else {
        return check.skipped("no host said what time it is");
    };
    let theirs = theirs.plus(took / 2);
    let (side, skew) = match ours.since(theirs) {
        Duration::ZERO => ("behind", theirs.since(ours)),
        ahead => ("ahead of", ahead),
    };
    let seconds = skew.as_secs();
    let address = target.address();
    let check = check
        .from(format!("the Date header of {address}"))
        .measured(seconds)
        .member("offset_seconds", seconds);
    if skew <= SKEW {
        return check.passed(format!("within {} s of {address}", SKEW.as_secs()));
    }
    check
        .warned(
            code::CLOCK_SKEW,
            format!("{seconds} s {side} {address}"),
            format!("This machine's clock is {seconds} s {side} that of {address}"),
        )
        .remedy("Set it", &["sudo", "timedatectl", "set-ntp", "true"])
}
