//! Checks on a real node: as whom they run, what they may, and what becomes of those that misbehave.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Place, Release, wait_until};
use serde_json::{Value, json};

use crate::node_parts::{give_gpus, hand_out_dcgm_exporter, lose_gpus, metrics, serves, serves_status};
use crate::site::{Site, Typing as _};

/// Defines a check the way an admin's program does.
fn define(site: &Site, name: &str, script: &str, more: Value) -> Result<Value> {
    let mut body = json!({ "name": name, "script": script });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    let key = std::fs::read_to_string(site.data().join("admin.key"))?;
    let answer = Place::On(site.host()).get(
        "http://127.0.0.1:8080/api/v1/checks",
        &[
            "--header",
            &format!("Authorization: Bearer {}", key.trim()),
            "--header",
            "Content-Type: application/json",
            "--data",
            &body.to_string(),
        ],
    )?;
    serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))
}

/// One round now, of all checks; what `check` came to.
pub(crate) fn round(node: &Node, check: &str) -> Result<(String, String)> {
    // The timer's own round may be at work.
    let said = wait_until(Duration::from_secs(60), "a round of our own", || {
        let said =
            node.types_well("systemctl start aami-checks.service; aami-agent checks run --now --json")?;
        ensure!(!said.all().contains("Another round"), "another round is at work");
        Ok(said.stdout)
    })?;
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if line["check"] == check {
            let text = |name: &str| line["report"][name].as_str().unwrap_or_default().to_owned();
            return Ok((text("status"), text("message")));
        }
    }
    Err(anyhow::anyhow!("{check} did not run: {said}"))
}

#[test]
fn checks_run_each_minute_as_a_user_without_rights_and_become_metrics() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    hand_out_dcgm_exporter(&site)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;

    // The starter set runs by itself, by the timer.
    for check in ["mounts", "nvme", "infiniband", "gpu_count"] {
        serves_status(&node, check, 0)?;
    }
    // A GPU less than the node enrolled with.
    lose_gpus(&node, 1)?;
    let (status, message) = round(&node, "gpu_count")?;
    ensure!(
        (status.as_str(), message.starts_with("1 of 2 GPUs")) == ("critical", true),
        "{status}: {message}"
    );
    serves_status(&node, "gpu_count", 2)?;

    // A definition of the control plane's, as the user aami-check, who can do next to nothing.
    define(
        &site,
        "whoami",
        "cat /var/lib/aami/agent/credential 2>/dev/null && exit 2\n\
         touch /var/lib/node_exporter/textfile/forged.prom 2>/dev/null && exit 2\n\
         printf '{\"status\":\"ok\",\"message\":\"%s\",\"values\":[{\"name\":\"x\",\"labels\":{\"a\":\"b\"},\"value\":7}]}' \"$(id -un)\"",
        json!({}),
    )?;
    let (status, message) = round(&node, "whoami")?;
    ensure!(
        (status.as_str(), message.as_str()) == ("ok", "aami-check"),
        "{status}: {message}"
    );
    serves(
        &node,
        &["aami_check_value{", "check=\"whoami\"", "name=\"x\"", "a=\"b\""],
        7.0,
    )?;

    // One that wants root runs only where this node says so, by its hash.
    let made = define(&site, "as_root", "id -un; exit 1", json!({ "run_as": "root" }))?;
    let (status, message) = round(&node, "as_root")?;
    ensure!(
        status == "unknown" && message.contains("agent.yaml does not list"),
        "{status}: {message}"
    );
    let sum = made["sha256"].as_str().context("no hash")?;
    let granted = format!("checks:\n  root:\n    - name: as_root\n      sha256: {sum}\n");
    node.write("/etc/aami/agent.yaml", granted.as_bytes(), 0o644)?;
    let (status, message) = round(&node, "as_root")?;
    ensure!(
        (status.as_str(), message.as_str()) == ("warning", "root"),
        "{status}: {message}"
    );

    // One that hangs, forks away, floods or lies harms no other.
    define(
        &site,
        "hangs",
        "trap '' TERM; sleep 4321 & sleep 4321",
        json!({ "timeout_seconds": 2 }),
    )?;
    define(&site, "floods", "yes", json!({ "timeout_seconds": 5 }))?;
    define(
        &site,
        "lies",
        "printf '{\"status\":\"ok\",\"values\":{\"a\\\\n# TYPE x\":1}}'",
        json!({}),
    )?;
    for (check, word) in [
        ("hangs", "did not end"),
        ("floods", ""),
        ("lies", "no name of a value"),
    ] {
        let (status, message) = round(&node, check)?;
        ensure!(
            status == "unknown" && message.contains(word),
            "{check}: {status}: {message}"
        );
    }
    ensure!(
        node.sh("pgrep -f 'sleep 432[1]'")?.stdout.is_empty(),
        "what hung still runs"
    );
    let text = metrics(&node, 9100)?;
    ensure!(text.contains("node_textfile_scrape_error 0"), "{text:.2000}");
    serves_status(&node, "whoami", 0)?;

    // The unit has no more rights than it needs, and a time to end.
    let shown = node
        .sh("systemctl show aami-checks.service -p NoNewPrivileges -p ProtectSystem -p TimeoutStartUSec")?
        .ok()?;
    for line in [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "TimeoutStartUSec=5min 30s",
    ] {
        ensure!(shown.contains(line), "{line} is not in {shown}");
    }
    Ok(())
}
