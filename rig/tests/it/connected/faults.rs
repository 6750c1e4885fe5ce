//! What happens to connections between real machines: somebody stands still, a cable is pulled, a disk is copied, a
//! node is retired, nothing is encrypted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Packed, Release, wait_until};

use super::stage::{PATIENCE, Stage, TIMEOUT};
use crate::site::{ARCH, Typing as _, is_full};

const DISCONNECTED: &str = "node.disconnected";

#[test]
fn whoever_stands_still_is_offline_until_it_moves_but_a_control_plane_that_stood_still_blames_nobody()
-> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::impatient(&net, &host)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let id = stage.enrol(&node)?;

    // An agent that stands still keeps its socket, and is gone all the same, until it goes on.
    let agent = |signal: &str| {
        node.sh(&format!("systemctl kill --signal={signal} aami-agent"))?
            .ok()
    };
    agent("STOP")?;
    stage.until_status(&node, "offline")?;
    agent("CONT")?;
    stage.until_connected(&node)?;

    // A cable that is pulled closes no socket on either side.
    node.connected(false)?;
    stage.until_status(&node, "offline")?;
    node.connected(true)?;
    stage.until_connected(&node)?;

    // Each of the two was told once, and each return.
    let statuses = |events: &[String]| -> Vec<String> {
        let of_status = |kind: &&String| *kind == DISCONNECTED || *kind == "node.connected";
        events.iter().filter(of_status).cloned().collect()
    };
    let connected = "node.connected";
    let expected = [connected, DISCONNECTED, connected, DISCONNECTED, connected];
    ensure!(
        statuses(&stage.history(&id)?) == expected,
        "{:?}",
        stage.history(&id)?
    );

    // The control plane stands still for longer than any node may be silent.
    let pause = if is_full() {
        Duration::from_secs(30)
    } else {
        TIMEOUT * 2
    };
    let begun = Instant::now();
    stage.site.stands_still(true)?;
    wait_until(pause * 2, "the control plane stood still for long enough", || {
        ensure!(begun.elapsed() >= pause, "{:?}", begun.elapsed());
        Ok(())
    })?;
    stage.site.stands_still(false)?;
    // Whoever would be blamed is blamed within a timeout.
    let begun = Instant::now();
    wait_until(PATIENCE, "the node is heard for a whole timeout", || {
        let known = stage.site.node("node1")?;
        ensure!(known["status"] == "online", "{known}");
        ensure!(
            begun.elapsed() > TIMEOUT * 2 && known["connected"] == true,
            "{known}"
        );
        Ok(())
    })?;
    ensure!(
        statuses(&stage.history(&id)?) == expected,
        "{:?}",
        stage.history(&id)?
    );
    Ok(())
}

#[test]
fn a_copy_of_a_nodes_disk_takes_turns_with_it_and_is_found_out() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &["--heartbeat-timeout", "20s"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let id = stage.enrol(&node)?;
    // Given a machine that was cloned from the node,
    let copy = Node::boot(&net, Release::Bookworm, "copy")?;
    node.sh("tar --create --file=/root/disk.tar /etc/aami /opt/aami /var/lib/aami /etc/systemd/system/aami-agent.service")?
        .ok()?;
    copy.write("/root/disk.tar", &node.read("/root/disk.tar")?, 0o600)?;
    copy.sh("tar --extract --directory=/ --file=/root/disk.tar && systemctl daemon-reload")?
        .ok()?;

    // when its agent starts,
    copy.sh("systemctl start aami-agent")?.ok()?;

    // then the newer connection wins each time, which is told, and it is found out what that means.
    wait_until(PATIENCE, "the copy is found out", || {
        let known = stage.site.node("node1")?;
        let codes: Vec<&str> = known["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        ensure!(codes.contains(&"DUPLICATE_CREDENTIAL"), "{known}");
        Ok(())
    })
    .with_context(|| format!("{:?}", stage.history(&id)))?;
    let history = stage.history(&id)?;
    ensure!(
        history.iter().any(|kind| kind == "node.connection_replaced"),
        "{history:?}"
    );

    // Without the copy the node has its place to itself again; it was never gone.
    copy.sh("systemctl stop aami-agent")?.ok()?;
    let spool =
        |node: &Node| node.sh("curl -sf http://127.0.0.1:9105/metrics | grep '^aami_agent_connected '");
    wait_until(PATIENCE, "the node is connected", || {
        let said = spool(&node)?.said();
        ensure!(said.trim() == "aami_agent_connected 1", "{said}");
        Ok(())
    })?;
    ensure!(
        !stage.history(&id)?.contains(&DISCONNECTED.to_owned()),
        "{:?}",
        stage.history(&id)?
    );
    Ok(())
}

#[test]
fn a_node_without_encryption_stays_connected_is_let_go_when_retired_and_comes_back_by_the_same_line()
-> Result<()> {
    let net = Net::new()?;
    let host = net.host("people")?;
    let stage = Stage::start(&net, &host, &["--heartbeat-timeout", "10s", "--plain-http"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = stage
        .site
        .token(&["--name", "plain", "--max-uses", "2", "--allow-reenrol"])?;
    node.write("/root/token", token.secret.as_bytes(), 0o600)?;
    // What comes over such a network is not believed, so the exporter is brought there by hand.
    for name in ["components.toml".to_owned(), Packed::node_exporter()?.file_name()] {
        let bytes = std::fs::read(stage.site.data().join("dist").join(ARCH).join(&name))?;
        node.write(&format!("/root/components/{name}"), &bytes, 0o644)?;
    }
    let server = format!("http://{}:8080", stage.site.host().address());
    let arguments =
        format!("--token-file /root/token --components /root/components --plain-http --server {server}");
    let line = stage.site.generic_script(&node, &arguments)?;

    // Over a network that its people said they trust, the node is enrolled, and its agent says what that means.
    node.types_well(&line)?;
    stage.until_connected(&node)?;
    ensure!(
        node.journal("aami-agent")?.contains("plain HTTP"),
        "{}",
        node.journal("aami-agent")?
    );

    // Retired, it is told so, goes, and does not ask again and again.
    let retired = stage.site.aami(&["nodes", "retire", "node1"])?;
    ensure!(retired.code == 0, "{retired:?}");
    wait_until(PATIENCE, "the agent is told that its node was retired", || {
        let said = node.journal("aami-agent")?;
        ensure!(said.contains("NODE_DECOMMISSIONED"), "{said}");
        Ok(())
    })?;
    ensure!(stage.site.node("node1")?["connected"] != true);

    // Restored and enrolled anew, it is connected at once: nobody waits until the agent asks again by itself.
    let restored = stage.site.aami(&["nodes", "restore", "node1"])?;
    ensure!(restored.code == 0, "{restored:?}");
    node.types_well(&line)?;
    stage.until_connected(&node)?;
    ensure!(node.sh("systemctl show --property=NRestarts aami-agent")?.ok()? == "NRestarts=0\n");
    Ok(())
}
