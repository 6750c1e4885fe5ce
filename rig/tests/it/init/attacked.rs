//! `aami init` where it finds others at home, no room, no right, or a configuration that is none.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, cache, wait_until};

use super::stage::{INIT, Operator};
use crate::site::{Typing as _, is_as_before};

/// Puts Debian's own packages of Prometheus and node_exporter on a node, and starts them the way they do.
fn debians_own(node: &Node) -> Result<()> {
    for package in ["prometheus", "prometheus-node-exporter"] {
        let root = cache::packages(None, &[package])?;
        let tar = Command::new("tar")
            .args(["--create", "--directory"])
            .arg(&root)
            .args(parts(&root, package)?)
            .output()?;
        ensure!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        let unpack = "tar --extract --directory=/ --keep-directory-symlink --no-same-owner";
        node.sh_within(Duration::from_secs(60), unpack, &tar.stdout)?
            .ok()
            .context(package)?;
    }
    let script = "set -e; useradd --system --no-create-home prometheus; \
                  install -d -o prometheus /var/lib/prometheus /var/lib/prometheus/node-exporter /var/lib/prometheus/metrics2; \
                  systemctl daemon-reload; systemctl start prometheus prometheus-node-exporter";
    node.sh(script)?.ok()?;
    for port in [9090, 9100] {
        wait_until(Duration::from_secs(30), &format!("port {port} is held"), || {
            node.sh(&format!("curl -sf http://127.0.0.1:{port}/metrics"))?
                .ok()
        })?;
    }
    Ok(())
}

/// What of a package the daemon needs.
fn parts(root: &Path, package: &str) -> Result<Vec<String>> {
    let daemon = format!("usr/bin/{package}");
    let unit = ["lib/systemd/system", "usr/lib/systemd/system"]
        .map(|folder| format!("{folder}/{package}.service"))
        .into_iter()
        .find(|path| root.join(path).exists())
        .with_context(|| format!("no unit in {}", root.display()))?;
    let more = ["etc/default", "etc/prometheus", "usr/share/prometheus"];
    let more = more.iter().filter(|path| root.join(path).exists());
    Ok([daemon, unit]
        .into_iter()
        .chain(more.map(|path| (*path).to_owned()))
        .collect())
}

#[test]
fn others_that_are_here_already_are_named_and_stay() -> Result<()> {
    // Given a machine on which Debian's Prometheus and node_exporter run,
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    debians_own(node)?;
    let theirs = "systemctl show -P MainPID prometheus prometheus-node-exporter";
    let running = node.sh(theirs)?.ok()?;
    let before = node.picture()?;
    // when it is to watch a fleet, then whoever holds the port is named, and nothing but the configuration is made.
    let said = node.types_in_vain(INIT, 6, "PORT_IN_USE")?;
    ensure!(said.all().contains("prometheus.service"), "{}", said.all());
    let mut changes = operator.changes_since(&before)?;
    changes.retain(|change| {
        !change.contains("/var/lib/prometheus")
            && !change.contains("/install")
            && !change.contains("/etc/aami")
            && !change.contains("/run/aami")
    });
    ensure!(
        changes.iter().all(|change| change.contains("/var/lib/aami ")),
        "{changes:#?}"
    );
    ensure!(node.sh(theirs)?.ok()? == running, "theirs was touched");
    // Given another port, it runs beside them; their node_exporter is taken as it is.
    node.types_well("/root/aami config set prometheus.port 9095")?;
    node.types_well(INIT)?;
    wait_until(Duration::from_secs(40), "this machine is scraped", || {
        let said = node
            .sh("curl -sfG http://127.0.0.1:9095/api/v1/query --data-urlencode 'query=up{job=\"node\"}'")?
            .ok()?;
        ensure!(
            said.contains("\"operator\"") && said.contains(",\"1\"]"),
            "{said}"
        );
        Ok(())
    })?;
    node.types_well("/root/aami status")?;
    node.types_well("/root/aami alerts list")?;
    ensure!(node.sh("systemctl cat aami-node-exporter")?.code != 0);
    // and an uninstall leaves them running.
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    ensure!(node.sh(theirs)?.ok()? == running, "theirs was touched");
    let mut changes = before.changes_in(&node.picture()?);
    // What their Prometheus writes meanwhile is its own.
    changes.retain(|change| {
        !change.contains("/var/lib/prometheus") && !change.starts_with("appeared: /run/aami (d")
    });
    ensure!(changes.is_empty(), "{changes:#?}");
    Ok(())
}

#[test]
fn nothing_is_made_without_right_room_or_a_sound_configuration() -> Result<()> {
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    node.sh("install -m 755 /root/aami /usr/local/bin/aami")?.ok()?;
    let before = node.picture()?;

    // Nobody in particular is told what it takes.
    node.types_in_vain("runuser -u nobody -- /usr/local/bin/aami init", 4, "NOT_ROOT")?;
    is_as_before(node, &before, "a refusal")?;

    // Where not even the configuration has room, no part of it is left.
    node.sh("set -e; mkdir /etc/aami; mount -t tmpfs -o size=16k none /etc/aami; dd if=/dev/zero of=/etc/aami/full bs=1k count=64 2>/dev/null || true")?
        .ok()?;
    let said = node.types(INIT)?;
    ensure!(
        said.code != 0
            && said.all().contains("No space left")
            && said.all().contains("/etc/aami/config.yaml"),
        "exit {}: {}",
        said.code,
        said.all()
    );
    let left = node.sh("ls -A /etc/aami")?.ok()?;
    ensure!(left.trim() == "full", "left behind: {left}");
    node.sh("umount /etc/aami && rmdir /etc/aami")?.ok()?;
    is_as_before(node, &before, "a full disk")?;

    // Where the programs have no room, that is named; given room, the same command continues.
    node.sh("mkdir -p /opt && mount -t tmpfs -o size=24m,mode=755 none /opt")?
        .ok()?;
    let said = node.types(&format!("{INIT} --skip-preflight"))?;
    ensure!(
        said.code != 0 && (said.all().contains("DISK_FULL") || said.all().contains("No space left")),
        "exit {}: {}",
        said.code,
        said.all()
    );
    ensure!(!said.all().contains("panicked"), "{}", said.all());
    node.sh("mount -o remount,size=2g /opt")?.ok()?;
    node.types_well(INIT)?;
    operator.all_well()?;
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    ensure!(
        node.sh("ls -A /opt")?.ok()?.trim().is_empty(),
        "something is left in /opt"
    );
    node.sh("umount /opt")?.ok()?;
    is_as_before(node, &before, "an uninstall")?;

    // A configuration that cannot be read is no ground to build on: every problem is named, and nothing is touched.
    node.write(
        "/etc/aami/config.yaml",
        b"cluster: {name: mine}\nprometheus: {port: 90900, retenton: 3d}\n",
        0o600,
    )?;
    let broken = node.picture()?;
    for command in [INIT.to_owned(), format!("{INIT} --dry-run")] {
        let said = node.types(&command)?;
        ensure!(
            said.code == 2
                && said.all().contains("line 2")
                && said.all().contains("90900")
                && said.all().contains("retention"),
            "exit {}: {}",
            said.code,
            said.all()
        );
        is_as_before(node, &broken, "a broken configuration")?;
    }
    // So is a rule that is none.
    node.write(
        "/etc/aami/config.yaml",
        b"cluster: {name: mine}\nalerts: {custom: [{name: Bad, expr: 'up ==', severity: info}]}\n",
        0o600,
    )?;
    let broken = node.picture()?;
    let said = node.types(INIT)?;
    ensure!(said.code != 0 && said.all().contains("Bad"), "{}", said.all());
    is_as_before(node, &broken, "a broken rule")
}
