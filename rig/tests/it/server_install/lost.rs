//! A server and a node whose record of changes is lost are taken back by the marks their things carry. What carries none
//! is named and stays, and nothing that is somebody else's is touched.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Picture, Release};
use serde_json::Value;

use super::stage::{INSTALL, Stage};
use crate::site::Typing as _;

/// What somebody else has in places of ours: a folder, a program, rules, a unit, an account.
const FOREIGN: &str = "mkdir -p /opt/aami/theirs /etc/aami/rules /usr/local/bin && echo theirs > /opt/aami/theirs/file && \
     echo 'groups: []' > /etc/aami/rules/theirs.yaml && cp /bin/true /usr/local/bin/node_exporter && \
     useradd --system --comment 'somebody else' theirs && \
     printf '[Service]\nUser=theirs\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
     > /etc/systemd/system/theirs.service && systemctl daemon-reload && systemctl enable --now theirs";

/// Removes everything AAMI knows of what it did.
const LOSE: &str = "rm -r /var/lib/aami/install";

/// What an uninstall said as JSON: the lists of this name, as the things their lines begin with.
fn named(said: &str, lists: &[&str]) -> Result<BTreeSet<String>> {
    let last: Value = serde_json::from_str(said.lines().last().context("nothing was said")?)?;
    ensure!(last["failed"] == serde_json::json!([]), "{last:#}");
    let lines = lists
        .iter()
        .flat_map(|list| last[*list].as_array().into_iter().flatten());
    let thing = |line: &Value| {
        line.as_str()
            .unwrap_or_default()
            .split(": ")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(lines.map(thing).collect())
}

/// What appeared since `before`, and whatever else changed.
fn since(before: &Picture, node: &Node) -> Result<(BTreeSet<String>, Vec<String>)> {
    let mut appeared = BTreeSet::new();
    let mut others = Vec::new();
    for change in before.changes_in(&node.picture()?) {
        match change
            .strip_prefix("appeared: ")
            .and_then(|rest| rest.split(" (").next())
        {
            Some("/run/aami") => {}
            Some(path) => {
                appeared.insert(path.to_owned());
            }
            None => others.push(change),
        }
    }
    Ok((appeared, others))
}

/// Exactly what was said to be left is there: each of it, and nothing new that is not named.
fn is_exactly(
    node: &Node,
    left: &BTreeSet<String>,
    appeared: &BTreeSet<String>,
    grown: &[&str],
) -> Result<()> {
    let paths: BTreeSet<&String> = left.iter().filter(|thing| thing.starts_with('/')).collect();
    let is_below = |path: &str, folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let is_told = |path: &String| {
        // What services wrote lies in their data folders, which are named; so do the parts of a tree. A folder that
        // holds something that is left has to stay with it.
        let is_grown = grown.iter().any(|folder| is_below(path, folder));
        let lies_in_one = || paths.iter().any(|left| is_below(path, left));
        let holds_one = || paths.iter().any(|left| is_below(left, path));
        paths.contains(path) || (is_grown && lies_in_one()) || holds_one()
    };
    let unnamed: Vec<&String> = appeared.iter().filter(|path| !is_told(path)).collect();
    ensure!(
        unnamed.is_empty(),
        "left without a word: {unnamed:#?}\nnamed: {left:#?}"
    );
    let script: String = (paths.iter())
        .map(|path| format!("test -e '{path}' || test -L '{path}' || echo '{path}'; "))
        .collect();
    let gone = node.sh(&script)?.stdout;
    ensure!(gone.is_empty(), "named, and not there: {gone}");
    Ok(())
}

#[test]
fn without_a_record_marks_are_gone_by_and_the_rest_is_named() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    for host in [&stage.node, &node] {
        host.sh(FOREIGN)?.ok()?;
    }
    let (server_before, node_before) = (stage.node.picture()?, node.picture()?);
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    node.types_well(&stage.one_line()?)?;
    for host in [&stage.node, &node] {
        host.sh(LOSE)?.ok()?;
    }

    // What would go is said beforehand, and by the same marks.
    let planned = node.types_well("aami-agent uninstall --dry-run")?.stdout;
    ensure!(planned.contains("aami-node-exporter.service"), "{planned}");
    let planned = stage
        .node
        .types_well("/root/aami server uninstall --dry-run")?
        .stdout;
    ensure!(planned.contains("aami-prometheus.service"), "{planned}");

    // The node goes: its units, its users and what carries our first line.
    let said = node.types_well("aami-agent uninstall --json")?.stdout;
    let left = named(&said, &["left"])?;
    let (appeared, others) = since(&node_before, &node)?;
    is_exactly(
        &node,
        &left,
        &appeared,
        &["/opt/aami", "/var/lib/aami", "/var/lib/node_exporter"],
    )?;
    only_accounts_changed(&others)?;
    ensure!(!left.is_empty() && !said.contains("theirs"), "{said}");
    // Under which id it is registered the control plane knows, by the node's own credential.
    ensure!(!said.contains("the registration with"), "{said}");
    let retired = stage
        .node
        .types_well("/root/aami nodes list --status inactive")?
        .stdout;
    ensure!(retired.contains("node1"), "{retired}");
    is_theirs_alone(&node)?;

    // So does the server; its data stays, and belongs to somebody.
    let said = stage
        .node
        .types_well("/root/aami server uninstall --json")?
        .stdout;
    let left = named(&said, &["left", "stays"])?;
    let (appeared, others) = since(&server_before, &stage.node)?;
    is_exactly(
        &stage.node,
        &left,
        &appeared,
        &["/opt/aami", "/var/lib/aami", "/etc/aami"],
    )?;
    only_accounts_changed(&others)?;
    ensure!(!said.contains("theirs"), "{said}");
    is_theirs_alone(&stage.node)?;
    ensure!(
        stage.node.sh("ls /var/lib/aami/server/store.db")?.code == 0,
        "the data is gone"
    );
    let nobodys = stage
        .node
        .sh("find /var/lib/aami /opt/aami /etc/aami -nouser -o -nogroup")?
        .ok()?;
    ensure!(nobodys.is_empty(), "it belongs to numbers of nobody: {nobodys}");

    // A server is made of what is there, and knows its node.
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    stage.all_well()?;
    stage.node.types_well("aami nodes show node1")?;
    Ok(())
}

/// Groups carry no mark and stay, named; nothing else of the machine's own is another.
fn only_accounts_changed(others: &[String]) -> Result<()> {
    let strange: Vec<&String> = others
        .iter()
        .filter(|change| {
            !["/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"]
                .iter()
                .any(|file| change.contains(file))
        })
        .collect();
    ensure!(strange.is_empty(), "{strange:#?}");
    Ok(())
}

/// No unit of ours is left, and what is theirs is as it was.
fn is_theirs_alone(node: &Node) -> Result<()> {
    let units = node.sh(
        "systemctl list-unit-files --no-legend 'aami-*'; systemctl list-units --all --no-legend 'aami-*'",
    )?;
    ensure!(units.stdout.trim().is_empty(), "{}", units.stdout);
    let theirs = node.sh(
        "systemctl is-active theirs && systemctl is-enabled theirs && cat /opt/aami/theirs/file && \
         cat /etc/aami/rules/theirs.yaml && cmp /bin/true /usr/local/bin/node_exporter && getent passwd theirs",
    )?;
    ensure!(
        theirs.code == 0
            && theirs
                .stdout
                .starts_with("active\nenabled\ntheirs\ngroups: []\ntheirs:"),
        "{theirs:?}"
    );
    Ok(())
}
