//! Ctrl-C at a command on nodes: once, what was begun is finished and nothing new begins; twice, it ends at once. What a
//! node does by itself it goes on with, and what was run over SSH ends there.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Node, Process, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use super::{NOBODY, Operator};

/// The exit code of what was told to stop.
const INTERRUPTED: i32 = 9;
/// How long a command that is told to end at once may take; nodes are told for five seconds of it.
const AT_ONCE: Duration = Duration::from_secs(20);
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A node on which the installation comes to a stand in the middle: whoever makes a user waits for [`goes_on`].
fn node(operator: &Operator, name: &str) -> Result<Node> {
    let node = operator.node(name)?;
    node.sh("mv /usr/sbin/useradd /usr/sbin/useradd.real")?.ok()?;
    let waits = "#!/bin/sh\nuntil test -e /root/go; do sleep 0.1; done\nexec /usr/sbin/useradd.real \"$@\"\n";
    node.write("/usr/sbin/useradd", waits.as_bytes(), 0o755)?;
    operator.declare(name, &node.address().to_string())?;
    Ok(node)
}

fn goes_on(node: &Node) -> Result<()> {
    node.write("/root/go", b"", 0o644)
}

/// Begins to install, one node at a time, and waits until the first is at a stand.
fn stands(operator: &Operator, nodes: &str, first: &Node) -> Result<Process> {
    let (agent, components) = operator.carried();
    let words = operator.installing(&[
        nodes,
        "--parallel",
        "1",
        "--agent",
        &agent,
        "--components",
        &components,
    ]);
    let name = format!("install-{}", first.name());
    let mut install = operator.host.start(&name, operator.command(&words)?)?;
    wait_until(PATIENCE, "the run is in its middle", || {
        install.check()?;
        first.sh("pgrep -f '[u]seradd'")?.ok()
    })?;
    ensure!(status(first)? == "running", "{}", status(first)?);
    Ok(install)
}

/// How the only run on a node stands.
fn status(node: &Node) -> Result<String> {
    let said = node.sh("/var/lib/aami/push/aami-agent run list --json")?.ok()?;
    let runs: Value = serde_json::from_str(said.trim())?;
    ensure!(runs.as_array().map(Vec::len) == Some(1), "{runs:#}");
    Ok(runs[0]["status"].as_str().unwrap_or_default().to_owned())
}

/// Tells a command to stop, for the first time; it goes on, and says how much.
fn told_once(command: &mut Process) -> Result<()> {
    command.signal(Signal::INT)?;
    wait_until(Duration::from_secs(10), "it says what that means", || {
        command.check()?;
        let log = command.log();
        ensure!(
            log.contains("1 nodes that were begun are finished, 1 are not begun; Ctrl-C again cuts off"),
            "{log}"
        );
        Ok(())
    })
}

/// Tells it again, and it ends at once.
fn told_again(command: &mut Process) -> Result<String> {
    command.signal(Signal::INT)?;
    let ended = command.wait(AT_ONCE)?;
    let log = command.log();
    ensure!(ended.code() == Some(INTERRUPTED), "{ended}\n{log}");
    ensure!(
        log.contains("gpu-9: not started: stopped before their turn"),
        "{log}"
    );
    Ok(log)
}

/// Nothing that fits runs on a node any more.
fn ends_there(node: &Node, pattern: &str) -> Result<()> {
    wait_until(Duration::from_secs(10), "nothing is left running there", || {
        let left = node.sh(&format!("pgrep -fa '{pattern}'"))?;
        ensure!(left.code == 1, "{}", left.stdout);
        Ok(())
    })
}

#[test]
fn nodes_go_on_installing_by_themselves_whoever_reads_along() -> Result<()> {
    // Given two nodes where an installation comes to a stand, and one that is not there,
    let operator = Operator::new()?;
    operator.well(&["config", "set", "ssh.retry.max_attempts", "1"])?;
    let (one, two) = (node(&operator, "gpu-1")?, node(&operator, "gpu-2")?);
    operator.declare("gpu-9", NOBODY)?;

    // when an installation is told to stop once and again, then it ends at once, and says what goes on and how to go on;
    let mut install = stands(&operator, "gpu-1,gpu-9", &one)?;
    told_once(&mut install)?;
    ensure!(status(&one)? == "running");
    let log = told_again(&mut install)?;
    for part in [
        "gpu-1: cut off in the middle",
        "what was begun goes on on the nodes by itself",
        "run follow install-",
        "the same command with --resume ",
    ] {
        ensure!(log.contains(part), "no {part:?} in:\n{log}");
    }
    // who read along there is gone, and the run is not,
    ends_there(&one, "[r]un follow")?;
    ensure!(status(&one)? == "running");
    // and it finishes by itself once it can.
    goes_on(&one)?;
    wait_until(PATIENCE, "the run is at its end", || {
        ensure!(status(&one)? == "completed", "{}", status(&one)?);
        Ok(())
    })?;
    operator.scrapes(&one)?;
    // Nobody was there to note it: the same command with the file it named does.
    let resume = log.split("--resume ").find_map(|rest| rest.strip_prefix('/'));
    let resume = resume.and_then(|rest| rest.lines().next()).unwrap_or_default();
    let resume = format!("/{}", resume.trim());
    let (agent, components) = operator.carried();
    let said = operator.install(&[
        "--resume",
        &resume,
        "--agent",
        &agent,
        "--components",
        &components,
    ])?;
    ensure!(
        said.code == 7 && said.stderr.contains("gpu-1: ok") && said.stderr.contains("gpu-9: AAMI-"),
        "exit {}\n{}",
        said.code,
        said.all()
    );
    ensure!(operator.targets()?.contains(&format!("{}:9100", one.address())));

    // When one is told to stop once, then what was begun is finished and noted, and nothing new begins.
    let mut install = stands(&operator, "gpu-2,gpu-9", &two)?;
    told_once(&mut install)?;
    goes_on(&two)?;
    let ended = install.wait(PATIENCE)?;
    let log = install.log();
    ensure!(ended.code() == Some(INTERRUPTED), "{ended}\n{log}");
    ensure!(
        log.contains("gpu-2: ok") && log.contains("gpu-9: not started: stopped before their turn"),
        "{log}"
    );
    operator.scrapes(&two)?;
    ensure!(operator.targets()?.contains(&format!("{}:9100", two.address())));
    Ok(())
}

#[test]
fn a_command_is_finished_once_and_ended_on_the_node_twice() -> Result<()> {
    // Given a node, and another that is not there,
    let operator = Operator::new()?;
    let node = operator.node("gpu-1")?;
    operator.declare("gpu-1", &node.address().to_string())?;
    operator.declare("gpu-9", NOBODY)?;
    let runs = |name: &str, command: &str| -> Result<Process> {
        let words = ["nodes", "exec", "--all", "--parallel", "1", "--", command];
        let mut process = operator.host.start(name, operator.command(&words)?)?;
        wait_until(PATIENCE, "the command is begun", || {
            process.check()?;
            ensure!(process.log().contains("gpu-1: begun"), "{}", process.log());
            Ok(())
        })?;
        Ok(process)
    };
    // when it is told to stop while a command runs there, then that is waited for, and the other has no turn;
    let waits = "echo begun; until test -e /root/go; do sleep 0.1; done; echo finished";
    let mut once = runs("exec-once", waits)?;
    told_once(&mut once)?;
    node.write("/root/go", b"", 0o644)?;
    let ended = once.wait(PATIENCE)?;
    let log = once.log();
    ensure!(ended.code() == Some(INTERRUPTED), "{ended}\n{log}");
    for part in [
        "gpu-1: finished",
        "gpu-1: ok",
        "gpu-9: not started: stopped before their turn",
    ] {
        ensure!(log.contains(part), "no {part:?} in:\n{log}");
    }
    // when it is told twice, then it ends at once, and so does the command on the node.
    let mut twice = runs("exec-twice", "echo begun; sleep 300")?;
    told_once(&mut twice)?;
    ensure!(node.sh("pgrep -f '[s]leep 300'")?.code == 0, "{}", twice.log());
    let log = told_again(&mut twice)?;
    ensure!(log.contains("gpu-1: cut off in the middle"), "{log}");
    ensure!(!log.contains("could not be told"), "{log}");
    ends_there(&node, "[s]leep 300")
}

#[test]
fn a_look_at_a_node_that_hangs_ends_with_ctrl_c_and_leaves_nothing_there() -> Result<()> {
    // Given a node where one of the programs that are asked never answers,
    let operator = Operator::new()?;
    let node = operator.node("gpu-1")?;
    operator.declare("gpu-1", &node.address().to_string())?;
    operator.well(&["config", "set", "prometheus.port", "9"])?;
    node.write("/usr/local/bin/ufw", b"#!/bin/sh\nexec sleep 301\n", 0o755)?;
    let words = ["diagnose", "gpu-1", "--ssh"];
    let mut look = operator.host.start("diagnose", operator.command(&words)?)?;
    wait_until(PATIENCE, "it asks", || {
        look.check()?;
        node.sh("pgrep -f '[s]leep 301'")?.ok()
    })?;
    // when it is told to stop, then it does, says so, and nothing goes on there.
    look.signal(Signal::INT)?;
    let ended = look.wait(Duration::from_secs(10))?;
    ensure!(
        ended.code() == Some(INTERRUPTED) && look.log().contains("was told to stop"),
        "{ended}\n{}",
        look.log()
    );
    ends_there(&node, "[s]leep 301")
}
