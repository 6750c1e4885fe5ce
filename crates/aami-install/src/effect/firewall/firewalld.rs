//! firewalld, by `firewall-cmd(1)`: a rule in force and a rule for the next start are two rules. Its
//! rules carry no comment.

use super::super::EffectError;
use super::super::tool::{is_there, is_well, look, said};
use super::network::contains;
use super::{Family, FirewallRule, Found, act, ask, failure, interface};
use crate::host::{Command, Host};
use crate::path::HostPath;
use crate::undo::Undone;

/// What changes the rules of the next start while the daemon does not run (firewall-offline-cmd(1)).
const OFFLINE: &str = "firewall-offline-cmd";
/// Where it is said which of the kernel's two kinds of rules it makes.
const CONFIGURATION: &str = "etc/firewalld/firewalld.conf";

pub(super) fn is_running(host: &Host) -> Result<bool, EffectError> {
    let output = look(host, ["firewall-cmd", "--state"])?;
    if is_well(&output) {
        return Ok(true);
    }
    // 252 with "not running" is an answer, and without a system bus it cannot run; anything else (no
    // permission) is not.
    let said = said(&output);
    if said.contains("not running") || said.contains("Failed to connect to socket") {
        Ok(false)
    } else {
        Err(failure("whether firewalld runs", &output))
    }
}

/// The zone that decides on what comes from `source`: the one it is bound to, else that of the interface towards it,
/// else the default one (firewalld.zone(5)). Where anybody may come, the interface is that of the default route.
pub(super) fn zone_towards(host: &Host, source: Option<&str>) -> Result<String, EffectError> {
    let zones = zones(&ask(host, &["firewall-cmd", "--get-active-zones"])?.text());
    let bound = source.and_then(|source| {
        let holds = |zone: &&Zone| zone.sources.iter().any(|bound| contains(bound, source));
        zones.iter().find(holds)
    });
    let by_interface = || -> Result<Option<&Zone>, EffectError> {
        let interface = interface::towards(host, source)?;
        let has = |zone: &&Zone| {
            interface
                .as_ref()
                .is_some_and(|interface| zone.interfaces.contains(interface))
        };
        Ok(zones.iter().find(has))
    };
    match bound {
        Some(zone) => return Ok(zone.name.clone()),
        None => {
            if let Some(zone) = by_interface()? {
                return Ok(zone.name.clone());
            }
        }
    }
    Ok(ask(host, &["firewall-cmd", "--get-default-zone"])?
        .text()
        .trim()
        .to_owned())
}

/// A zone that something is bound to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Zone {
    name: String,
    interfaces: Vec<String>,
    sources: Vec<String>,
}

/// Reads what `--get-active-zones` tells: a name on a line of its own, below it what is bound to it, indented.
fn zones(text: &str) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for line in text.lines() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        if !line.starts_with([' ', '\t']) {
            // Newer ones say `public (default)`.
            if let Some(name) = line.split_whitespace().next() {
                let name = name.to_owned();
                zones.push(Zone {
                    name,
                    ..Zone::default()
                });
            }
        } else if let Some(zone) = zones.last_mut() {
            match line.trim().split_once(':') {
                Some(("interfaces", all)) => zone.interfaces = words(all),
                Some(("sources", all)) => zone.sources = words(all),
                _ => {}
            }
        }
    }
    zones
}

/// `--add-port=9100/tcp`, or a rich rule where only one network may come in.
fn option(verb: &str, rule: &FirewallRule) -> String {
    match (&rule.source, rule.family()) {
        (Some(source), family) => {
            let family = if family == Some(Family::V6) {
                "ipv6"
            } else {
                "ipv4"
            };
            format!(
                "--{verb}-rich-rule=rule family=\"{family}\" source address=\"{source}\" port port=\"{}\" \
                 protocol=\"tcp\" accept",
                rule.port
            )
        }
        (None, _) => format!("--{verb}-port={}/tcp", rule.port),
    }
}

/// Which of firewalld's two sets of rules is meant, and who changes it.
#[derive(Debug, Clone, Copy)]
enum Rules {
    /// Those in force.
    Runtime,
    /// Those of the next start, by the daemon.
    Permanent,
    /// The same while the daemon does not run.
    Offline,
}

fn argv(verb: &str, rule: &FirewallRule, zone: &str, rules: Rules) -> Vec<String> {
    let words: &[&str] = match rules {
        Rules::Runtime => &["firewall-cmd"],
        Rules::Permanent => &["firewall-cmd", "--permanent"],
        Rules::Offline => &[OFFLINE],
    };
    let mut argv: Vec<String> = words.iter().map(ToString::to_string).collect();
    argv.extend([format!("--zone={zone}"), option(verb, rule)]);
    argv
}

fn has(host: &Host, rule: &FirewallRule, zone: &str, rules: Rules) -> Result<bool, EffectError> {
    let output = look(host, argv("query", rule, zone, rules))?;
    match output.text().trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        // A zone that somebody removed has no rules.
        _ if said(&output).contains("INVALID_ZONE") => Ok(false),
        _ => Err(failure("a rule of firewalld", &output)),
    }
}

pub(super) fn found(host: &Host, rule: &FirewallRule, zone: &str) -> Result<Found, EffectError> {
    Ok(Found {
        runtime: has(host, rule, zone, Rules::Runtime)?,
        permanent: has(host, rule, zone, Rules::Permanent)?,
    })
}

/// Permanently first: what is open after a crash in between is closed by the next reload, not left
/// open unseen.
pub(super) fn open(host: &Host, rule: &FirewallRule, zone: &str, found: Found) -> Result<(), EffectError> {
    for (there, rules) in [
        (found.permanent, Rules::Permanent),
        (found.runtime, Rules::Runtime),
    ] {
        if !there {
            act(host, &Command::change(argv("add", rule, zone, rules)))?;
        }
    }
    Ok(())
}

pub(super) fn close(host: &Host, rule: &FirewallRule, zone: &str, was: Found) -> Result<Undone, EffectError> {
    let sets = if is_running(host)? {
        vec![(was.runtime, Rules::Runtime), (was.permanent, Rules::Permanent)]
    } else if is_there(host, OFFLINE)? {
        // The next start would bring the rule back.
        vec![(was.permanent, Rules::Offline)]
    } else {
        return Ok(Undone::Left(format!(
            "{} in firewalld, which does not run now",
            rule.subject()
        )));
    };
    let is_offline = sets.iter().any(|(_, rules)| matches!(rules, Rules::Offline));
    for (was, rules) in sets {
        if !was && has(host, rule, zone, rules)? {
            act(host, &Command::change(argv("remove", rule, zone, rules)))?;
        }
    }
    if is_offline && !was.runtime && may_be_in_force(host)? {
        return Ok(Undone::Left(format!(
            "{} in the rules that firewalld left in force: `firewall-cmd --reload`, once it runs, or the next boot ends that",
            rule.subject()
        )));
    }
    Ok(Undone::Gone)
}

/// Whether rules of firewalld's may be in force although nobody answers for it: it was killed, or is told to leave them when
/// it ends (`CleanupOnExit`, firewalld.conf(5)). So too where nobody can tell.
fn may_be_in_force(host: &Host) -> Result<bool, EffectError> {
    let path = HostPath::root().below(CONFIGURATION);
    let configuration = host.root.read(&path, 1 << 16)?.unwrap_or_default();
    let is_iptables = String::from_utf8_lossy(&configuration)
        .lines()
        .any(|line| line.trim() == "FirewallBackend=iptables");
    // What either backend's rules are called.
    let (argv, mark): (&[&str], _) = match is_iptables {
        true => (&["iptables", "-w", "5", "-S"], "-N IN_"),
        false => (&["nft", "list", "tables"], "firewalld"),
    };
    if !is_there(host, argv[0])? {
        return Ok(true);
    }
    let output = look(host, argv.iter().copied())?;
    Ok(!is_well(&output) || output.text().contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zones_in_use_are_read_as_firewalld_tells_them() {
        // As firewalld 0.9 and 2.1 print them.
        for public in ["public", "public (default)"] {
            let text = format!(
                "docker\n  interfaces: docker0 br-1\n{public}\n  interfaces: eth0\n  sources: 10.0.0.0/8 ipset:x\n"
            );
            let zones = zones(&text);
            assert_eq!(zones.len(), 2, "{zones:?}");
            assert_eq!(zones[0].interfaces, ["docker0", "br-1"]);
            assert_eq!((zones[1].name.as_str(), zones[1].sources.len()), ("public", 2));
        }
        assert_eq!(zones(""), []);
    }
}
