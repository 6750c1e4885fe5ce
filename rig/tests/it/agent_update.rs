//! The agent of a node is replaced from afar: by a signed release and no other, tried, and taken back where it does not
//! come up; by one command, and by the rollout of a group. On a node with a real systemd.

pub(crate) mod releases;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};

use crate::site::{Site, Typing as _, is_as_before};
use releases::{Flaw, Shelf};

/// How long an update may take: its trial alone is given up after 100 seconds.
const PATIENCE: Duration = Duration::from_secs(240);
/// Where a new agent lies while it is tried, and what lets the unit run it.
const TRIAL: &str = "/opt/aami/aami-agent-trial";
const DROP_IN: &str = "/etc/systemd/system/aami-agent.service.d";

/// A control plane with its releases, and a node that is connected to it.
pub(crate) fn stage(net: &Net) -> Result<(Site, Shelf, Node)> {
    let site = Site::start(net)?;
    let shelf = Shelf::fill(&site)?;
    let node = Node::boot(net, Release::Bookworm, "gpu-01")?;
    let made = site.aami(&["groups", "create", "racks"])?;
    ensure!(made.code == 0, "{made:?}");
    Ok((site, shelf, node))
}

pub(crate) fn enrol(site: &Site, node: &Node) -> Result<()> {
    let token = site.token(&["--name", "rack", "--group", "racks"])?;
    node.types_well(&token.one_line)?;
    runs(site, node, env!("CARGO_PKG_VERSION"))
}

/// Waits until the control plane hears an agent of this version, which is the one that is installed.
pub(crate) fn runs(site: &Site, node: &Node, version: &str) -> Result<()> {
    wait_until(
        Duration::from_secs(60),
        &format!("{version} is connected"),
        || {
            let known = site.node("gpu-01")?;
            ensure!(
                known["connected"] == true && known["agent_version"] == version,
                "{known:#}"
            );
            Ok(())
        },
    )?;
    let said = node.types_well("aami-agent version && systemctl show --value -p ExecStart aami-agent")?;
    let program = format!("/opt/aami/aami-agent-{version}/aami-agent");
    ensure!(
        said.stdout.contains(&format!("aami-agent {version} ")) && said.stdout.contains(&program),
        "{said:?}"
    );
    node.types_well(&format!("! test -e {TRIAL} && ! test -e {DROP_IN}"))?;
    Ok(())
}

/// Tells the node to update itself and waits for the end; what it said.
pub(crate) fn update(site: &Site, version: &str) -> Result<(i32, String)> {
    let said = site.aami(&[
        "nodes",
        "command",
        "gpu-01",
        "update-agent",
        version,
        "--timeout",
        "5m",
        "--wait",
    ])?;
    Ok((said.code, said.all()))
}

pub(crate) fn fails(site: &Site, node: &Node, version: &str, code: &str) -> Result<String> {
    let (exit, _) = update(site, version)?;
    let last = site.get(&format!("/api/v1/nodes/{}/commands", id(site)?))?;
    let last = &last["commands"][0];
    ensure!(
        exit == 1 && last["status"] == "failed" && last["code"] == code,
        "{version}: exit {exit}, {last:#}\n{}",
        node.journal("aami-agent-update")?
    );
    Ok(last["message"].as_str().unwrap_or_default().to_owned())
}

fn id(site: &Site) -> Result<String> {
    let known = site.node("gpu-01")?;
    Ok(known["id"].as_str().context("no id")?.to_owned())
}

#[test]
fn a_newer_agent_takes_the_place_and_whatever_is_not_ours_or_does_not_come_up_does_not() -> Result<()> {
    let net = Net::new()?;
    let (site, shelf, node) = stage(&net)?;
    let before = node.picture()?;
    enrol(&site, &node)?;
    let own = env!("CARGO_PKG_VERSION");

    // What is signed by somebody else, changed after it was signed, or under another name, changes nothing.
    for (version, flaw, code) in [
        ("0.9.1", Flaw::SignedByAnother, "SIGNATURE_INVALID"),
        ("0.9.2", Flaw::Unsigned, "SIGNATURE_MISSING"),
        ("0.9.3", Flaw::ChangedAfterwards, "CHECKSUM_MISMATCH"),
        ("0.9.4", Flaw::OtherVersion, "RELEASE_MISMATCH"),
        ("0.9.5", Flaw::ListChanged, "SIGNATURE_INVALID"),
        ("0.9.6", Flaw::Absent, "RELEASE_MISSING"),
    ] {
        shelf.place(version, flaw)?;
        fails(&site, &node, version, code)?;
        runs(&site, &node, own)?;
    }

    // A newer one that is ours takes the place, and says itself that it does.
    shelf.place("0.9.7", Flaw::None)?;
    let (exit, said) = update(&site, "0.9.7")?;
    ensure!(
        exit == 0 && said.contains(&format!("0.9.7 runs in the place of {own}")),
        "{said}\n{}",
        node.journal("aami-agent-update")?
    );
    runs(&site, &node, "0.9.7")?;
    // It is installed like any other: nothing is to be mended.
    node.types_well("aami-agent status")?;
    // The same again is no work, and one that is older is refused.
    let (exit, said) = update(&site, "0.9.7")?;
    ensure!(exit == 0 && said.contains("is what runs"), "{said}");
    shelf.place(own, Flaw::None)?;
    fails(&site, &node, own, "UPDATE_DOWNGRADE")?;

    // One that does not run at all, and one that never connects, are taken back.
    shelf.place("0.9.8", Flaw::NotOurProgram)?;
    let why = fails(&site, &node, "0.9.8", "UPDATE_ROLLED_BACK")?;
    ensure!(why.contains("does not run here"), "{why}");
    shelf.place("0.9.9", Flaw::NeverConnects)?;
    let why = fails(&site, &node, "0.9.9", "UPDATE_ROLLED_BACK")?;
    ensure!(why.contains("was not acknowledged"), "{why}");
    runs(&site, &node, "0.9.7")?;
    node.types_well("aami-agent status")?;
    let known = site.node("gpu-01")?;
    ensure!(known["status"] == "online", "{known:#}");

    // Pinned to the older one, the group goes back to it.
    let said = site.aami(&[
        "agents",
        "update",
        "racks",
        "--version",
        own,
        "--pinned",
        "--no-soak",
    ])?;
    ensure!(said.code == 0, "{said:?}");
    wait_until(PATIENCE, "the group is back", || {
        let view = site.get("/api/v1/groups/racks/rollout")?;
        ensure!(
            view["status"] == "done" && view["nodes"]["updated"] == 1,
            "{view:#}"
        );
        Ok(())
    })
    .with_context(|| node.journal("aami-agent-update").unwrap_or_default())?;
    runs(&site, &node, own)?;

    // What ran before stays as the way back, and nothing else does.
    let kept = format!("aami-agent-{own} aami-agent-0.9.7");
    node.types_well(&format!(
        "cd /opt/aami && test \"$(echo aami-agent-*)\" = '{kept}'"
    ))?;

    // And all of it goes with the node.
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "an uninstall")
}

#[test]
fn an_update_that_is_killed_in_the_middle_goes_on_and_a_rollout_stops_by_itself() -> Result<()> {
    let net = Net::new()?;
    let (site, shelf, node) = stage(&net)?;
    enrol(&site, &node)?;
    let own = env!("CARGO_PKG_VERSION");

    // Given a good release, whose updater is killed as soon as it has begun each of its phases
    shelf.place("0.9.7", Flaw::None)?;
    let script = "for phase in fetching trial settling; do \
                  until grep -qs \"\\\"phase\\\":\\\"$phase\\\"\" /var/lib/aami/agent/update/journal.json; do \
                  test -s /var/lib/aami/agent/update/outcome.json && break; done; \
                  systemctl kill -s KILL aami-agent-update && echo killed $phase; done > /root/kills 2>&1";
    node.write("/root/kill.sh", script.as_bytes(), 0o755)?;
    node.types_well("systemd-run --quiet --unit=killer sh /root/kill.sh")?;
    let (exit, said) = update(&site, "0.9.7")?;
    let kills = node.types_well("cat /root/kills")?.stdout;
    ensure!(
        exit == 0,
        "{said}\n{kills}\n{}",
        node.journal("aami-agent-update")?
    );
    ensure!(kills.contains("killed trial"), "{kills}");
    runs(&site, &node, "0.9.7")?;

    // when its group is to have one that never connects, then it is tried once, taken back, and the rollout halts.
    shelf.place("0.9.9", Flaw::NeverConnects)?;
    let said = site.aami(&["agents", "update", "racks", "--version", "0.9.9"])?;
    ensure!(said.code == 0, "{said:?}");
    wait_until(PATIENCE, "the rollout halts", || {
        let view = site.get("/api/v1/groups/racks/rollout")?;
        ensure!(
            view["status"] == "halted" && view["failed"][0]["code"] == "UPDATE_ROLLED_BACK",
            "{view:#}"
        );
        Ok(())
    })
    .with_context(|| node.journal("aami-agent-update").unwrap_or_default())?;
    let said = site.aami(&["agents", "show", "racks"])?;
    ensure!(
        said.code == 3 && said.stdout.contains("went back to their old agent"),
        "{said:?}"
    );
    runs(&site, &node, "0.9.7")?;
    ensure!(own != "0.9.7");
    Ok(())
}
