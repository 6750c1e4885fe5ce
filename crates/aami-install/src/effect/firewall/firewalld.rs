//! firewalld, by `firewall-cmd(1)`: a rule in force and a rule for the next start are two rules. Its
//! rules carry no comment.

use super::super::EffectError;
use super::super::tool::{is_well, look, said};
use super::{Family, FirewallRule, Found, act, ask, failure};
use crate::host::{Command, Host};
use crate::undo::Undone;

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

pub(super) fn default_zone(host: &Host) -> Result<String, EffectError> {
    Ok(ask(host, &["firewall-cmd", "--get-default-zone"])?
        .text()
        .trim()
        .to_owned())
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

fn argv(verb: &str, rule: &FirewallRule, zone: &str, permanent: bool) -> Vec<String> {
    let mut argv = vec!["firewall-cmd".to_owned()];
    argv.extend(permanent.then(|| "--permanent".to_owned()));
    argv.extend([format!("--zone={zone}"), option(verb, rule)]);
    argv
}

fn has(host: &Host, rule: &FirewallRule, zone: &str, permanent: bool) -> Result<bool, EffectError> {
    let output = look(host, argv("query", rule, zone, permanent))?;
    match output.text().trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(failure("a rule of firewalld", &output)),
    }
}

pub(super) fn found(host: &Host, rule: &FirewallRule, zone: &str) -> Result<Found, EffectError> {
    Ok(Found {
        runtime: has(host, rule, zone, false)?,
        permanent: has(host, rule, zone, true)?,
    })
}

/// Permanently first: what is open after a crash in between is closed by the next reload, not left
/// open unseen.
pub(super) fn open(host: &Host, rule: &FirewallRule, zone: &str, found: Found) -> Result<(), EffectError> {
    for (there, permanent) in [(found.permanent, true), (found.runtime, false)] {
        if !there {
            act(host, &Command::change(argv("add", rule, zone, permanent)))?;
        }
    }
    Ok(())
}

pub(super) fn close(host: &Host, rule: &FirewallRule, zone: &str, was: Found) -> Result<Undone, EffectError> {
    if !is_running(host)? {
        return Ok(Undone::Left(format!(
            "{} in firewalld, which does not run now",
            rule.subject()
        )));
    }
    for (was, permanent) in [(was.runtime, false), (was.permanent, true)] {
        if !was && has(host, rule, zone, permanent)? {
            act(host, &Command::change(argv("remove", rule, zone, permanent)))?;
        }
    }
    Ok(Undone::Gone)
}
