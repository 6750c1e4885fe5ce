//! One kill per step on a real node; the same line again brings it to the end, and uninstall brings it back.
//!
//! Every boundary is killed at in the executor's own tests, with doubles. Here each step of one release is cut once,
//! in an order that turns with a printed seed (`RIG_SEED` repeats one).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use rig::{Net, Node, Process, Release, wait_until};
use serde_json::Value;

use crate::site::{Site, Token, Typing as _, is_as_before};

/// The steps that change the host or the control plane.
const STEPS: [&str; 3] = ["node_exporter", "checks", "register"];

#[test]
fn a_kill_in_any_step_is_mended_by_the_same_line() -> Result<()> {
    let seed = seed()?;
    println!("RIG_SEED={seed}");
    let net = Net::new()?;
    let site = Site::start(&net)?;
    for (number, step) in STEPS.iter().enumerate() {
        let release = Release::ALL[(usize::try_from(seed % 3)? + number) % 3];
        let name = format!("node-{}", step.replace('_', "-"));
        let node = Node::boot(&net, release, &name)?;
        let before = node.picture()?;
        let token = site.token(&["--name", &name])?;

        cut_in(&node, &token, step).with_context(|| format!("seed {seed}, {step}"))?;
        node.types_well(&token.one_line)
            .with_context(|| format!("seed {seed}, after a kill in {step}"))?;

        ensure!(site.node(&name)?["status"] == "online", "seed {seed}, {step}");
        ensure!(
            site.json(&["tokens", "show", &token.id])?["used"] == 1,
            "seed {seed}, {step}"
        );
        let said = node.types_well("aami-agent uninstall")?;
        let changes = before.changes_in(&node.picture()?);
        if !changes.is_empty() {
            let accounts = node.sh("tail -n 4 /etc/passwd /etc/group")?.stdout;
            bail!(
                "seed {seed}, killed in {step}: {changes:#?}\n{}\n{accounts}",
                said.all()
            );
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_of_the_control_plane_loses_no_answered_registration() -> Result<()> {
    let net = Net::new()?;
    let mut site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    let known = site.node("node1")?;

    site.kill_and_start_again()?;

    ensure!(site.node("node1")?["id"] == known["id"]);
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    // The node's credential still is one, and the pin of the line still holds.
    node.types_well("aami-agent status")?;
    node.types_well(&token.one_line)?;
    Ok(())
}

#[test]
fn an_enrolment_whose_answer_was_not_noted_is_taken_back_at_the_control_plane() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Trixie, "node1")?;
    let before = node.picture()?;
    node.types_well(&site.token(&["--name", "rack"])?.one_line)?;
    // Given a node that was enrolled, and whose installer was killed before it noted as what,
    let path = "/var/lib/aami/install/default/node/receipt.json";
    let mut receipt: Value = serde_json::from_slice(&node.read(path)?)?;
    let effects = receipt["effects"].as_array_mut().context("no effects")?;
    let mut registrations = effects
        .iter_mut()
        .filter(|record| record["kind"] == "registration")
        .filter_map(Value::as_object_mut);
    let registration = registrations.next().context("it is not registered")?;
    registration.remove("node").context("it has no id")?;
    registration.insert("done".to_owned(), false.into());
    node.write(path, receipt.to_string().as_bytes(), 0o600)?;
    node.sh("rm /var/lib/aami/agent/registration.json")?.ok()?;
    // when it is taken back while nobody answers, then it stays as it is, and that is said;
    let nobody = format!("https://{}:1", site.host().address());
    let said = node.types(&format!("aami-agent uninstall --server {nobody}"))?;
    ensure!(
        said.code != 0 && said.all().contains("--keep-registration"),
        "exit {}: {}",
        said.code,
        said.all()
    );
    ensure!(site.node("node1")?["status"] == "online");
    // and when it is taken back, then there as well.
    node.types_well("aami-agent uninstall")?;
    ensure!(site.node("node1")?["status"] == "inactive");
    is_as_before(&node, &before, "an enrolment that was cut off")
}

/// Starts the install and kills the agent as soon as it says that it is in `step`.
fn cut_in(node: &Node, token: &Token, step: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let line = format!("{} -s -- --json", token.one_line);
    let mut installer = Process::start(
        "the installer",
        node.background(&line),
        &folder.path().join("log"),
    )?;
    let begun = |line: &str| {
        let event: Option<Value> = serde_json::from_str(line).ok();
        event.is_some_and(|event| event["type"] == "step_started" && event["step"] == step)
    };
    wait_until(Duration::from_secs(60), &format!("{step} begins"), || {
        let log = installer.log();
        ensure!(log.lines().any(begun), "{log}");
        Ok(())
    })?;
    node.sh("pkill --signal KILL --exact aami-agent || pkill --signal KILL --full 'aami-agent bootstrap'")?;
    installer.wait(Duration::from_secs(30))?;
    Ok(())
}

pub(crate) fn seed() -> Result<u64> {
    match std::env::var("RIG_SEED") {
        Ok(seed) => seed.parse().context("RIG_SEED is no number"),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}
