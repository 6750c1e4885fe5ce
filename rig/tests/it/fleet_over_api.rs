//! The same command with a control plane: `aami nodes install` carries agent and token to nodes by SSH, and they enrol.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, cache, wait_until};
use serde_json::Value;

use crate::server_install::stage::{INSTALL, Stage};
use crate::site::Typing as _;

#[test]
fn nodes_are_enrolled_by_ssh_each_with_a_token_of_its_own() -> Result<()> {
    // Given a server, and two nodes whose root lets it in,
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let server = &stage.node;
    server.types_well(&format!("{INSTALL} --unattended --domain server"))?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("fleet");
    let keygen = cache::packages(None, &["openssh-client"])?.join("usr/bin/ssh-keygen");
    let made = Command::new(keygen)
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server.write("/root/.ssh/fleet", &fs::read(&key)?, 0o600)?;
    let mut nodes = Vec::new();
    for name in ["gpu-1", "gpu-2"] {
        let node = Node::boot(&net, Release::Bookworm, name)?;
        node.sh("install -d -m 700 /root/.ssh")?.ok()?;
        node.write(
            "/root/.ssh/authorized_keys",
            &fs::read(key.with_extension("pub"))?,
            0o600,
        )?;
        wait_until(Duration::from_secs(20), "sshd listens", || {
            node.sh("ss -ltn | grep -q ':22 '")?.ok()
        })?;
        nodes.push(node);
    }
    // when they are declared to the control plane and installed,
    for node in &nodes {
        server.types_well(&format!(
            "aami nodes add {} --ip {} --labels rack=a1",
            node.name(),
            node.address()
        ))?;
    }
    server.write(
        "/etc/aami/config.yaml",
        b"cluster: {name: default}\nssh: {key: /root/.ssh/fleet}\n",
        0o600,
    )?;
    let said = server.types_well("/root/aami nodes install --all --skip-gpu")?;
    ensure!(
        said.stdout.contains("2 nodes are installed: gpu-[1-2]"),
        "{}",
        said.all()
    );
    // then both are online, with their labels, and Prometheus scrapes them,
    for node in &nodes {
        let known = server.types_well(&format!("aami nodes show {} -o json", node.name()))?;
        let known: Value = serde_json::from_str(&known.stdout).with_context(|| known.all())?;
        ensure!(
            known["status"] == "online" && known["labels"]["rack"] == "a1",
            "{known:#}"
        );
        wait_until(Duration::from_secs(60), "it is scraped", || {
            let up = stage.query(&format!("up{{job=\"node\",node=\"{}\"}}", node.name()))?;
            ensure!(up == ["1"], "{up:?}");
            Ok(())
        })
        .with_context(|| stage.journal())?;
        // no token is left there, nor was one to be seen,
        ensure!(
            node.sh("ls /var/lib/aami/push/token")?.code != 0,
            "its token lies there"
        );
        let seen = node.sh(
            "journalctl --no-pager | grep -cE 'aami_[a-z2-7]+_'; grep -rlE 'aami_[a-z2-7]+_' /var/lib/aami/runs",
        )?;
        ensure!(seen.stdout.trim() == "0", "a token was seen: {}", seen.said());
    }
    // and the same again changes nothing.
    let since = "systemctl show -p ActiveEnterTimestampMonotonic aami-node-exporter aami-agent";
    let before = nodes[0].sh(since)?.ok()?;
    server.types_well("/root/aami nodes install --all --skip-gpu")?;
    ensure!(nodes[0].sh(since)?.ok()? == before, "something was started again");
    Ok(())
}
