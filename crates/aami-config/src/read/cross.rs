//! What no field can say alone: names given twice, a Slack that is on but has no address.
//!
//! All of it looks at the tree, not at the configuration that came of it, so that a wrong port somewhere does not
//! hide a name given twice.

use std::collections::HashMap;
use std::hash::Hash;

use aami_model::hostname::Hostname;

use super::{Path, Reader};
use crate::duration::PromDuration;
use crate::kind::address;
use crate::tree::Node;
use crate::variable::expand;

pub(crate) fn check(root: &Node<'_>, reader: &mut Reader<'_>) {
    nodes(root, reader);
    alerts(root, reader);
    notifications(root, reader);
    ports(root, reader);
    retry(root, reader);
    server(root, reader);
    remote_write(root, reader);
}

/// A value's text with its variables put in; nothing where there is none, or it is wrong already.
fn text(node: Option<&Node<'_>>, reader: &Reader<'_>) -> Option<String> {
    let expanded = expand(node?.text()?, reader.environment.variables).ok()?;
    (expanded.unset.is_empty() && !expanded.text.is_empty()).then_some(expanded.text)
}

/// Whether something is written, whatever it is worth.
fn is_written(node: &Node<'_>, key: &str) -> bool {
    node.get(key).is_some_and(|node| !node.is_blank())
}

fn is_on(node: &Node<'_>, reader: &Reader<'_>) -> bool {
    text(node.get("enabled"), reader).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// Notes values that stand twice. `value` gives what is compared, and the node it stands in.
fn twice<'t, T: Hash + Eq>(
    items: &'t [Node<'t>],
    list: &Path<'_>,
    key: Option<&str>,
    what: &str,
    reader: &mut Reader<'_>,
    value: impl Fn(&'t Node<'t>, &Reader<'_>) -> Option<T>,
) {
    let mut seen: HashMap<T, (usize, usize)> = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let Some(value) = value(item, reader) else {
            continue;
        };
        let place = key.map_or(Some(item), |key| item.get(key));
        let line = place.map_or(item.line, |place| place.line);
        match seen.get(&value) {
            None => {
                seen.insert(value, (at, line));
            }
            Some((first, first_line)) => {
                let sentence = format!("{what} stands already in line {first_line}, at {list}[{first}]");
                let item = list.index(at);
                let path = match key {
                    Some(key) => item.key(key),
                    None => list.index(at),
                };
                reader.problem(
                    line,
                    &path,
                    sentence,
                    Some("Change or remove one of them.".to_owned()),
                );
            }
        }
    }
}

fn nodes(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(list) = root.get("nodes") else { return };
    let above = Path::root();
    let path = above.key("nodes");
    twice(
        list.items(),
        &path,
        Some("name"),
        "this name",
        reader,
        |item, reader| text(item.get("name"), reader)?.parse::<Hostname>().ok(),
    );
    twice(
        list.items(),
        &path,
        Some("ip"),
        "this address",
        reader,
        |item, reader| address(&text(item.get("ip"), reader)?).ok(),
    );
}

fn alerts(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(alerts) = root.get("alerts") else { return };
    let above = Path::root();
    let alerts_path = above.key("alerts");
    if let Some(presets) = alerts.get("presets") {
        let path = alerts_path.key("presets");
        twice(
            presets.items(),
            &path,
            None,
            "this preset",
            reader,
            |item, reader| text(Some(item), reader),
        );
    }
    if let Some(custom) = alerts.get("custom") {
        let path = alerts_path.key("custom");
        twice(
            custom.items(),
            &path,
            Some("name"),
            "this name",
            reader,
            |item, reader| text(item.get("name"), reader),
        );
    }
}

/// What must be written where something is on.
const NEEDED: [(&str, &[&str]); 3] = [
    ("slack", &["webhook_url"]),
    ("email", &["smtp_host", "from", "to"]),
    ("webhook", &["url"]),
];

fn notifications(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(notifications) = root.get("notifications") else {
        return;
    };
    let above = Path::root();
    let path = above.key("notifications");
    for (name, needed) in NEEDED {
        let Some(one) = notifications.get(name).filter(|one| is_on(one, reader)) else {
            continue;
        };
        let path = path.key(name);
        for key in needed {
            let empty_list = one
                .get(key)
                .is_some_and(|node| node.what() == "a list" && node.items().is_empty());
            if !is_written(one, key) || empty_list {
                let line = one.entry(key).map_or(one.line, |entry| entry.line);
                let sentence = format!("notifications.{name} is enabled, so this is required");
                let hint = format!("Write it, or set notifications.{name}.enabled to false.");
                reader.problem(line, &path.key(key), sentence, Some(hint));
            }
        }
    }
    let Some(email) = notifications.get("email") else {
        return;
    };
    let path = path.key("email");
    if is_written(email, "username") != is_written(email, "password") {
        let (there, missing) = if is_written(email, "username") {
            ("username", "password")
        } else {
            ("password", "username")
        };
        let line = email.entry(there).map_or(email.line, |entry| entry.line);
        let sentence = format!("there is a {there}, but no {missing}");
        reader.problem(
            line,
            &path.key(missing),
            sentence,
            Some("Write both, or neither.".to_owned()),
        );
    }
    if is_written(email, "password") && text(email.get("tls"), reader).as_deref() == Some("none") {
        let line = email.entry("tls").map_or(email.line, |entry| entry.line);
        let sentence = "the password would travel in clear".to_owned();
        reader.warn(
            line,
            &path.key("tls"),
            sentence,
            Some("Use `starttls` or `tls`.".to_owned()),
        );
    }
}

/// They run on one machine.
fn ports(root: &Node<'_>, reader: &mut Reader<'_>) {
    let all = [
        ("prometheus", 9090_u16),
        ("alertmanager", 9093),
        ("grafana", 3000),
    ]
    .map(|(name, usual)| {
        let written = root.get(name).and_then(|section| section.get("port"));
        let port = match written {
            Some(node) => text(Some(node), reader).and_then(|text| text.parse().ok()),
            None => Some(usual),
        };
        (name, port, written.map_or(0, |node| node.line))
    });
    for (at, (name, port, line)) in all.iter().enumerate() {
        let Some((other, _, other_line)) = all[..at]
            .iter()
            .find(|(_, other, _)| port.is_some() && port == other)
        else {
            continue;
        };
        let root = Path::root();
        // Told where somebody wrote it, or both hold by default and nobody can be told anything.
        let (name, other, line) = if *line > 0 {
            (name, other, line)
        } else {
            (other, name, other_line)
        };
        let sentence = format!("{other} listens on this port as well; both run on one machine");
        let section = root.key(name);
        reader.problem(
            *line,
            &section.key("port"),
            sentence,
            Some("Give each its own.".to_owned()),
        );
    }
}

fn retry(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(retry) = root.get("ssh").and_then(|ssh| ssh.get("retry")) else {
        return;
    };
    let seconds = |key: &str, usual: u64| match text(retry.get(key), reader) {
        Some(text) => text
            .parse::<u64>()
            .ok()
            .map(|seconds| seconds.saturating_mul(1_000))
            .or_else(|| {
                let read: PromDuration = text.parse().ok()?;
                u64::try_from(read.duration().as_millis()).ok()
            }),
        None => Some(usual),
    };
    let (base, most) = (seconds("backoff_base", 2_000), seconds("backoff_max", 30_000));
    if let (Some(base), Some(most)) = (base, most)
        && base > most
    {
        let key = if is_written(retry, "backoff_max") {
            "backoff_max"
        } else {
            "backoff_base"
        };
        let line = retry.entry(key).map_or(retry.line, |entry| entry.line);
        let root = Path::root();
        let ssh = root.key("ssh");
        let retry = ssh.key("retry");
        let sentence = "the first wait is longer than the longest one".to_owned();
        let hint = "Let backoff_base be at most backoff_max.".to_owned();
        reader.problem(line, &retry.key(key), sentence, Some(hint));
    }
}

fn server(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(server) = root.get("server") else { return };
    if is_written(server, "ca_file") && is_written(server, "pin") {
        let line = server.entry("pin").map_or(server.line, |entry| entry.line);
        let root = Path::root();
        let path = root.key("server");
        let sentence = "a CA and a pin are named; one of them is believed".to_owned();
        reader.problem(
            line,
            &path.key("pin"),
            sentence,
            Some("Keep one of them.".to_owned()),
        );
    }
}

fn remote_write(root: &Node<'_>, reader: &mut Reader<'_>) {
    let Some(list) = root
        .get("prometheus")
        .and_then(|prometheus| prometheus.get("remote_write"))
    else {
        return;
    };
    let root = Path::root();
    let prometheus = root.key("prometheus");
    let path = prometheus.key("remote_write");
    for (at, one) in list.items().iter().enumerate() {
        let path = path.index(at);
        let line = |key: &str| one.entry(key).map_or(one.line, |entry| entry.line);
        if is_written(one, "username") != is_written(one, "password_file") {
            let (there, missing) = if is_written(one, "username") {
                ("username", "password_file")
            } else {
                ("password_file", "username")
            };
            let sentence = format!("there is a {there}, but no {missing}");
            let hint = Some("Write both, or neither.".to_owned());
            reader.problem(line(there), &path.key(missing), sentence, hint);
        }
        if is_written(one, "username") && is_written(one, "bearer_token_file") {
            let sentence = "there is a user and a token; Prometheus sends one of them".to_owned();
            let hint = Some("Keep one of them.".to_owned());
            reader.problem(
                line("bearer_token_file"),
                &path.key("bearer_token_file"),
                sentence,
                hint,
            );
        }
    }
}
