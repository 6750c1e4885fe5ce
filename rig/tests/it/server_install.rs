//! `aami server install` on a machine with a real systemd: the control plane, Debian's Prometheus and Alertmanager,
//! and a stand-in for Grafana, as units of their own; a node that enrols with the line that was printed.

mod broken;
mod chosen;
mod compose;
mod faults;
pub(crate) mod interrupted;
mod lost;
mod secrets;
pub(crate) mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::Value;

use crate::site::{Typing as _, is_as_before};
use stage::{INSTALL, Stage};

/// From the end of an installation until Prometheus has its rules.
const LOADED: Duration = Duration::from_secs(60);
/// From registration to the first good scrape.
const SCRAPED: Duration = Duration::from_secs(45);

#[test]
fn a_machine_becomes_a_server_that_watches_a_node_and_is_as_before_in_the_end() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let before = stage.node.picture()?;

    // Installed at a terminal, it prints the one line.
    let screen = stage.at_a_terminal(&format!("{INSTALL} --unattended"))?;
    for number in 1..=7 {
        ensure!(
            screen.contains(&format!("[{number}/7] ")),
            "no step {number}:\n{screen}"
        );
    }
    ensure!(screen.contains("[7/7] Finalizing installation"), "{screen}");
    let one_line = stage.one_line()?;
    ensure!(
        screen.contains("Run this on a machine to make it a node:"),
        "no line on the screen:\n{screen}"
    );
    stage.all_well()?;
    // Grafana runs from its own folder and shows its page.
    let page = stage.node.sh("curl -sf http://127.0.0.1:3000/")?.ok()?;
    ensure!(page == stage::PAGE, "{page}");
    let command = stage
        .node
        .sh("tr '\\0' ' ' < /proc/$(systemctl show -P MainPID aami-grafana)/cmdline")?
        .ok()?;
    ensure!(
        command.starts_with("/opt/aami/grafana-0.0.1/bin/grafana server ")
            && command.contains(" --homepath=/opt/aami/grafana-0.0.1 "),
        "{command}"
    );

    // Its installation is a run among the others, told in numbers as well.
    ensure!(installations(&stage)? == ["completed"]);
    wait_until(SCRAPED, "Prometheus knows the steps of the installation", || {
        let steps = stage.query(r#"aami_install_step_status{plan="stack",host=~"server.*"}"#)?;
        ensure!(steps == ["2"; 7], "{steps:?}");
        Ok(())
    })
    .with_context(|| stage.journal())?;

    // The control plane, which runs as a user of its own, brings Prometheus its rules.
    wait_until(LOADED, "Prometheus has its rules", || {
        let said = stage.node.sh("aami prometheuses list -o wide")?;
        ensure!(said.code == 0 && said.stdout.contains("local"), "{said:?}");
        Ok(())
    })
    .with_context(|| stage.journal())?;
    let rules = stage.prometheus("/api/v1/rules")?.to_string();
    ensure!(
        rules.contains("/var/lib/aami/targets/rules/aami-loading.yaml")
            && rules.contains("AamiRulesNotLoaded"),
        "{rules}"
    );

    // A node enrols with it, and is scraped.
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.types_well(&one_line)?;
    let registered = Instant::now();
    wait_until(
        SCRAPED.saturating_sub(registered.elapsed()),
        "the node is scraped",
        || {
            let up = stage.query("up{job=\"node\",node=\"node1\"}")?;
            ensure!(up == ["1"], "{up:?}");
            Ok(())
        },
    )
    .with_context(|| stage.journal())?;
    let alertmanagers = stage.prometheus("/api/v1/alertmanagers")?;
    let active = alertmanagers["data"]["activeAlertmanagers"]
        .as_array()
        .map(Vec::len);
    ensure!(active == Some(1), "{alertmanagers}");

    // The same command again changes nothing: no file, no process, and soon.
    let (picture, pids) = (stage.settled_picture()?, stage.pids()?);
    let started = Instant::now();
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    let took = started.elapsed();
    ensure!(stage.pids()? == pids, "something was started again");
    ensure!(
        installations(&stage)?.len() == 1,
        "a run that did nothing is told"
    );
    let changes = stage.changes_since(&picture)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    // One second is for a release build; this one is not.
    ensure!(took < Duration::from_secs(5), "a second run took {took:?}");
    stage.node.types_well("aami server status")?;
    stage.node.types_well("aami nodes list")?;

    // Taken back without its data, and installed again, it knows its node.
    stage.node.types_well("/root/aami server uninstall")?;
    ensure!(stage.node.sh("ls /var/lib/aami/server/store.db")?.code == 0);
    ensure!(
        stage
            .node
            .sh("systemctl is-active 'aami-*'")?
            .stdout
            .trim()
            .is_empty()
    );
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    let nodes = stage.node.types_well("aami nodes list -o json")?.stdout;
    ensure!(nodes.contains("\"node1\""), "{nodes}");

    // And back to nothing.
    stage
        .node
        .types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(&stage.node, &before, "an uninstall")
}

/// How each run that installed this server ended.
fn installations(stage: &Stage) -> Result<Vec<String>> {
    let said = stage.node.types_well("aami runs list -o json")?.stdout;
    let runs: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let runs = runs.as_array().or_else(|| runs["items"].as_array());
    let own = runs.context("no runs")?.iter().filter(|run| {
        let host = run["hostname"].as_str().unwrap_or_default();
        run["plan"] == "stack" && host.starts_with("server")
    });
    Ok(own
        .map(|run| run["status"].as_str().unwrap_or_default().to_owned())
        .collect())
}

#[test]
fn what_cannot_be_had_is_named_and_finished_when_it_appears() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    // Given a folder without Grafana,
    let grafana = stage.hide("grafana")?;
    let said = stage
        .node
        .types_in_vain(&format!("{INSTALL} --unattended"), 7, "STACK_INCOMPLETE")?;
    ensure!(said.all().contains("grafana"), "{}", said.all());
    let status: Value = serde_json::from_str(&stage.node.types("aami server status --json")?.stdout)?;
    ensure!(status["healthy"] == false, "{status:#}");
    let units = stage
        .node
        .sh("systemctl is-active aami-server aami-prometheus aami-alertmanager")?
        .ok()?;
    ensure!(units.matches("active").count() == 3, "{units}");
    let pids = stage.pids()?;
    // when it appears, the same command finishes, and what runs already runs on.
    grafana.show()?;
    stage
        .node
        .types_well(&format!("{INSTALL} --unattended --resume"))?;
    stage.all_well()?;
    ensure!(
        stage.pids()?.starts_with(&pids[..1]),
        "the control plane was started again"
    );
    Ok(())
}
