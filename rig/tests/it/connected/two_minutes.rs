//! How long a node may be silent where nobody says otherwise: two minutes, waited for in full on real nodes, so no part
//! of `make test`.

use std::time::Duration;

use aami_model::Timestamp;
use anyhow::{Context as _, Result, ensure};
use rig::{Got, Net, Node, Release, wait_until};
use serde_json::json;

use super::stage::{Stage, ensure_is, text};

/// What is usual (`heartbeat_timeout`).
const USUAL: Duration = Duration::from_secs(120);
/// How much later it may be found out at most: agents are looked at every few seconds, on a machine that is busy.
const LATER: Duration = Duration::from_secs(15);
/// How long an agent may have said nothing before it fell silent (`heartbeat_seconds`).
const BETWEEN: Duration = Duration::from_secs(30);
/// How long a node is expected to be gone at most before it counts as stuck.
const STAY: Duration = Duration::from_secs(3600);
/// How long an agent may take to come back: it pauses between attempts.
const RETURN: Duration = Duration::from_secs(90);

const DISCONNECTED: &str = "node.disconnected";
const CONNECTED: &str = "node.connected";

fn time(value: &serde_json::Value, member: &str) -> Result<Timestamp> {
    text(value, member)?.parse().context("no time")
}

/// The events of these two types that the service was told of about a node.
fn told(stage: &Stage<'_>, id: &str) -> Result<Vec<Got>> {
    let told = stage.told(id)?.into_iter();
    Ok(told
        .filter(|got| [DISCONNECTED, CONNECTED].contains(&super::stage::kind(got)))
        .collect())
}

#[test]
fn two_minutes_of_silence_are_told_with_why_since_when_and_until_when_and_so_is_the_return() -> Result<()> {
    // Given nodes of a control plane to which nobody said how long they may be silent,
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &[])?;
    let stopped = Node::boot(&net, Release::Bookworm, "stopped")?;
    // Its service manager would start the agent anew before that, and nobody would be told of anything.
    stopped.write(
        "/etc/systemd/system/aami-agent.service.d/unwatched.conf",
        b"[Service]\nWatchdogSec=0\n",
        0o644,
    )?;
    let cut = Node::boot(&net, Release::Bookworm, "cut")?;
    let quiet = [(&stopped, stage.enrol(&stopped)?), (&cut, stage.enrol(&cut)?)];

    // when the agent of one stands still, and of the other the cable is pulled, neither of which closes a socket,
    let agent = |signal: &str| {
        stopped
            .sh(&format!("systemctl kill --signal={signal} aami-agent"))?
            .ok()
    };
    agent("STOP")?;
    cut.connected(false)?;
    let since = Timestamp::from_millis(i64::try_from(
        std::time::UNIX_EPOCH
            .elapsed()
            .context("a clock of this century")?
            .as_millis(),
    )?);

    // then each is offline two minutes after it was last heard, not before,
    for (node, id) in &quiet {
        let known = wait_until(USUAL + LATER, &format!("{} is offline", node.name()), || {
            let known = stage.site.node(node.name())?;
            ensure!(known["status"] == "offline", "{known}");
            Ok(known)
        })?;
        let (gone, seen) = (time(&known, "status_since")?, time(&known, "last_seen")?);
        ensure!(
            seen <= since.plus(LATER) && seen.plus(BETWEEN + LATER) >= since,
            "last seen at {seen}, silent since {since}"
        );
        let silent = gone.since(seen);
        ensure!(
            (USUAL..=USUAL + LATER).contains(&silent),
            "offline after {silent:?}: {known}"
        );
        // which says why, and until when it is expected to be back;
        let reason = text(&known, "status_reason")?;
        ensure!(reason == "no heartbeat for 120 s", "{reason}");
        ensure!(
            time(&known, "expected_until")? == gone.plus(STAY) && known["stuck"] != true,
            "{known}"
        );
        // and the service is told of it, once.
        let told = wait_until(LATER, "the service is told", || {
            let told = told(&stage, id)?;
            let kinds: Vec<&str> = told.iter().map(super::stage::kind).collect();
            ensure!(kinds == [CONNECTED, DISCONNECTED], "{kinds:?}");
            Ok(told)
        })?;
        let seen = text(&told[1].body["data"], "lastSeenAt")?;
        ensure_is(
            &told[1],
            DISCONNECTED,
            &json!({ "nodeId": id, "nodeName": node.name(), "status": "offline",
                "disconnectReason": "heartbeat_timeout", "lastSeenAt": seen,
                "owner": { "orgId": "default", "userId": null } }),
        )?;
        let at = time(&told[1].body, "timestamp")?;
        ensure!(at.since(seen.parse()?) >= USUAL, "{:#}", told[1].body);
    }

    // When the one goes on and the other has its cable back, then both are online again, and that is told as well.
    agent("CONT")?;
    cut.connected(true)?;
    for (node, id) in &quiet {
        wait_until(RETURN, &format!("{} is back", node.name()), || {
            let known = stage.site.node(node.name())?;
            ensure!(
                known["status"] == "online" && known["connected"] == true,
                "{known}"
            );
            ensure!(known["status_reason"].is_null(), "{known}");
            Ok(())
        })
        .with_context(|| node.journal("aami-agent").unwrap_or_default())?;
        wait_until(LATER, "the service is told", || {
            let told = told(&stage, id)?;
            let kinds: Vec<&str> = told.iter().map(super::stage::kind).collect();
            ensure!(kinds == [CONNECTED, DISCONNECTED, CONNECTED], "{kinds:?}");
            Ok(())
        })?;
    }
    Ok(())
}
