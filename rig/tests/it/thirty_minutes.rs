//! A GPU cluster from nothing to an alert that fires, by the commands of the README and no others: an operator's machine
//! and ten nodes with OpenSSH, none of which reaches the internet.
//!
//! The commands are read out of the README, so that it cannot say anything else than what works.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, cache, wait_until};

use crate::init::stage::Operator;
use crate::node_parts::{add_dcgm_exporter, give_gpus};
use crate::node_ten::all_at_once;
use crate::site::{Said, root};
use crate::workshop::Workshop;

/// The part of the README that is followed.
const SECTION: &str = "## Or without a server";
/// How many nodes the cluster has.
const NODES: usize = 10;
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(600);
/// Where a node's exporter reads what its GPU says, and what a sound one says.
const GPU: &str = "/etc/stand-in-gpu";
const SOUND: &str = "\
DCGM_FI_DEV_GPU_TEMP 41
DCGM_FI_DEV_GPU_TEMP_LIMIT 46
DCGM_FI_DEV_SLOWDOWN_TEMP 87
DCGM_FI_DEV_FB_TOTAL 81559
DCGM_FI_DEV_FB_USED 1024
DCGM_FI_DEV_FB_FREE 80535
";

/// The commands of the README's way without a server, in its order; where it has another form of one for machines
/// without internet, that form.
fn commands() -> Result<Vec<String>> {
    let mut commands: Vec<String> = Vec::new();
    for line in rig::guide::commands(root(), "README.md", Some(SECTION))? {
        let before = commands.iter_mut().find(|known| line.starts_with(known.as_str()));
        match before {
            Some(known) => *known = line,
            None => commands.push(line),
        }
    }
    Ok(commands)
}

/// Types a line as the README has it, in root's home.
fn types(node: &Node, line: &str) -> Result<Said> {
    let ended = node.sh_within(LIMIT, &format!("cd /root && {line}"), b"")?;
    Ok(Said {
        code: ended.code,
        stdout: ended.stdout,
        stderr: ended.stderr,
    })
}

/// Boots a node with two GPUs and a user who may become root and lets the operator in.
fn gpu_node(net: &Net, name: &str, public: &[u8]) -> Result<Node> {
    let node = Node::boot(net, Release::Bookworm, name)?;
    give_gpus(&node)?;
    node.write(GPU, SOUND.as_bytes(), 0o644)?;
    node.sh("useradd --create-home --shell /bin/bash ops && install -d -o ops -m 700 /home/ops/.ssh")?
        .ok()?;
    node.write("/home/ops/.ssh/authorized_keys", public, 0o644)?;
    node.write("/etc/sudoers.d/ops", b"ops ALL=(root) NOPASSWD: ALL\n", 0o440)?;
    wait_until(Duration::from_secs(20), "sshd listens", || {
        node.sh("ss -ltn | grep -q ':22 '")?.ok()
    })?;
    Ok(node)
}

#[test]
fn the_readme_has_the_commands_that_are_followed() -> Result<()> {
    let commands = commands()?;
    let verbs = [
        "init",
        "nodes add",
        "nodes install",
        "alerts apply-preset",
        "status",
        "alerts list",
    ];
    ensure!(commands.len() == verbs.len(), "{commands:#?}");
    for (command, verb) in commands.iter().zip(verbs) {
        ensure!(command.starts_with(&format!("sudo aami {verb}")), "{command}");
    }
    Ok(())
}

#[test]
fn ten_machines_are_watched_by_the_commands_of_the_readme_alone() -> Result<()> {
    // Given what an operator carries: a bundle, a key, and a list of ten nodes,
    let workshop = Workshop::open()?;
    add_dcgm_exporter(&workshop.at("root/components"))?;
    workshop.packs()?;
    let key = workshop.at("fleet");
    let keygen = cache::packages(None, &["openssh-client"])?.join("usr/bin/ssh-keygen");
    let made = Command::new(keygen)
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = fs::read(key.with_extension("pub"))?;
    let net = Net::new()?;
    let operator = Operator::of(workshop.machine(&net, "operator", "/usr/local/bin/aami")?);
    let nodes: Vec<Node> = all_at_once((1..=NODES).collect(), |number| {
        gpu_node(&net, &format!("gpu-{number:02}"), &public)
    })?;
    let list: String = nodes
        .iter()
        .map(|node| format!("{} {} rack=A1\n", node.name(), node.address()))
        .collect();
    operator.node().write("/root/nodes.txt", list.as_bytes(), 0o644)?;
    operator
        .node()
        .write("/root/.ssh/fleet", &fs::read(&key)?, 0o600)?;

    // when the README is followed, each command does what it says,
    let begun = Instant::now();
    for command in commands()? {
        let expected = match command.as_str() {
            line if line.contains(" init ") => "Created /etc/aami/config.yaml",
            line if line.contains(" nodes add ") => "✅ Node gpu-10 added",
            line if line.contains(" nodes install ") => "✅ 10 nodes are installed: gpu-[01-10]",
            line if line.contains(" apply-preset ") => "✅ Applied preset gpu-production (8 rules)",
            line if line.ends_with(" status") => "10 declared, 10 up, 0 down",
            line if line.contains(" alerts list ") => "",
            line => anyhow::bail!("nobody knows what {line} is to say"),
        };
        let began = Instant::now();
        let well = || {
            let said = types(operator.node(), &command)?;
            ensure!(
                said.code == 0 && said.stdout.contains(expected),
                "{command}: exit {}\n{}",
                said.code,
                said.all()
            );
            Ok(())
        };
        // What Prometheus finds by itself takes a scrape.
        let done = match command.ends_with(" status") {
            true => wait_until(Duration::from_secs(60), &command, well),
            false => well(),
        };
        done.with_context(|| operator.stage.journal())?;
        println!("{:6.1} s  {command}", began.elapsed().as_secs_f64());
    }
    // and all ten are scraped, node by node and GPU by GPU, and nothing is wrong.
    wait_until(Duration::from_secs(60), "every exporter is scraped", || {
        let up = operator.stage.query("sum(up{node=~\"gpu-.*\"})")?;
        ensure!(up == ["30"], "{up:?}");
        let gpus = operator.stage.query("count(DCGM_FI_DEV_GPU_TEMP{rack=\"A1\"})")?;
        ensure!(gpus == ["10"], "{gpus:?}");
        Ok(())
    })?;
    ensure!(operator.told()?.is_empty(), "{:?}", operator.told()?);

    // When the memory of a GPU fails,
    let failing = &nodes[6];
    let fault = format!("{SOUND}DCGM_FI_DEV_ECC_DBE_VOL_TOTAL 1\n");
    failing.write(GPU, fault.as_bytes(), 0o644)?;
    // then it is told, for that node and no other, and Alertmanager has it.
    let last = commands()?.pop().context("no commands")?;
    wait_until(Duration::from_secs(60), "the alert fires", || {
        let said = types(operator.node(), &last)?;
        let told = said
            .stdout
            .lines()
            .filter(|line| line.contains("GPUUncorrectableECC"));
        let told: Vec<&str> = told.collect();
        ensure!(
            told.len() == 1 && told[0].contains("firing") && told[0].contains("gpu-07"),
            "{}",
            said.all()
        );
        Ok(())
    })?;
    wait_until(Duration::from_secs(30), "Alertmanager has it", || {
        let told = operator.told()?;
        let expected = ("GPUUncorrectableECC".to_owned(), "gpu-07".to_owned());
        ensure!(told == [expected], "{told:?}");
        Ok(())
    })?;
    let took = begun.elapsed();
    println!(
        "{:6.1} s  from the first command to the alert",
        took.as_secs_f64()
    );
    ensure!(took < Duration::from_secs(30 * 60), "it took {took:?}");
    Ok(())
}
