//! The three stories of a node and its people: it is installed and connects, its installation fails, it goes away.

use std::time::Instant;

use anyhow::{Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::stage::{PATIENCE, Stage, ensure_is, text};
use crate::node_parts::{give_gpus, hand_out_dcgm_exporter};
use crate::site::{Typing as _, is_as_before};

const REGISTERED: &str = "node.registered";
const STARTED: &str = "node.installation_started";
const CONNECTED: &str = "node.connected";
const DISCONNECTED: &str = "node.disconnected";
const FAILED: &str = "node.installation_failed";
const MAINTENANCE: &str = "node.maintenance_mode";
const RESUMED: &str = "node.resumed";
const DECOMMISSIONED: &str = "node.decommissioned";

fn owner() -> Value {
    json!({ "orgId": "default", "userId": null })
}

/// Somebody who reads sentences, at `/pager` of the service.
fn pager(stage: &Stage<'_>) -> Result<()> {
    let pager = json!({ "name": "pager", "url": format!("{}/pager", stage.people.url()), "allow_private": true,
        "events": ["node.*"] });
    stage.site.post("/api/v1/webhooks", &pager)?;
    Ok(())
}

/// Waits until they got exactly these sentences about a node, in this order.
fn until_read(stage: &Stage<'_>, id: &str, sentences: &[&str]) -> Result<()> {
    wait_until(PATIENCE, "the pager got the sentences", || {
        let got = stage.told_at("/pager", id)?;
        let read: Vec<String> = got
            .iter()
            .map(|got| text(&got.body, "text"))
            .collect::<Result<_>>()?;
        ensure!(read == sentences, "{read:#?}");
        Ok(())
    })
}

#[test]
fn a_node_is_installed_connects_and_crashes_and_its_people_are_told_each_time() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::impatient(&net, &host)?;
    hand_out_dcgm_exporter(&stage.site)?;
    pager(&stage)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-worker-01")?;
    give_gpus(&node)?;

    // A person registers the node, and gets a script for it.
    let id = stage.declare(&node)?;
    ensure!(stage.site.node(node.name())?["status"] == "pending");
    stage.hand_script(&node, &id)?;
    let members = json!({ "nodeId": id, "nodeName": "gpu-worker-01", "owner": owner() });
    let with = |more: Value| {
        let mut data = members.clone();
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        data
    };
    let told = stage.until_told(&id, &[REGISTERED])?;
    ensure_is(&told[0], REGISTERED, &with(json!({ "status": "pending" })))?;

    // They run it there; the node is installed, connects, and is online.
    let begun = Instant::now();
    node.types_well("bash /root/install.sh")?;
    let told = stage.until_told(&id, &[REGISTERED, STARTED, CONNECTED])?;
    println!(
        "from the script to the message that it is online: {:?}",
        begun.elapsed()
    );
    ensure_is(&told[1], STARTED, &with(json!({ "status": "installing" })))?;
    let gpu = json!({ "model": "NVIDIA H100 80GB HBM3", "memoryTotal": 81_559_u64 * 1024 * 1024 });
    let connected =
        with(json!({ "status": "online", "ipAddress": node.address(), "gpuDevices": [gpu, gpu] }));
    ensure_is(&told[2], CONNECTED, &connected)?;
    stage.until_connected(&node)?;

    // Its agent crashes; after the timeout it counts as gone, and people are told since when.
    node.sh("systemctl kill --signal=KILL aami-agent")?.ok()?;
    let told = stage.until_told(&id, &[REGISTERED, STARTED, CONNECTED, DISCONNECTED])?;
    let last_seen = text(&told[3].body["data"], "lastSeenAt")?;
    let gone = with(
        json!({ "status": "offline", "disconnectReason": "heartbeat_timeout", "lastSeenAt": last_seen }),
    );
    ensure_is(&told[3], DISCONNECTED, &gone)?;
    ensure!(last_seen < text(&told[3].body, "timestamp")?, "{}", told[3].body);
    ensure!(last_seen > text(&told[2].body, "timestamp")?, "{}", told[3].body);

    // Its service manager starts it again.
    let told = stage.until_told(&id, &[REGISTERED, STARTED, CONNECTED, DISCONNECTED, CONNECTED])?;
    ensure_is(&told[4], CONNECTED, &connected)?;

    // An operator takes it out until a day to come, brings it back, and retires it.
    let until = "2999-01-01T00:00:00.000Z";
    let path = |verb: &str| format!("/api/v1/nodes/{id}/{verb}");
    let out = json!({ "reason": "new DIMM", "until": until });
    stage.site.post(&path("maintenance"), &out)?;
    stage.site.post(&path("resume"), &json!({}))?;
    stage
        .site
        .post(&path("decommission"), &json!({ "reason": "sold" }))?;
    let all = [
        REGISTERED,
        STARTED,
        CONNECTED,
        DISCONNECTED,
        CONNECTED,
        MAINTENANCE,
        RESUMED,
        DECOMMISSIONED,
    ];
    let told = stage.until_told(&id, &all)?;
    let out = with(json!({ "status": "maintenance", "reason": "new DIMM", "until": until }));
    ensure_is(&told[5], MAINTENANCE, &out)?;
    ensure_is(&told[6], RESUMED, &with(json!({ "status": "online" })))?;
    ensure_is(&told[7], DECOMMISSIONED, &with(json!({ "status": "inactive" })))?;

    // Whoever reads sentences got these, in the same order.
    let sentences = [
        "Node gpu-worker-01 was registered",
        "Installation of node gpu-worker-01 started",
        "Node gpu-worker-01 is now online",
        "Node gpu-worker-01 went offline",
        "Node gpu-worker-01 is now online",
        "Node gpu-worker-01 is in maintenance: new DIMM",
        "Node gpu-worker-01 is back from maintenance",
        "Node gpu-worker-01 was decommissioned",
    ];
    until_read(&stage, &id, &sentences)
}

#[test]
fn a_download_that_does_not_fit_its_checksum_is_refused_and_its_people_are_told_why() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::impatient(&net, &host)?;
    pager(&stage)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-worker-01")?;
    let id = stage.declare(&node)?;
    let made = stage.hand_script(&node, &id)?;
    let before = node.picture()?;
    // Given a download that somebody changed after its checksum was known,
    let served = stage.site.agent();
    let mut bytes = std::fs::read(&served)?;
    bytes.extend(b"and more");
    std::fs::write(&served, &bytes)?;
    let actual: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = text(&made, "checksum")?.replace("sha256:", "");

    // when the script runs,
    let said = node.types("bash /root/install.sh")?;

    // then it refuses, nothing is left, and people are told with both sums.
    ensure!(
        said.code != 0 && said.all().contains("CHECKSUM_MISMATCH"),
        "{said:?}"
    );
    is_as_before(&node, &before, "a refused download")?;
    let told = stage.until_told(&id, &[REGISTERED, STARTED, FAILED])?;
    let error = json!({ "code": "CHECKSUM_MISMATCH", "message": "Downloaded binary checksum does not match",
        "details": { "expected": expected, "actual": actual } });
    let failed = json!({ "nodeId": id, "nodeName": "gpu-worker-01", "error": error, "owner": owner() });
    ensure_is(&told[2], FAILED, &failed)?;
    let sentences = [
        "Node gpu-worker-01 was registered",
        "Installation of node gpu-worker-01 started",
        "Node installation failed: Checksum mismatch",
    ];
    until_read(&stage, &id, &sentences)?;
    let known = stage.site.node(node.name())?;
    ensure!(known["status"] == "error", "{known:#}");
    Ok(())
}
