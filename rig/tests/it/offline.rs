//! A bundle made on a machine with everything, and a server made of it on a machine whose cable is out.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};

use crate::server_install::stage::Stage;
use crate::site::{ARCH, Typing as _, built, is_as_before};
use crate::workshop::Workshop;

/// What is typed; more options may follow.
const INSTALL: &str =
    "/root/aami server install --unattended --domain server --offline /root/aami-offline.tar.zst";

/// How many questions came to this machine's own name server, at which nobody listens.
pub(crate) fn questions(node: &Node) -> Result<u64> {
    let text = node.sh("cat /proc/net/snmp")?.ok()?;
    let mut lines = text.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let at = names.split(' ').position(|name| name == "NoPorts");
    let value = at.and_then(|at| values.split(' ').nth(at));
    value.context(text.clone())?.parse().context(text)
}

#[test]
fn a_machine_without_a_network_becomes_a_server_that_has_all_its_nodes_need() -> Result<()> {
    // Given a bundle made where everything is,
    let workshop = Workshop::open()?;
    workshop.bundle(&["new-key", "bundle.key"])?;
    let made = workshop.bundle(&["create", "--from", "root", "--key", "bundle.key"])?;
    ensure!(made.contains(&format!("for {ARCH}, ")), "{made}");
    workshop.bundle(&[
        "create",
        "--from",
        "root",
        "--key",
        "bundle.key",
        "--output",
        "again.tar.zst",
    ])?;
    ensure!(
        fs::read(workshop.at("aami-offline.tar.zst"))? == fs::read(workshop.at("again.tar.zst"))?,
        "made twice, it is not the same"
    );
    workshop.bundle(&["verify", "aami-offline.tar.zst", "--key", "bundle.pub"])?;

    // and a machine whose cable is out, and whose questions for names can be counted,
    let net = Net::new()?;
    let stage = Stage {
        node: workshop.machine(&net, "server", "/root/aami")?,
    };
    let node = &stage.node;
    node.write("/etc/resolv.conf", b"nameserver 127.0.0.1\n", 0o644)?;
    let before = node.picture()?;
    node.connected(false)?;
    let asked = questions(node)?;

    // when nobody says whose bundle it is, or it is another's, or a bit of it flipped, then nothing is installed;
    node.types_in_vain(INSTALL, 10, "BUNDLE_KEY_UNKNOWN")?;
    node.types_in_vain(
        &format!("{INSTALL} --bundle-key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"),
        10,
        "BUNDLE_SIGNATURE_INVALID",
    )?;
    let mut bytes = fs::read(workshop.at("aami-offline.tar.zst"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    node.write("/root/flipped.tar.zst", &bytes, 0o644)?;
    let flipped = INSTALL.replace("aami-offline", "flipped");
    let said = node.types_in_vain(
        &format!("{flipped} --bundle-key /root/bundle.pub"),
        10,
        "BUNDLE_DAMAGED",
    )?;
    ensure!(
        said.all().contains("amd64/aami") || said.all().contains("components/"),
        "no entry is named: {}",
        said.all()
    );
    node.sh("rm /root/flipped.tar.zst")?.ok()?;
    is_as_before(node, &before, "refusing")?;

    // when its key is named, then everything comes out of it,
    let install = format!("{INSTALL} --bundle-key /root/bundle.pub");
    node.types_well(&format!("{install} --dry-run"))?;
    is_as_before(node, &before, "looking")?;
    node.types_well(&install)?;
    stage.all_well()?;
    for file in ["aami-agent", "components.toml", "node_exporter-*.tar.gz"] {
        node.sh(&format!("ls /var/lib/aami/server/dist/{ARCH}/{file}"))?
            .ok()
            .with_context(|| format!("{file} is not handed out"))?;
    }
    let left = node.sh("ls -A /var/tmp | grep aami-bundle")?.stdout;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    // nobody was looked up,
    ensure!(questions(node)? == asked, "a name was asked for");
    node.sh("getent hosts example.com || true")?;
    ensure!(questions(node)? > asked, "a question would not have been counted");
    // and the same again starts nothing.
    let pids = stage.pids()?;
    node.types_well(&install)?;
    ensure!(stage.pids()? == pids, "something was started again");

    // With a cable to its nodes, and none to the world, one enrols with what came in the bundle.
    node.connected(true)?;
    let other = Node::boot(&net, Release::Bookworm, "node1")?;
    other.types_well(&stage.one_line()?)?;
    wait_until(Duration::from_secs(45), "the node is scraped", || {
        let up = stage.query("up{job=\"node\",node=\"node1\"}")?;
        ensure!(up == ["1"], "{up:?}");
        Ok(())
    })
    .with_context(|| stage.journal())?;

    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "an uninstall")
}

#[test]
fn a_bundle_for_another_processor_says_for_which_it_is() -> Result<()> {
    let workshop = Workshop::open()?;
    let (here, other) = (ARCH, if ARCH == "amd64" { "arm64" } else { "amd64" });
    // Given a bundle of programs for the other processor: only their headers are looked at here,
    let folder = workshop.at("other").join(other);
    fs::create_dir_all(&folder)?;
    let machine = if other == "amd64" { 62 } else { 183 };
    for name in ["aami", "aami-agent"] {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        bytes.extend([machine, 0, 0, 0]);
        fs::write(folder.join(name), bytes)?;
    }
    fs::write(workshop.at("other/components.toml"), "format = 1\n")?;
    workshop.bundle(&[
        "create",
        "--from",
        "other",
        "--arch",
        other,
        "--components=",
        "--output",
        "aami-offline.tar.zst",
    ])?;
    // when a server is to be made of it, then one sentence says what it holds.
    let ended = Command::new(built("aami")?)
        .args(["server", "install", "--unattended", "--offline"])
        .arg(workshop.at("aami-offline.tar.zst"))
        .args(["--unsigned-bundle", "--dry-run"])
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.code() == Some(5), "{said}");
    ensure!(
        said.contains(&format!("has nothing for {here}: it is for {other}"))
            && said.contains("BUNDLE_OTHER_ARCH"),
        "{said}"
    );
    Ok(())
}
