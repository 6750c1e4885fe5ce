//! Firewalls: `firewall-cmd`, `ufw`, `nft`. What is permanent stands below the root, what is only in
//! force in the memory.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::system::Answer;

/// Each line of a file; none where it is missing.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn store(path: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let stored = std::fs::write(path, text);
    assert!(
        stored.is_ok(),
        "the test's firewall at {}: {stored:?}",
        path.display()
    );
}

/// `firewall-cmd`; it runs where `memory/firewalld` is. What is bound to zones stands in `memory/firewalld.zones`, as
/// `--get-active-zones` tells it.
pub(super) fn firewalld(root: &Path, memory: &Path, args: &[&str]) -> Answer {
    let runtime = memory.join("firewalld");
    if !runtime.exists() {
        return Answer(252, String::new(), "not running\n".into());
    }
    if args.contains(&"--state") {
        return Answer::said("running\n");
    }
    if args.contains(&"--get-default-zone") {
        return Answer::said("public\n");
    }
    if args.contains(&"--get-active-zones") {
        let bound = std::fs::read_to_string(memory.join("firewalld.zones"));
        return Answer::said(bound.unwrap_or_default());
    }
    let zone = args.iter().find_map(|arg| arg.strip_prefix("--zone="));
    let zone = zone.unwrap_or("public");
    let file: PathBuf = match (args.contains(&"--permanent"), zone) {
        (true, zone) => root.join(format!("etc/firewalld/zones/{zone}.xml")),
        (false, "public") => runtime,
        (false, zone) => memory.join(format!("firewalld.{zone}")),
    };
    let mut rules = lines(&file);
    let Some((verb, rule)) = args.iter().find_map(|arg| {
        let (verb, rule) = arg.strip_prefix("--")?.split_once('-')?;
        matches!(verb, "add" | "remove" | "query").then_some((verb, rule.to_owned()))
    }) else {
        return Answer::failed(2, "Error: no option");
    };
    let there = rules.contains(&rule);
    match verb {
        "query" if there => return Answer::said("yes\n"),
        "query" => return Answer(1, "no\n".into(), String::new()),
        "add" if !there => rules.push(rule),
        "remove" => rules.retain(|known| *known != rule),
        _ => {}
    }
    rules.sort();
    store(&file, &rules);
    Answer::said("success\n")
}

/// `ufw`; its rules as `ufw show added` tells them, in `/etc/ufw/user.rules`.
pub(super) fn ufw(root: &Path, args: &[&str]) -> Answer {
    let file = root.join("etc/ufw/user.rules");
    let mut rules = lines(&file);
    let words: Vec<&str> = args.iter().filter(|arg| **arg != "--force").copied().collect();
    match words.as_slice() {
        ["status"] => {
            let enabled = lines(&root.join("etc/ufw/ufw.conf")).contains(&"ENABLED=yes".to_owned());
            Answer::said(format!(
                "Status: {}\n",
                if enabled { "active" } else { "inactive" }
            ))
        }
        ["show", "added"] => Answer::said(format!(
            "Added user rules (see 'ufw status' for running firewall):\n{}",
            rules
                .iter()
                .map(|rule| format!("ufw allow {rule}\n"))
                .collect::<String>()
        )),
        [
            "allow",
            "proto",
            "tcp",
            "from",
            source,
            "to",
            "any",
            "port",
            port,
            "comment",
            comment,
        ] => {
            rules.push(format!("{} comment '{comment}'", told(source, port)));
            store(&file, &rules);
            Answer::said("Rule added\n")
        }
        [
            "delete",
            "allow",
            "proto",
            "tcp",
            "from",
            source,
            "to",
            "any",
            "port",
            port,
        ] => {
            let rule = told(source, port);
            let known = rules.len();
            rules.retain(|one| one.split(" comment ").next() != Some(&rule));
            if rules.len() == known {
                return Answer::said("Could not delete non-existent rule\n");
            }
            store(&file, &rules);
            Answer::said("Rule deleted\n")
        }
        other => Answer::failed(1, format!("ERROR: Invalid syntax {other:?}")),
    }
}

fn told(source: &str, port: &str) -> String {
    if source == "any" {
        format!("{port}/tcp")
    } else {
        format!("from {source} to any port {port} proto tcp")
    }
}

/// `nft`: the ruleset is the JSON document `memory/nft.json`.
pub(super) fn nft(memory: &Path, args: &[&str], stdin: &[u8]) -> Answer {
    let file = memory.join("nft.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| r#"{"nftables": []}"#.to_owned());
    if args == ["--json", "list", "ruleset"] {
        return Answer::said(text);
    }
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    let script = String::from_utf8_lossy(stdin).into_owned();
    let check = args.contains(&"--check");
    for line in script
        .lines()
        .filter(|line| line.starts_with("insert ") || line.starts_with("delete "))
    {
        let changed = change(&mut document, line);
        if let Err(why) = changed {
            return Answer::failed(1, format!("/dev/stdin: Error: {why}"));
        }
    }
    if !check {
        let stored = std::fs::write(&file, document.to_string());
        assert!(stored.is_ok(), "the test's nft: {stored:?}");
    }
    Answer::done()
}

fn change(document: &mut Value, line: &str) -> Result<(), String> {
    let objects = document["nftables"].as_array_mut().ok_or("no ruleset")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [verb, "rule", family, table, chain, rest @ ..] = words.as_slice() else {
        return Err(format!("syntax error in {line:?}"));
    };
    let is_chain = |object: &Value| {
        let named = &object["chain"];
        named["family"] == *family && named["table"] == *table && named["name"] == *chain
    };
    let Some(at) = objects.iter().position(is_chain) else {
        return Err("No such file or directory".to_owned());
    };
    if *verb == "delete" {
        let handle: u64 = rest
            .last()
            .and_then(|word| word.parse().ok())
            .ok_or("no handle")?;
        objects.retain(|object| object["rule"]["handle"] != handle);
        return Ok(());
    }
    let handles = objects
        .iter()
        .filter_map(|object| object["rule"]["handle"].as_u64());
    let handle = handles.max().unwrap_or(1) + 1;
    let comment = line.split('"').nth(1).unwrap_or_default();
    let rule = json!({"rule": {"family": family, "table": table, "chain": chain, "handle": handle,
        "comment": comment, "expr": [{"match": rest.join(" ")}, {"accept": null}]}});
    objects.insert(at + 1, rule);
    Ok(())
}
