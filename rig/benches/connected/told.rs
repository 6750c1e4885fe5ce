//! From a script at a node's terminal to a message at a service: how often it comes to that, and how soon.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::json;

use crate::row;
use crate::site::Typing as _;
use crate::stage::{PATIENCE, Stage, kind, text};

/// How many nodes are installed.
const NODES: usize = 12;
const CONNECT: Duration = Duration::from_secs(60);
const LATENCY_MS: u64 = 500;
/// What 99.9 % leave of a day.
const A_DAYS_ALLOWANCE: Duration = Duration::from_secs(86);

pub(crate) fn measure(net: &Net) -> Result<()> {
    let host = net.host("people")?;
    let mut stage = Stage::start(net, &host, &[])?;
    let mut connected = Vec::new();
    let mut returned = Vec::new();
    let mut outage = 0..0;
    for number in 0..NODES {
        let node = Node::boot(net, Release::ALL[number % 3], &format!("told-{number}"))?;
        let id = stage.declare(&node)?;
        stage.hand_script(&node, &id)?;
        let begun = Instant::now();
        if node.types("bash /root/install.sh")?.code == 0 && is_told(&stage, &id).is_ok() {
            connected.push(begun.elapsed());
        }
        // Its agent is killed; how long until it is connected again?
        let pid = node
            .sh("systemctl show --value --property=MainPID aami-agent")?
            .ok()?;
        let begun = Instant::now();
        node.sh("systemctl kill --signal=KILL aami-agent")?.ok()?;
        wait_until(PATIENCE, "another agent is connected", || {
            let said = node.sh("systemctl show --value --property=MainPID aami-agent; \
                 curl -sf http://127.0.0.1:9105/metrics | grep '^aami_agent_connected '")?;
            let is_new = !said.stdout.starts_with(pid.trim());
            ensure!(
                is_new && said.stdout.contains("aami_agent_connected 1"),
                "{}",
                said.said()
            );
            Ok(())
        })?;
        returned.push(begun.elapsed());
        // In the middle of it all the service is away for a while, and the control plane loses its power.
        if number == NODES / 2 {
            outage.start = now()?;
            stage.people.down()?;
            let body = json!({ "hostname": "meanwhile", "ip_address": node.address() });
            stage.site.post("/api/v1/nodes", &body)?;
            stage.site.kill_and_start_again()?;
            stage.people.up()?;
            outage.end = now()?;
        }
        node.stop()?;
    }
    let worst = |all: &[Duration]| all.iter().max().copied().context("none");
    row(
        "installations that succeed, from the script to the message",
        &format!("{} of {NODES}", connected.len()),
        "over 95 %",
        connected.len() * 100 > NODES * 95,
    );
    connected.sort();
    let median = connected.get(connected.len() / 2).context("none")?;
    let slowest = worst(&connected)?;
    row(
        "from the script to the message that the node is online",
        &format!("{median:.1?} median, {slowest:.1?} at most"),
        "under 60 s",
        slowest < CONNECT,
    );
    let back = worst(&returned)?;
    row(
        "from a killed agent to a connected one",
        &format!("{back:.1?} at most"),
        "99.9 % of a day: under 86 s",
        back < A_DAYS_ALLOWANCE,
    );
    deliveries(&stage, &outage)
}

fn now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}

/// Waits until the service was told that a node is online.
fn is_told(stage: &Stage<'_>, id: &str) -> Result<()> {
    wait_until(CONNECT, "the service is told", || {
        let told = stage.told(id)?;
        ensure!(
            told.iter().any(|got| kind(got) == "node.connected"),
            "{}",
            told.len()
        );
        Ok(())
    })
}

/// How many of the events about nodes arrived, and how soon each that was not held up by an outage did.
fn deliveries(stage: &Stage<'_>, outage: &Range<u64>) -> Result<()> {
    let happened = || -> Result<BTreeSet<String>> {
        let events = stage.events()?.into_iter();
        let of_nodes =
            events.filter(|event| text(event, "subject").is_ok_and(|text| text.starts_with("node:")));
        of_nodes.map(|event| text(&event, "id")).collect()
    };
    let arrived = || -> Result<BTreeSet<String>> {
        let got = stage.people.got()?.into_iter();
        Ok(got.map(|got| got.header("webhook-id").to_owned()).collect())
    };
    let _ = wait_until(PATIENCE, "all have arrived", || {
        ensure!(happened()?.is_subset(&arrived()?));
        Ok(())
    });
    let (happened, arrived) = (happened()?, arrived()?);
    let told = happened.intersection(&arrived).count();
    row(
        "events about nodes that arrive, over an outage of the service and a killed control plane",
        &format!("{told} of {}", happened.len()),
        "over 99 %",
        told * 100 > happened.len() * 99,
    );
    let mut latencies = Vec::new();
    let mut seen = BTreeSet::new();
    for got in stage.people.got()? {
        let at: u64 = millis(&text(&got.body, "timestamp")?)?;
        if seen.insert(got.header("webhook-id").to_owned()) && !outage.contains(&at) {
            latencies.push(got.at.saturating_sub(at));
        }
    }
    latencies.sort_unstable();
    let at = |share: usize| latencies.get((latencies.len() * share / 100).min(latencies.len() - 1));
    let (median, p99) = (at(50).context("none")?, at(99).context("none")?);
    row(
        "from an event to the service",
        &format!("{median} ms median, {p99} ms p99, of {}", latencies.len()),
        "p99 under 500 ms",
        *p99 < LATENCY_MS,
    );
    Ok(())
}

/// Milliseconds since 1970 of `2025-12-11T12:00:00.000Z`.
fn millis(text: &str) -> Result<u64> {
    let number = |range: Range<usize>| -> Result<i64> {
        let part = text.get(range).with_context(|| format!("{text} is no time"))?;
        Ok(part.parse()?)
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Days since 1970 in the calendar that begins in March, so that the leap day is a year's last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    Ok(u64::try_from(seconds * 1000 + number(20..23)?)?)
}
