//! What an agent sees by itself: lines of the kernel's log, a GPU that is gone and comes back, an exporter of somebody
//! else. Each is told to the control plane, and stands in the metrics.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::Value;

use super::stage::{PATIENCE, Stage};
use crate::node_parts::{give_gpus, hand_out_dcgm_exporter, lose_gpus, metrics};
use crate::site::Typing as _;

/// Where the agent serves its own metrics.
const AGENT: u16 = 9105;
/// Where somebody else's exporter listens.
const STRANGER: u16 = 9633;

/// A log of the kernel's, in place of the machine's own, which no node is to write to: what is written there is read as
/// the kernel's word. Somebody always has it open, so that it never ends.
fn give_kernel_log(node: &Node) -> Result<()> {
    node.sh("test ! -e /dev/kmsg && mkfifo -m 600 /dev/kmsg")?.ok()?;
    node.sh("systemd-run --quiet --unit=kernel sh -c 'exec 3<>/dev/kmsg; exec sleep infinity'")?
        .ok()
        .map(drop)
}

/// The kernel writes a line.
fn kernel_says(node: &Node, number: u32, line: &str) -> Result<()> {
    let record =
        format!("up=$(cut -d. -f1 /proc/uptime); printf '3,{number},%s000000,-;{line}\\n' $up > /dev/kmsg");
    node.sh(&record)?.ok().map(drop)
}

/// A series of the agent's, by the beginning of its line.
fn series(node: &Node, name: &str) -> Result<Option<f64>> {
    let text = metrics(node, AGENT)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.and_then(|rest| rest.rsplit(' ').next()?.parse().ok()))
}

/// Waits until one has a value.
fn stands_at(node: &Node, name: &str, wanted: f64) -> Result<()> {
    wait_until(PATIENCE, &format!("{name} is {wanted}"), || {
        let found = series(node, name)?;
        ensure!(found == Some(wanted), "{found:?}");
        Ok(())
    })
}

/// The codes of a node's open findings.
fn findings(stage: &Stage<'_>) -> Result<Vec<String>> {
    let known = stage.site.node("gpu-01")?;
    let all = known["findings"].as_array().cloned().unwrap_or_default();
    let code = |one: &Value| one["code"].as_str().map(str::to_owned);
    all.iter().map(|one| code(one).context("no code")).collect()
}

#[test]
fn what_happens_to_a_node_is_seen_told_and_counted_and_over_when_it_is() -> Result<()> {
    // Given a node with two GPUs, whose group tells often how busy it is, and an exporter that is not ours
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &[])?;
    let site = &stage.site;
    hand_out_dcgm_exporter(site)?;
    site.json(&["groups", "create", "racks"])?;
    site.json(&["groups", "edit", "racks", "--resources", "10s"])?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    give_kernel_log(&node)?;
    node.write(
        "/srv/www/metrics",
        b"smartctl_version 1\nsmartctl_device 2\n",
        0o644,
    )?;
    node.sh(&format!(
        "systemd-run --quiet --unit=stranger busybox httpd -f -p 127.0.0.1:{STRANGER} -h /srv/www"
    ))?
    .ok()?;
    let token = site.token(&["--name", "rack", "--group", "racks"])?;
    node.types_well(&token.one_line)?;
    stage.until_connected(&node)?;

    // then the exporter is offered, and nobody scrapes it.
    let found = || -> Result<Vec<u64>> {
        let found = site.json(&["nodes", "found", "gpu-01"])?;
        let ports = found.as_array().context("no list")?.iter();
        Ok(ports.filter_map(|one| one["port"].as_u64()).collect())
    };
    wait_until(PATIENCE, "the exporter is offered", || {
        let found = found()?;
        ensure!(found == [u64::from(STRANGER)], "{found:?}");
        Ok(())
    })?;
    ensure!(!site.get("/api/v1/sd/prometheus")?.to_string().contains(":9633"));

    // A switch is plugged in; its counters and those of the GPUs stand at 0 before anything happens.
    node.sh(
        "cd /sys/bus/pci/devices && mkdir 0000:05:00.0 && echo 0x10de > 0000:05:00.0/vendor && \
         echo 0x068000 > 0000:05:00.0/class && systemctl restart aami-agent",
    )?
    .ok()?;
    let (xid, sxid) = (
        "aami_xid_total{code=\"79\",pci=\"0000:10:00.0\"}",
        "aami_sxid_total{code=\"12028\",pci=\"0000:05:00.0\"}",
    );
    stands_at(&node, xid, 0.0)?;
    stands_at(&node, sxid, 0.0)?;
    stands_at(&node, "aami_agent_connected", 1.0)?;

    // When a GPU and a switch complain, then both are counted with their time, and told for what they are.
    kernel_says(
        &node,
        1,
        "NVRM: Xid (PCI:0000:10:00): 79, pid=1, name=x, GPU has fallen off the bus.",
    )?;
    stands_at(&node, xid, 1.0)?;
    kernel_says(
        &node,
        2,
        "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress error",
    )?;
    stands_at(&node, sxid, 1.0)?;
    let now: f64 = node.sh("date +%s")?.ok()?.trim().parse()?;
    for (name, code) in [("xid", 79), ("sxid", 12028)] {
        let last = series(
            &node,
            &format!("aami_{name}_last_seen_timestamp_seconds{{code=\"{code}\""),
        )?;
        let last = last.with_context(|| format!("no time of the {name}"))?;
        ensure!((now - last).abs() < 120.0, "{name}: {last} at {now}");
    }
    wait_until(PATIENCE, "both are told", || {
        let events = stage.events()?.into_iter();
        let told: Vec<Value> = events
            .filter(|event| event["type"] == "node.xid")
            .map(|event| event["data"].clone())
            .collect();
        let is = |sxid: bool, code: u32, pci: &str| {
            told.iter().any(|data| {
                data["is_sxid"] == sxid
                    && data["code"] == code
                    && data["pci"] == pci
                    && data["severity"] == "critical"
                    && !data["action"].as_str().unwrap_or_default().is_empty()
            })
        };
        ensure!(
            told.len() == 2 && is(false, 79, "0000:10:00.0") && is(true, 12028, "0000:05:00.0"),
            "{told:#?}"
        );
        Ok(())
    })?;

    // When nobody wants to know of other people's exporters any more, then none is offered.
    site.json(&["groups", "edit", "racks", "--discover", "off"])?;
    wait_until(PATIENCE, "nothing is offered", || {
        let found = found()?;
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    })?;

    // When a GPU is gone, then that is wrong with the node for as long as it is.
    ensure!(findings(&stage)?.is_empty(), "{:?}", findings(&stage)?);
    lose_gpus(&node, 1)?;
    wait_until(PATIENCE, "the GPU is missed", || {
        let findings = findings(&stage)?;
        ensure!(findings == ["GPU_COUNT_CHANGED"], "{findings:?}");
        Ok(())
    })?;
    stands_at(&node, "aami_agent_gpus_usable", 1.0)?;
    lose_gpus(&node, 2)?;
    wait_until(PATIENCE, "the GPU is missed no more", || {
        let findings = findings(&stage)?;
        ensure!(findings.is_empty(), "{findings:?}");
        Ok(())
    })?;
    stands_at(&node, "aami_agent_gpus_usable", 2.0)
}
