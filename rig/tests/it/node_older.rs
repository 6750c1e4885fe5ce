//! A node that an earlier version installed is taken back whole by this one: it goes by what that version wrote down, where
//! that version put it.
//!
//! No earlier version is at hand. What this one installs is made what the first one left: its program in a folder of its own
//! version, units that name it there, and a record without what was not written down then.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};
use serde_json::Value;

use crate::site::{Site, Typing as _, is_as_before};

const RECEIPT: &str = "/var/lib/aami/install/default/node/receipt.json";
/// What the first version did not write down of an effect.
const LATER: [&str; 2] = ["inputs", "earlier"];
/// This version's program, out of the way.
const NOW: &str = "/root/aami-agent-now";

/// Gives the agent and all that names it an earlier version's place.
const MOVE: &str = "set -e; cp -L /usr/local/bin/aami-agent /root/aami-agent-now; cd /opt/aami; set -- aami-agent-*; \
     mv \"$1\" aami-agent-0.0.1; ln -sfn /opt/aami/aami-agent-0.0.1/aami-agent /usr/local/bin/aami-agent; \
     sed -i \"s|/$1/|/aami-agent-0.0.1/|g\" /etc/systemd/system/aami-*.service; systemctl daemon-reload; \
     systemctl restart aami-agent; echo \"$1\"";

/// The record of what was changed, as the first version would have written it.
fn as_written_then(node: &Node, folder: &str) -> Result<Value> {
    let text = String::from_utf8(node.read(RECEIPT)?)?.replace(folder, "aami-agent-0.0.1");
    let mut receipt: Value = serde_json::from_str(&text)?;
    ensure!(
        receipt["version"] == 1,
        "a kind of effect that the first version had not: {receipt:#}"
    );
    let effects = receipt["effects"].as_array_mut().context("no effects")?;
    let files: Vec<String> = effects
        .iter()
        .filter(|record| record["wrote"].is_array() && record["kind"] != "symlink")
        .filter_map(|record| record["path"].as_str().map(str::to_owned))
        .collect();
    let said = node.sh(&format!("sha256sum -- {}", files.join(" ")))?.ok()?;
    let sums: BTreeMap<&str, &str> = said
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, path)| (path, sum))
        .collect();
    for record in effects {
        let fields = record.as_object_mut().context("no record")?;
        fields.retain(|name, _| !LATER.contains(&name.as_str()));
        if let Some(before) = fields.get_mut("before").and_then(Value::as_object_mut) {
            before.remove("masked");
        }
        let path = fields.get("path").and_then(Value::as_str);
        if let Some(sum) = path.and_then(|path| sums.get(path)) {
            fields.insert("wrote".to_owned(), Value::from(vec![*sum]));
        }
    }
    Ok(receipt)
}

#[test]
fn what_an_earlier_version_installed_is_taken_back_whole() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    // Given a node as the first version left it,
    node.types_well(&site.token(&["--name", "rack"])?.one_line)?;
    let folder = node.sh(MOVE)?.ok()?.trim().to_owned();
    let receipt = as_written_then(&node, &folder)?;
    node.write(RECEIPT, receipt.to_string().as_bytes(), 0o600)?;
    node.sh("rm -f /var/lib/aami/install/default/node/state.json")?
        .ok()?;
    // when this version takes it back,
    let said = node.types_well(&format!("{NOW} uninstall"))?;
    // then nothing is kept as an edit of somebody's, and the machine and the control plane are as before.
    ensure!(!said.all().contains("edit kept"), "{}", said.all());
    node.sh(&format!("rm {NOW}"))?.ok()?;
    is_as_before(&node, &before, "an earlier version's node was taken back")?;
    ensure!(site.node("node1")?["status"] == "inactive");
    Ok(())
}
