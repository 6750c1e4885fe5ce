//! ufw (`ufw(8)`): one rule is in force and permanent, and carries our comment.

use super::super::EffectError;
use super::{FirewallRule, Found, act, ask, normal};
use crate::host::{Command, Host};
use crate::undo::Undone;

pub(super) fn is_active(host: &Host) -> Result<bool, EffectError> {
    let status = ask(host, &["ufw", "status"])?.text();
    Ok(status.lines().any(|line| line.trim() == "Status: active"))
}

/// The words that say what the rule is, without verb and comment.
fn words(rule: &FirewallRule) -> Vec<String> {
    let source = rule.source.as_deref().unwrap_or("any");
    let port = rule.port.to_string();
    ["proto", "tcp", "from", source, "to", "any", "port", &port]
        .map(str::to_owned)
        .to_vec()
}

/// A rule as `ufw show added` tells it.
struct Added {
    is_this: bool,
    comment: String,
}

/// Reads `ufw allow 9100/tcp comment 'x'` or `ufw allow from 10.0.0.0/8 to any port 9100 proto tcp`.
fn read(line: &str, rule: &FirewallRule) -> Option<Added> {
    let rest = line.trim().strip_prefix("ufw allow ")?;
    let (what, comment) = rest.split_once(" comment ").unwrap_or((rest, ""));
    let is_this = Allowed::read(what).is_some_and(|allowed| allowed.lets_in(rule));
    let comment = comment.trim().trim_matches('\'').to_owned();
    Some(Added { is_this, comment })
}

/// What comes in by a rule, on whichever interface.
#[derive(Debug, Default)]
struct Allowed<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
    port: Option<&'a str>,
    protocol: Option<&'a str>,
}

impl<'a> Allowed<'a> {
    /// `None` where it says anything else: what goes out, what comes in on one interface alone (`in on eth1`), what
    /// comes from one port. None of that lets in everything that a rule of ours does.
    fn read(what: &'a str) -> Option<Self> {
        let mut words = what.split_whitespace().peekable();
        words.next_if_eq(&"in");
        let mut allowed = Self::default();
        let mut side = "";
        while let Some(word) = words.next() {
            match word {
                "from" => (side, allowed.from) = ("from", Some(words.next()?)),
                "to" => (side, allowed.to) = ("to", Some(words.next()?)),
                "port" if side == "to" => allowed.port = Some(words.next()?),
                "proto" => allowed.protocol = Some(words.next()?),
                // The short form, which is one word: a port, or a port with its protocol.
                short if side.is_empty() && words.peek().is_none() => {
                    let (port, protocol) = short.split_once('/').map_or((short, None), |(a, b)| (a, Some(b)));
                    (allowed.port, allowed.protocol) = (Some(port), protocol);
                }
                _ => return None,
            }
        }
        Some(allowed)
    }

    fn lets_in(&self, rule: &FirewallRule) -> bool {
        let not_any = |text: &&str| *text != "any";
        // Receipts of before may hold a source as somebody typed it; and everybody's network is not told at all.
        let source = rule.source.as_deref().map(normal);
        let source = source.filter(|source| !["0.0.0.0/0", "::/0"].contains(&source.as_str()));
        self.port == Some(rule.port.to_string().as_str())
            // Without a protocol it is open for both.
            && self.protocol.is_none_or(|protocol| protocol == "tcp")
            && self.to.filter(not_any).is_none()
            && self.from.filter(not_any).map(normal) == source
    }
}

fn added(host: &Host, rule: &FirewallRule) -> Result<Option<String>, EffectError> {
    let text = ask(host, &["ufw", "show", "added"])?.text();
    let mut found = text.lines().filter_map(|line| read(line, rule));
    Ok(found.find(|added| added.is_this).map(|added| added.comment))
}

pub(super) fn found(host: &Host, rule: &FirewallRule) -> Result<Found, EffectError> {
    let there = added(host, rule)?.is_some();
    Ok(Found {
        runtime: there,
        permanent: there,
    })
}

pub(super) fn is_ours(host: &Host, rule: &FirewallRule) -> Result<bool, EffectError> {
    Ok(added(host, rule)?.is_some_and(|comment| comment == rule.comment))
}

/// Called only where there is no such rule: ufw would give an existing one our comment.
pub(super) fn open(host: &Host, rule: &FirewallRule) -> Result<(), EffectError> {
    let mut argv = vec!["ufw".to_owned(), "allow".to_owned()];
    argv.extend(words(rule));
    argv.extend(["comment".to_owned(), rule.comment.clone()]);
    act(host, &Command::change(argv)).map(drop)
}

pub(super) fn close(host: &Host, rule: &FirewallRule) -> Result<Undone, EffectError> {
    match added(host, rule)? {
        None => Ok(Undone::Gone),
        Some(comment) if comment == rule.comment => {
            let mut argv = ["ufw", "--force", "delete", "allow"].map(str::to_owned).to_vec();
            argv.extend(words(rule));
            act(host, &Command::change(argv))?;
            Ok(Undone::Gone)
        }
        Some(comment) => Ok(Undone::Left(format!(
            "the rule of ufw for {} is another by now (comment {comment:?})",
            rule.subject()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ufw_tells_is_read() {
        // As ufw 0.36 prints them.
        let any = FirewallRule::tcp(9100);
        let some = FirewallRule::tcp(9100).from("10.0.0.0/8");
        let cases = [
            (
                "ufw allow 9100/tcp comment 'AAMI plan=node cluster=default'",
                true,
                false,
            ),
            ("ufw allow 9100", true, false),
            ("ufw allow 9101/tcp", false, false),
            ("ufw allow 9100/udp", false, false),
            (
                "ufw allow from 10.0.0.0/8 to any port 9100 proto tcp comment 'x'",
                false,
                true,
            ),
            (
                "ufw allow from 10.0.0.0/8 to any port 9100 proto udp",
                false,
                false,
            ),
            ("ufw allow from 10.0.0.0/8", false, false),
            // On one interface, for one address, out, or from a port: none of them is open for whoever scrapes.
            ("ufw allow in on docker0 to any port 9100 proto tcp", false, false),
            (
                "ufw allow in on docker0 from 10.0.0.0/8 to any port 9100 proto tcp",
                false,
                false,
            ),
            ("ufw allow in on docker0", false, false),
            ("ufw allow to 127.0.0.1 port 9100 proto tcp", false, false),
            ("ufw allow out to any port 9100 proto tcp", false, false),
            (
                "ufw allow from 10.0.0.0/8 port 9100 to any port 22 proto tcp",
                false,
                false,
            ),
            ("ufw allow in 9100/tcp", true, false),
            ("ufw allow to any port 9100 proto tcp", true, false),
        ];
        for (line, is_any, is_some) in cases {
            assert_eq!(read(line, &any).unwrap().is_this, is_any, "{line}");
            assert_eq!(read(line, &some).unwrap().is_this, is_some, "{line}");
        }
        // ufw tells a network without host bits, and a single address without its prefix.
        for (told, given) in [
            ("10.0.0.0/8", "10.1.2.3/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("fd00::/8", "FD00:0::1/8"),
        ] {
            let line = format!("ufw allow from {told} to any port 9100 proto tcp comment 'x'");
            let mut rule = FirewallRule::tcp(9100).from(given);
            assert!(read(&line, &rule).unwrap().is_this, "{given}");
            rule.source = Some(given.to_owned());
            assert!(
                read(&line, &rule).unwrap().is_this,
                "{given}, as an older receipt has it"
            );
        }
        let everybody = FirewallRule::tcp(9100).from("0.0.0.0/0");
        assert!(
            read("ufw allow 9100/tcp comment 'x'", &everybody)
                .unwrap()
                .is_this
        );
        assert!(read("ufw deny 9100/tcp", &any).is_none());
        assert_eq!(
            read(cases[0].0, &any).unwrap().comment,
            "AAMI plan=node cluster=default"
        );
    }
}
