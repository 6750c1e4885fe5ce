//! What an operator tells a node to do, done by the agent's own unit with the few rights it has; and what the service
//! manager does with an agent that is no use any more.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::Value;

use super::stage::{PATIENCE, Stage};
use crate::node_parts::{give_gpus, hand_out_dcgm_exporter};
use crate::site::{Site, Typing as _};

const CHECKS: &str = "/var/lib/aami/checks/checks.json";
/// The agent is never larger: 15 MB.
const LARGEST_KB: u64 = 15_000;
/// Writes a spool that is as full as it may be.
const FULL: &str = r#"awk 'BEGIN {
    for (i = 0; i < 1700; i++) summary = summary "x"
    print "{\"spool\":\"full\",\"next\":4097}"
    for (n = 1; n <= 4096; n++)
        printf "{\"type\":\"report\",\"seq\":%d,\"at\":\"2026-01-01T00:00:00.000Z\",\"what\":{\"kind\":\"findings\",\"findings\":[{\"code\":\"X\",\"subject\":\"\",\"severity\":\"info\",\"summary\":\"%s\",\"action\":\"\",\"since\":\"2026-01-01T00:00:00.000Z\"}]}}\n", n, summary
}'"#;
/// Where drop-ins of the site lie.
const DROP_IN: &str = "/etc/systemd/system/aami-agent.service.d/10-site.conf";

/// Tells the node something, waits for its end, and answers what came of it.
fn told(site: &Site, words: &[&str]) -> Result<Value> {
    let line = [&["nodes", "command", "node1"], words, &["--wait", "-o", "json"]].concat();
    let said = site.aami(&line)?;
    serde_json::from_str(&said.stdout).with_context(|| format!("{words:?}: {said:?}"))
}

/// The same, done well.
fn done(site: &Site, words: &[&str]) -> Result<Value> {
    let ended = told(site, words)?;
    ensure!(ended["status"] == "completed", "{words:?}: {ended:#}");
    Ok(ended)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// What `systemctl show` says of one property.
fn shown(node: &Node, unit: &str, property: &str) -> Result<String> {
    let said = node.sh(&format!("systemctl show --value --property={property} {unit}"))?;
    Ok(said.ok()?.trim().to_owned())
}

/// When each check ran last, by its name.
fn rounds(node: &Node) -> Result<Vec<(String, String)>> {
    let kept: Value = serde_json::from_slice(&node.read(CHECKS)?)?;
    let all = kept["checks"].as_object().context("no checks")?;
    Ok(all
        .iter()
        .map(|(name, seen)| (name.clone(), text(seen, "at").to_owned()))
        .collect())
}

#[test]
fn a_node_does_what_it_is_told_with_the_rights_of_its_unit() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &[])?;
    let site = &stage.site;
    hand_out_dcgm_exporter(site)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    give_gpus(&node)?;
    // Somebody else's exporter, under a name that AAMI knows too.
    node.sh("systemd-run --quiet --unit=stranger sleep infinity")?
        .ok()?;
    stage.enrol(&node)?;

    // All checks are run, also the one that is not due for half an hour, by the unit that runs them.
    wait_until(PATIENCE * 2, "the first round of everything", || {
        let rounds = rounds(&node)?;
        ensure!(rounds.iter().any(|(name, _)| name == "disk_smart"), "{rounds:?}");
        Ok(())
    })?;
    let before = rounds(&node)?;
    let ended = done(site, &["run-checks"])?;
    let after = rounds(&node)?;
    ensure!(after.len() >= before.len() && before.len() > 3, "{after:?}");
    for (name, at) in &before {
        let newer = after.iter().find(|(known, _)| known == name);
        ensure!(
            newer.is_some_and(|(_, now)| now > at),
            "{name} was not run: {before:?} {after:?}"
        );
        ensure!(text(&ended, "output").contains(name), "{ended:#}");
    }
    ensure!(
        text(&ended, "message").starts_with(&format!("{} checks: ", after.len())),
        "{ended:#}"
    );

    // An exporter of ours is another process afterwards; a service of somebody else and what is not there are not.
    let exporter = "aami-node-exporter.service";
    let (ours, theirs) = (
        shown(&node, exporter, "MainPID")?,
        shown(&node, "stranger", "MainPID")?,
    );
    done(site, &["restart-exporter", "node_exporter"])?;
    let now = shown(&node, exporter, "MainPID")?;
    ensure!(now != ours && now != "0", "{ours} is {now}");
    node.sh("systemctl is-active aami-node-exporter")?.ok()?;
    done(site, &["restart-exporter", "dcgm_exporter"])?;
    let foreign = told(site, &["restart-exporter", "all_smi"])?;
    ensure!(
        foreign["status"] == "failed" && foreign["code"] == "NOT_FOUND",
        "{foreign:#}"
    );
    ensure!(shown(&node, "stranger", "MainPID")? == theirs);

    // What helps to find a fault is gathered from the service manager and its log, and carries no secret.
    let ended = done(site, &["diagnose"])?;
    let gathered = text(&ended, "output");
    for part in [
        "=== agent\n",
        "aami-node-exporter.service",
        ": run_checks",
        "mounts",
        "VERSION_CODENAME=bookworm",
        "MemTotal:",
    ] {
        ensure!(gathered.contains(part), "no {part:?} in\n{gathered}");
    }
    let credential = node.read("/var/lib/aami/agent/credential")?;
    ensure!(!gathered.contains(String::from_utf8(credential)?.trim()));

    // Hardware is looked at at once.
    let ended = done(site, &["refresh-inventory"])?;
    ensure!(text(&ended, "message").contains("is what it was"), "{ended:#}");
    node.sh("rm -r /sys/bus/pci/devices/0000:11:00.0 && echo 1 > /etc/gpus")?
        .ok()?;
    let ended = done(site, &["refresh-inventory"])?;
    ensure!(
        text(&ended, "message").contains("is not what it was"),
        "{ended:#}"
    );

    // All that took no more memory than it may, and so do days alone, with as many reports as may wait and more to come.
    let peak = || -> Result<u64> {
        let of = "awk '/^VmHWM/ {print $2}' /proc/$(systemctl show --value -p MainPID aami-agent)/status";
        Ok(node.sh(of)?.ok()?.trim().parse()?)
    };
    ensure!(peak()? < LARGEST_KB, "{} kB", peak()?);
    node.sh("systemctl stop aami-agent")?.ok()?;
    node.connected(false)?;
    // Without its notes it tells everything anew.
    node.sh(&format!(
        "cd /var/lib/aami/agent/spool && {FULL} > reports.jsonl && : > memory.json"
    ))?
    .ok()?;
    node.sh("systemctl start aami-agent")?.ok()?;
    wait_until(PATIENCE, "the spool overflows", || {
        let spool = node.read("/var/lib/aami/agent/spool/reports.jsonl")?;
        let spool = String::from_utf8_lossy(&spool);
        ensure!(
            spool.contains("\"kind\":\"lost\"") && spool.len() > 5_000_000,
            "{spool:.300}"
        );
        Ok(())
    })?;
    ensure!(peak()? < LARGEST_KB, "{} kB", peak()?);
    Ok(())
}

#[test]
fn an_agent_that_stands_still_is_started_anew_and_one_that_does_not_stay_is_no_success() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &[])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    stage.enrol(&node)?;
    let drop_in = |text: &str| -> Result<()> {
        node.write(DROP_IN, format!("[Service]\n{text}").as_bytes(), 0o644)?;
        node.sh("systemctl daemon-reload")?.ok().map(drop)
    };

    // Given a service manager that waits for three seconds only, the agent lives on, for it says that it does.
    drop_in("WatchdogSec=3\n")?;
    node.sh("systemctl restart aami-agent")?.ok()?;
    stage.until_connected(&node)?;
    let pid = shown(&node, "aami-agent", "MainPID")?;
    let begun = Instant::now();
    wait_until(PATIENCE, "it is older than it could be without a word", || {
        ensure!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
        Ok(())
    })?;
    let restarts = shown(&node, "aami-agent", "NRestarts")?;
    ensure!(
        restarts == "0" && shown(&node, "aami-agent", "MainPID")? == pid,
        "{restarts} restarts\n{}",
        node.journal("aami-agent")?
    );

    // When it stands still, then it is another one soon, and that is connected.
    node.sh("systemctl kill --signal=STOP aami-agent")?.ok()?;
    wait_until(Duration::from_secs(30), "it is started anew", || {
        let (restarts, now) = (
            shown(&node, "aami-agent", "NRestarts")?,
            shown(&node, "aami-agent", "MainPID")?,
        );
        ensure!(
            restarts == "1" && now != pid && now != "0",
            "{restarts} restarts, {now}"
        );
        Ok(())
    })?;
    wait_until(PATIENCE, "the new one is connected", || {
        let said = node.sh("curl -sf http://127.0.0.1:9105/metrics | grep '^aami_agent_connected '")?;
        ensure!(said.stdout.trim() == "aami_agent_connected 1", "{}", said.said());
        Ok(())
    })?;
    stage.until_connected(&node)?;

    // An install whose agent comes up and ends at once says so, and where to look.
    drop_in(
        "Restart=no\nNotifyAccess=all\nExecStart=\nExecStart=/bin/sh -c 'systemd-notify --ready; sleep 1; exit 3'\n",
    )?;
    node.sh("systemctl stop aami-agent")?.ok()?;
    let said = node.types_in_vain("aami-agent bootstrap", 1, "UNIT_FAILED")?;
    ensure!(
        said.all().contains("journalctl -u aami-agent.service"),
        "{said:?}"
    );
    // Without that it is one again.
    node.sh(&format!("rm {DROP_IN} && systemctl daemon-reload"))?
        .ok()?;
    let said = node.types_well("aami-agent bootstrap")?.all();
    ensure!(said.contains("aami-agent.service is active"), "{said}");
    stage.until_connected(&node)
}
