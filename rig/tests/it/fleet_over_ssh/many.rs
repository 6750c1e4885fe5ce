//! One command on many nodes: in which order, how many at once, when it is enough, as whom, and what programs are told.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Node, wait_until};
use serde_json::Value;

use super::{NOBODY, Operator, said};
use crate::site::Said;

/// The password for sudo, as the operator's environment has it.
const PASSWORD: &str = "correct horse 'battery' $taple";

/// The lines of `-o json`, one a node.
fn rows(said: &Said) -> Result<Vec<Value>> {
    let rows = serde_json::Deserializer::from_str(&said.stdout).into_iter();
    rows.collect::<Result<_, _>>().with_context(|| said.all())
}

#[test]
fn a_first_node_that_fails_keeps_the_others_from_being_touched() -> Result<()> {
    // Given a node, and before it one that is not there,
    let operator = Operator::new()?;
    let node = operator.node("gpu-2")?;
    operator.declare("gpu-1", NOBODY)?;
    operator.declare("gpu-2", &node.address().to_string())?;
    operator.well(&["config", "set", "ssh.retry.max_attempts", "1"])?;
    let touch = |limits: &[&str]| {
        let words = [
            &["nodes", "exec", "--all"],
            limits,
            &["--", "touch /root/was-here"],
        ];
        operator.aami(&words.concat())
    };
    // when the first is a canary, or each failure counts, then the other is left alone, and why is said;
    for (limits, why) in [
        (&["--canary", "1"][..], "one of the first hosts failed"),
        (
            &["--parallel", "1", "--stop-above", "10%"],
            "more than 10 % of the hosts failed",
        ),
    ] {
        let said = touch(limits)?;
        let not_started = format!("gpu-2: not started: stopped because {why}");
        ensure!(
            ![0, 7].contains(&said.code)
                && said.stderr.contains("gpu-1: AAMI-")
                && said.stderr.contains(&not_started),
            "{limits:?}: exit {}\n{}",
            said.code,
            said.all()
        );
        ensure!(
            node.sh("test -e /root/was-here")?.code == 1,
            "{limits:?} touched it"
        );
    }
    // when more may fail, then it has its turn;
    let said = touch(&["--parallel", "1", "--stop-above", "60%"])?;
    ensure!(
        said.code == 7 && said.stderr.contains("gpu-2: ok"),
        "exit {}\n{}",
        said.code,
        said.all()
    );
    node.sh("rm /root/was-here")?.ok()?;
    // and where the canary went well, so do the others.
    operator.well(&["nodes", "remove", "gpu-1", "--yes"])?;
    operator.declare("gpu-3", NOBODY)?;
    let said = touch(&["--canary", "1"])?;
    ensure!(
        said.code == 7 && said.stderr.contains("gpu-3: AAMI-"),
        "exit {}\n{}",
        said.code,
        said.all()
    );
    node.sh("rm /root/was-here")?.ok().map(drop)
}

#[test]
fn so_many_nodes_at_a_time_and_a_row_of_each_for_programs() -> Result<()> {
    // Given two nodes whose clock is one,
    let operator = Operator::new()?;
    let nodes = [operator.node("gpu-1")?, operator.node("gpu-2")?];
    for node in &nodes {
        operator.declare(node.name(), &node.address().to_string())?;
    }
    // when both work for a while, one after the other or at once, then they do so.
    let spans = |parallel: &str| -> Result<Vec<(u128, u128)>> {
        let work = "date +%s%N; sleep 3; date +%s%N";
        let words = [
            "nodes",
            "exec",
            "--all",
            "-o",
            "json",
            "--parallel",
            parallel,
            "--",
            work,
        ];
        let span = |row: Value| {
            let text = row["stdout"].as_str().unwrap_or_default().to_owned();
            let (begin, end) = text.trim().split_once('\n').with_context(|| row.to_string())?;
            Ok((begin.parse()?, end.parse()?))
        };
        let mut spans: Vec<(u128, u128)> = rows(&operator.well(&words)?)?
            .into_iter()
            .map(span)
            .collect::<Result<_>>()?;
        spans.sort_unstable();
        ensure!(spans.len() == 2, "{spans:?}");
        Ok(spans)
    };
    let one = spans("1")?;
    ensure!(one[0].1 <= one[1].0, "both at once: {one:?}");
    let two = spans("2")?;
    ensure!(two[1].0 < two[0].1, "one after the other: {two:?}");

    // Programs are told of each what it said and how it ended, and of nothing else on standard output.
    let fails = "echo out; test \"$(hostname)\" = gpu-1 || { echo why >&2; exit 3; }";
    let said = operator.aami(&["nodes", "exec", "--all", "-o", "json", "--", fails])?;
    ensure!(said.code == 7, "exit {}\n{}", said.code, said.all());
    let rows = rows(&said)?;
    let of = |name: &str| {
        let row = rows.iter().find(|row| row["node"] == name);
        row.with_context(|| said.all())
    };
    let (good, bad) = (of("gpu-1")?, of("gpu-2")?);
    ensure!(rows.len() == 2, "{}", said.all());
    ensure!(
        good["ok"] == true && good["exit"] == 0 && good["stdout"] == "out\n" && good["stderr"] == "",
        "{good}"
    );
    ensure!(
        bad["ok"] == false
            && bad["exit"] == 3
            && bad["stdout"] == "out\n"
            && bad["stderr"] == "why\n"
            && bad["code"] == "NODE_COMMAND_ENDED_BADLY",
        "{bad}"
    );
    Ok(())
}

/// Gives a node a user who needs a password for sudo, and lets the operator in as that.
fn add_asked(operator: &Operator, node: &Node) -> Result<()> {
    node.sh("useradd --create-home --shell /bin/bash asked && install -d -o asked -m 700 /home/asked/.ssh")?
        .ok()?;
    let public = fs::read(operator.key().with_extension("pub"))?;
    node.write("/home/asked/.ssh/authorized_keys", &public, 0o644)?;
    node.write("/etc/sudoers.d/story", b"asked ALL=(root) ALL\n", 0o440)?;
    let account = format!("asked:{PASSWORD}\n");
    node.sh_within(Duration::from_secs(20), "chpasswd", account.as_bytes())?
        .ok()
        .map(drop)
}

#[test]
fn the_configurations_password_for_sudo_is_used_and_a_wrong_one_goes_to_one_node() -> Result<()> {
    // Given two nodes where whoever signs in needs a password to become root, which a variable of the operator's holds,
    let operator = Operator::new()?;
    let nodes = [operator.node("gpu-1")?, operator.node("gpu-2")?];
    for node in &nodes {
        add_asked(&operator, node)?;
        operator.declare(node.name(), &node.address().to_string())?;
    }
    operator.well(&["config", "set", "ssh.user", "asked"])?;
    operator.well(&["config", "set", "ssh.sudo.password", "${SUDO}"])?;
    let as_root = |password: &str| {
        let words = [
            "nodes",
            "exec",
            "--all",
            "--sudo",
            "-o",
            "json",
            "--",
            "id -un; id -u",
        ];
        said(operator.command(&words)?.env("SUDO", password))
    };
    // when it is a wrong one, then one node is asked, both are told of, and nobody else counts a failed attempt;
    let wrong = as_root("not it")?;
    let told = rows(&wrong)?;
    ensure!(
        wrong.code == 4
            && told.len() == 2
            && told
                .iter()
                .all(|row| row["ok"] == false && row["code"] == "SUDO_PASSWORD_WRONG" && row["stdout"] == ""),
        "exit {}\n{}",
        wrong.code,
        wrong.all()
    );
    ensure!(!wrong.all().contains("not it"), "{}", wrong.all());
    let attempts = || -> Result<Vec<String>> {
        let mut all = Vec::new();
        for node in &nodes {
            let journal = node.sh("journalctl --no-pager --boot")?.ok()?;
            let lines = journal.lines().filter(|line| line.contains("incorrect password"));
            all.extend(lines.map(str::to_owned));
        }
        Ok(all)
    };
    wait_until(Duration::from_secs(20), "sudo has said how often", || {
        let attempts = attempts()?;
        ensure!(!attempts.is_empty());
        Ok(())
    })?;
    let counted = attempts()?;
    ensure!(
        counted.len() == 1 && counted[0].contains("1 incorrect password attempt"),
        "{counted:?}"
    );
    // when it is the right one, then both run it as root, and it stands nowhere.
    let right = as_root(PASSWORD)?;
    let told = rows(&right)?;
    ensure!(
        right.code == 0 && told.len() == 2 && told.iter().all(|row| row["stdout"] == "root\n0\n"),
        "exit {}\n{}",
        right.code,
        right.all()
    );
    ensure!(!right.all().contains("battery"), "{}", right.all());
    for node in &nodes {
        let journal = node.sh("journalctl --no-pager --boot")?.ok()?;
        ensure!(
            !journal.contains("battery"),
            "the password stands in the journal of {}",
            node.name()
        );
    }
    ensure!(attempts()?.len() == 1, "{:?}", attempts()?);
    // A variable that is not set is named before anybody is reached.
    let words = ["nodes", "exec", "--all", "--sudo", "--", "id -u"];
    let unset = operator.aami(&words)?;
    ensure!(
        unset.code != 0 && unset.stdout.is_empty() && unset.stderr.contains("SUDO"),
        "exit {}\n{}",
        unset.code,
        unset.all()
    );
    Ok(())
}
