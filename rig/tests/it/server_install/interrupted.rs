//! Killed or called off in the middle, the same command continues; uninstalling takes back what there is.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Process, Release, wait_until};
use serde_json::Value;

use super::stage::{INSTALL, Stage};
use crate::interrupted::seed;
use crate::site::{Typing as _, is_as_before, is_full};

/// The steps that change the machine.
const STEPS: [&str; 5] = [
    "download",
    "configure",
    "start_services",
    "bootstrap_token",
    "finalize",
];

#[test]
fn killed_in_any_step_the_same_command_continues() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let before = stage.node.picture()?;
    // Two of the steps in turn, all of them where there is time.
    let full = is_full();
    let seed = seed()?;
    println!("RIG_SEED={seed}");
    let cuts = if full { STEPS.len() } else { 2 };
    for number in 0..cuts {
        let step = STEPS[(usize::try_from(seed % 5)? + number) % STEPS.len()];
        cut(&stage.node, INSTALL, step).with_context(|| step.to_owned())?;
        stage
            .node
            .types_well(&format!("{INSTALL} --unattended --resume"))
            .with_context(|| format!("after a kill in {step}"))?;
        stage
            .all_well()
            .with_context(|| format!("after a kill in {step}"))?;
        stage
            .node
            .types_well("/root/aami server uninstall --purge-data --yes")?;
        is_as_before(&stage.node, &before, &format!("a kill in {step}"))?;
    }
    // And without continuing first, after Ctrl-C in the step that takes long enough for it.
    call_off(&stage.node, "start_services")?;
    stage
        .node
        .types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(&stage.node, &before, "Ctrl-C in start_services and no more")
}

/// Presses Ctrl-C as soon as an install says that it is in `step`: it says how far it came, and ends as interrupted.
fn call_off(node: &Node, step: &str) -> Result<()> {
    let (ended, log) = signalled(node, INSTALL, step, "INT")?;
    ensure!(ended.code() == Some(9), "{ended}: {log}");
    let said = [
        "INTERRUPTED",
        "the run was interrupted ",
        "steps through; what it changed is recorded",
    ];
    ensure!(said.iter().all(|word| log.contains(word)), "{log}");
    Ok(())
}

/// Starts a command that installs, and kills it as soon as it says that it is in `step`.
pub(crate) fn cut(node: &Node, command: &str, step: &str) -> Result<()> {
    signalled(node, command, step, "KILL").map(|_| ())
}

/// Starts a command that installs, and sends it a signal as soon as it says that it is in `step`. How it ended, and what
/// it said.
fn signalled(node: &Node, command: &str, step: &str, signal: &str) -> Result<(ExitStatus, String)> {
    let folder = tempfile::tempdir()?;
    let mut installer = Process::start(
        "the installer",
        node.background(&format!("{command} --json")),
        &folder.path().join("log"),
    )?;
    let begun = |line: &str| {
        let event: Option<Value> = serde_json::from_str(line).ok();
        event.is_some_and(|event| event["type"] == "step_started" && event["step"] == step)
    };
    wait_until(Duration::from_secs(90), &format!("{step} begins"), || {
        let log = installer.log();
        ensure!(log.lines().any(begun), "{log}");
        Ok(())
    })?;
    let words: Vec<&str> = command.split(' ').take(3).collect();
    node.sh(&format!("pkill --signal {signal} --full '^{}'", words.join(" ")))?;
    let ended = installer.wait(Duration::from_secs(30))?;
    Ok((ended, installer.log()))
}
