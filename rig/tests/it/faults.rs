//! What goes wrong in the middle: the control plane restarts, a unit does not come up, two want the last use.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Process, Release, wait_until};
use serde_json::Value;

use crate::site::{Said, Site, Typing as _, is_as_before};

#[test]
fn a_control_plane_that_restarts_in_the_middle_costs_at_most_the_same_line_again() -> Result<()> {
    let net = Net::new()?;
    let mut site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    // Given an installer that has begun to change the host,
    let folder = tempfile::tempdir()?;
    let line = format!("{} -s -- --json", token.one_line);
    let mut installer = Process::start("installer", node.background(&line), &folder.path().join("log"))?;
    wait_until(
        Duration::from_secs(60),
        "node_exporter is being installed",
        || {
            let log = installer.log();
            ensure!(log.lines().any(|line| began(line, "node_exporter")), "{log}");
            Ok(())
        },
    )?;

    // when the control plane goes away as in a power cut and comes back,
    site.kill_and_start_again()?;
    let ended = installer.wait(Duration::from_secs(120))?;

    // then the installer got over it, or said so with a code, and the same line finishes.
    if !ended.success() {
        let log = installer.log();
        ensure!(log.contains("\"code\""), "{log}");
        node.types_well(&token.one_line)?;
    }
    ensure!(site.node("node1")?["status"] == "online");
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    Ok(())
}

#[test]
fn a_unit_that_does_not_come_up_is_said_with_what_it_logged_and_the_line_goes_on_later() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    let folder = "/etc/systemd/system/aami-node-exporter.service.d";
    for (what, drop_in) in [
        // It fails at once, again and again, until systemd gives up on it.
        (
            "start limit",
            "[Service]\\nExecStartPre=/bin/false\\nRestartSec=100ms\\n",
        ),
        // It never gets ready.
        (
            "start timeout",
            "[Service]\\nExecStartPre=/bin/sleep 600\\nTimeoutStartSec=2\\nRestart=no\\n",
        ),
    ] {
        node.sh(&format!(
            "mkdir -p {folder} && printf '{drop_in}' > {folder}/broken.conf && systemctl daemon-reload"
        ))?
        .ok()?;
        let said = node.types(&token.one_line)?;
        ensure!(said.code != 0, "{what}: {said:?}");
        ensure!(
            said.all().contains("aami-node-exporter") && said.all().contains("hint: "),
            "{what}: {said:?}"
        );
        ensure!(!said.all().contains("panicked"), "{what}: {said:?}");
        node.sh(&format!("rm -r {folder} && systemctl daemon-reload"))?
            .ok()?;
    }

    node.types_well(&token.one_line)?;
    ensure!(site.node("node1")?["status"] == "online");
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "two starts that failed")
}

#[test]
fn of_two_that_want_the_last_use_one_is_told_and_goes_on_with_another_token() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let nodes = [
        Node::boot(&net, Release::Bookworm, "node1")?,
        Node::boot(&net, Release::Bookworm, "node2")?,
    ];
    let token = site.token(&["--name", "last"])?;
    // Both are told that one use is left, and both install.
    let said = std::thread::scope(|scope| {
        let typing = nodes
            .each_ref()
            .map(|node| scope.spawn(|| node.types(&token.one_line)));
        typing.map(|typed| typed.join().map_err(|_| anyhow::anyhow!("a thread panicked")))
    });
    let said: Vec<Said> = said.into_iter().map(|said| said?).collect::<Result<_>>()?;
    let lost = said
        .iter()
        .position(|said| said.code != 0)
        .context("both got the one use")?;
    ensure!(said[1 - lost].code == 0, "{said:?}");
    ensure!(
        said[lost].code == 4 && said[lost].all().contains("TOKEN_EXHAUSTED"),
        "{:?}",
        said[lost]
    );

    // What it had installed is there, and another token finishes it.
    let another = site.token(&["--name", "another"])?;
    nodes[lost].types_well(&another.one_line)?;
    let name = nodes[lost].name();
    ensure!(site.node(name)?["status"] == "online");
    Ok(())
}

fn began(line: &str, step: &str) -> bool {
    let event: Option<Value> = serde_json::from_str(line).ok();
    event.is_some_and(|event| event["type"] == "step_started" && event["step"] == step)
}
