//! The control plane is killed while things happen and are told: nothing is lost, nothing is made up.
//!
//! `RIG_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Got, Net, Node, Release, wait_until};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage, text};
use crate::interrupted::seed;
use crate::site::{Site, is_full};

/// How many nodes change in one round, at most.
const MOST: usize = 60;

#[test]
fn however_often_the_control_plane_is_killed_what_happened_is_told_and_nothing_else() -> Result<()> {
    let rounds = if is_full() { 20 } else { 3 };
    let mut seed = seed()?;
    println!("RIG_SEED={seed}");
    let net = Net::new()?;
    let host = net.host("people")?;
    let mut stage = Stage::start(&net, &host, &["--heartbeat-timeout", "15s"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let id = stage.enrol(&node)?;

    for round in 0..rounds {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let until = 5 + usize::try_from((seed >> 33) % 30)?;
        // Sometimes a delivery hangs at that moment, sometimes it is answered and not yet noted.
        let hangs = (seed >> 40).is_multiple_of(2);
        if hangs {
            stage.people.hang()?;
        }
        killed_while_busy(&stage, round, until).with_context(|| format!("round {round}"))?;
        stage.site.start_again()?;
        if hangs {
            stage.people.answer_well()?;
        }
    }

    // Each event about a node that is in the history is told, in its node's order, and no other.
    let told = wait_until(PATIENCE, "everything is told", || {
        let told = in_order(&stage.people.got()?);
        for (node, ids) in happened(&stage.events()?)? {
            let of_node: Vec<&String> = told.iter().filter(|id| ids.contains(id)).collect();
            ensure!(
                of_node.iter().copied().eq(&ids),
                "{node}: happened {ids:?}, told {of_node:?}"
            );
        }
        Ok(told)
    })
    .with_context(|| stage.site.log())?;
    let events = stage.events()?.into_iter();
    let known: BTreeSet<String> = events.map(|event| text(&event, "id")).collect::<Result<_>>()?;
    let made_up: Vec<&String> = told.iter().filter(|id| !known.contains(*id)).collect();
    ensure!(made_up.is_empty(), "{made_up:?}");
    println!(
        "{} events told, {} requests",
        told.len(),
        stage.people.got()?.len()
    );

    // And the node that was connected all the while was called gone by nobody.
    stage.until_connected(&node)?;
    let history = stage.history(&id)?;
    ensure!(!history.contains(&"node.disconnected".to_owned()), "{history:?}");
    Ok(())
}

/// Declares nodes and retires them until the control plane is killed, which it is after so many changes.
fn killed_while_busy(stage: &Stage<'_>, round: usize, until: usize) -> Result<()> {
    let changes = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for n in 0..MOST {
                if change(&stage.site, &format!("r{round}-n{n}"), &changes).is_err() {
                    return;
                }
            }
        });
        wait_until(Duration::from_secs(30), "enough has changed", || {
            let made = changes.load(Ordering::SeqCst);
            ensure!(made >= until || busy.is_finished(), "{made} of {until}");
            Ok(())
        })?;
        stage.site.kill()?;
        ensure!(
            changes.load(Ordering::SeqCst) >= until,
            "nothing could be changed"
        );
        Ok(())
    })
}

fn change(site: &Site, name: &str, changes: &AtomicUsize) -> Result<()> {
    let made = site.post(
        "/api/v1/nodes",
        &json!({ "hostname": name, "ip_address": "10.77.0.200" }),
    )?;
    changes.fetch_add(1, Ordering::SeqCst);
    let id = text(&made, "id")?;
    site.post(&format!("/api/v1/nodes/{id}/decommission"), &json!({}))?;
    changes.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// The ids of the events about each node, in order.
fn happened(events: &[Value]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        if let Some(node) = text(event, "subject")?.strip_prefix("node:") {
            by_node
                .entry(node.to_owned())
                .or_default()
                .push(text(event, "id")?);
        }
    }
    Ok(by_node)
}

/// The ids of what was told, each where it came first.
fn in_order(got: &[Got]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let ids = got.iter().map(|got| got.header("webhook-id").to_owned());
    ids.filter(|id| seen.insert(id.clone())).collect()
}
