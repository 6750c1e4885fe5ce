//! A node without systemd: cron starts its checks each minute.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Net, Node, Packed, Root};

use crate::node_parts::{answers, not_well, serves_status};
use crate::site::{Site, Typing as _, is_as_before};

/// What starts the rounds.
const LINE: &str = "/etc/cron.d/aami-checks";

#[test]
fn where_another_init_runs_cron_starts_the_checks_of_a_node_until_it_goes() -> Result<()> {
    // Given a machine that booted System V's init, with Debian's cron and an exporter that somebody started there,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Root::WithoutSystemd, "old-01")?;
    ensure!(
        node.sh("test -e /run/systemd/system || command -v systemctl")?
            .code
            != 0,
        "there is systemd"
    );
    let archive = std::fs::read(Packed::node_exporter()?.path)?;
    let unpack = "tar -xz --strip-components=1 -C /usr/local/bin";
    node.sh_within(Duration::from_secs(30), unpack, &archive)?.ok()?;
    node.sh(
        "start-stop-daemon --start --background --exec /usr/local/bin/node_exporter -- \
         --collector.textfile.directory=/var/lib/node_exporter/textfile",
    )?
    .ok()?;
    answers(&node, 9100)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    // when it is enrolled as what it is, after a refusal that says why,
    let said = node.types(&format!("{} -s -- --adopt", token.one_line))?;
    ensure!(
        said.code == 1 && said.all().contains("systemd is not the running init"),
        "exit {}: {}",
        said.code,
        said.all()
    );
    node.types_well(&format!("{} -s -- --adopt --skip-preflight", token.one_line))?;
    ensure!(site.node("old-01")?["status"] == "online");

    // then cron starts a round by itself, as whom it has to be, and what it found is served.
    let line = String::from_utf8(node.read(LINE)?)?;
    ensure!(
        line.contains("\n* * * * * root /opt/aami/") && line.contains("/aami-agent checks run "),
        "{line}"
    );
    serves_status(&node, "mounts", 0)?;
    let list = node.types("aami-agent checks list")?.stdout;
    let mounts = list.lines().find(|line| line.starts_with("mounts "));
    ensure!(
        mounts.is_some_and(|line| line.contains(" ok ") && line.contains(" aami-check ")),
        "{list}"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    // A line that somebody removed is named, and mended.
    node.sh(&format!("rm {LINE}"))?.ok()?;
    let bad = not_well(&node)?;
    ensure!(bad.len() == 1 && bad[0].contains(LINE), "{bad:#?}");
    node.types_well("aami-agent bootstrap --repair --skip-preflight")?;
    ensure!(String::from_utf8(node.read(LINE)?)? == line);
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    // Taken back, cron has nothing of ours to start, and the exporter still answers.
    node.types_well("aami-agent uninstall")?;
    ensure!(site.node("old-01")?["status"] == "inactive");
    answers(&node, 9100)?;
    is_as_before(&node, &before, "uninstalling")
}
