//! What can be wrong between a node and its control plane: each is said, and nothing unverified is placed.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::engines::{Nginx, Site as Folder, WildcardDns};
use rig::{Net, Node, Picture, Release, wait_until};

use crate::site::{Site, Typing as _, is_as_before};

const HTML: &[u8] = b"<!DOCTYPE html>\n<html><body>Please accept the terms of this network.</body></html>\n";

/// A node that has already fetched the agent by hand, the CA, and a token in a file: what is typed next is up to
/// the story.
struct Prepared {
    node: Node,
    before: Picture,
}

fn prepared(net: &Net, site: &Site) -> Result<Prepared> {
    let node = Node::boot(net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "by hand"])?;
    node.write("/root/token", token.secret.as_bytes(), 0o600)?;
    node.write(
        "/root/ca.pem",
        &std::fs::read(site.data().join("tls/ca.pem"))?,
        0o644,
    )?;
    node.write("/root/aami-agent", &std::fs::read(site.agent())?, 0o755)?;
    let before = node.picture()?;
    Ok(Prepared { node, before })
}

impl Prepared {
    fn is_untouched(&self) -> Result<()> {
        is_as_before(&self.node, &self.before, "a refusal")
    }
}

#[test]
fn a_server_that_is_not_there_is_said_with_the_hop_that_failed() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let prepared = prepared(&net, &site)?;
    let node = &prepared.node;
    let bootstrap = "/root/aami-agent bootstrap --token-file /root/token --ca-file /root/ca.pem --server";

    // A port where nobody listens, a name nobody knows, an address nobody has.
    let refused = node.types_in_vain(&format!("{bootstrap} https://control:8099"), 1, "UNREACHABLE")?;
    ensure!(refused.all().contains("control:8099"), "{}", refused.all());
    let nameless = node.types_in_vain(&format!("{bootstrap} https://contrlo:8080"), 1, "UNREACHABLE")?;
    ensure!(nameless.all().contains("contrlo"), "{}", nameless.all());
    site.host().black_hole(8080)?;
    node.types_in_vain(&format!("{bootstrap} https://control:8080"), 1, "UNREACHABLE")?;

    prepared.is_untouched()
}

#[test]
fn a_stranger_at_the_servers_address_is_not_believed() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let other = Site::start_with(&net, "other", &[], &[])?;
    let prepared = prepared(&net, &site)?;
    let node = &prepared.node;

    // Another control plane of the same kind, with a certificate of its own.
    let line = format!(
        "/root/aami-agent bootstrap --token-file /root/token --ca-file /root/ca.pem --server {}",
        other.url()
    );
    node.types_in_vain(&line, 10, "SERVER_NOT_TRUSTED")?;
    // curl itself refuses the line's pin, before anything is run.
    let token = site.token(&["--name", "rack"])?;
    let diverted = token.one_line.replace(&site.url(), &other.url());
    let said = node.types(&format!(
        "bash -o pipefail -c \"{}\"",
        diverted.replace('"', "\\\"")
    ))?;
    ensure!(said.code != 0 && said.all().contains("public key"), "{said:?}");

    prepared.is_untouched()
}

#[test]
fn a_captive_portals_page_is_taken_neither_for_the_script_nor_for_the_agent() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let prepared = prepared(&net, &site)?;
    let node = &prepared.node;

    // A portal that answers everything with its page, in clear, as portals do.
    let portal = net.host("portal")?;
    let pages = tempfile::tempdir()?;
    std::fs::write(pages.path().join("page.html"), HTML)?;
    let _nginx = Nginx::start(
        &portal,
        &Folder::of(pages.path()).with("location / { rewrite ^ /page.html break; }"),
    )?;
    let portal = format!("http://{}", portal.address());

    // Instead of the script: no shell makes anything of it, and each says so itself (2 is its word for what it cannot
    // read, POSIX 2.8.1).
    for shell in ["dash", "bash", "bash --posix", "busybox sh"] {
        let said = node.types(&format!("curl -fsSL {portal}/bootstrap.sh | sudo {shell}"))?;
        ensure!(said.code == 2 && said.stdout.is_empty(), "{shell}: {said:?}");
    }
    // Instead of the control plane.
    let line = format!("/root/aami-agent bootstrap --token-file /root/token --plain-http --server {portal}");
    let said = node.types_in_vain(&line, 1, "code: NOT_AAMI (")?;
    ensure!(said.all().contains("DOCTYPE"), "{}", said.all());
    // Instead of the agent: the script is the real one, the download is not.
    let line = site.generic_script(
        node,
        &format!("--token-file /root/token --plain-http --server {portal}"),
    )?;
    node.types_in_vain(&line, 10, "CHECKSUM_MISMATCH")?;
    node.sh("rm -f /root/script")?;
    prepared.is_untouched()?;
    // Instead of an exporter, from a mirror: what was made ready for it goes again.
    let line = format!(
        "/root/aami-agent bootstrap --token-file /root/token --ca-file /root/ca.pem --server {} --mirror {portal}",
        site.url()
    );
    node.types_in_vain(&line, 10, "code: NOT_A_PROGRAM (")?;
    ensure!(
        node.sh("ls /opt/aami/*/node_exporter /etc/systemd/system/aami-*")?
            .stdout
            .is_empty()
    );
    node.types_well("/root/aami-agent uninstall")?;
    prepared.is_untouched()
}

#[test]
fn a_damaged_agent_is_not_run() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    node.sh(&format!(
        "{} > /tmp/script",
        token.one_line.replace("| sudo sh", "")
    ))?
    .ok()?;

    // The script was rendered for one agent; a shorter one arrives, as from a proxy that lost the rest.
    let agent = site.agent();
    let whole = std::fs::read(&agent)?;
    std::fs::write(&agent, &whole[..whole.len() / 2])?;
    node.types_in_vain("sudo sh /tmp/script", 10, "CHECKSUM_MISMATCH")?;

    // One bit is enough.
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 1;
    std::fs::write(&agent, &bent)?;
    let said = node.types_in_vain("sudo sh /tmp/script", 10, "CHECKSUM_MISMATCH")?;
    ensure!(
        said.all().contains("Expected") && said.all().contains("got"),
        "{}",
        said.all()
    );

    node.sh("rm /tmp/script")?;
    is_as_before(&node, &before, "a refusal")?;
    Ok(())
}

#[test]
fn a_damaged_exporter_is_not_placed() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    let archive = site.served_exporter()?;
    let whole = std::fs::read(&archive)?;

    let half = &whole[..whole.len() / 2];
    for (damaged, code) in [(half, "CHECKSUM_MISMATCH"), (HTML, "NOT_A_PROGRAM")] {
        std::fs::write(&archive, damaged)?;
        node.types_in_vain(&token.one_line, 10, code)?;
        ensure!(
            node.sh("ls /opt/aami/*/node_exporter /etc/systemd/system/aami-*")?
                .stdout
                .is_empty()
        );
    }

    // With the real one in its place, the same line works.
    std::fs::write(&archive, &whole)?;
    node.types_well(&token.one_line)?;
    Ok(())
}

#[test]
fn a_processor_without_an_agent_is_said() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    // What an arm64 machine says of itself.
    node.write("/usr/local/bin/uname", b"#!/bin/sh\necho aarch64\n", 0o755)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    node.types_in_vain(&token.one_line, 5, "AGENT_ARCH_MISSING")?;

    is_as_before(&node, &before, "a refusal")?;
    Ok(())
}

#[test]
fn an_exporter_the_control_plane_cannot_reach_is_named_and_the_line_goes_on_later() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;

    // A firewall between the two.
    node.black_hole(9100)?;
    let said = node.types(&token.one_line)?;
    ensure!(
        said.code != 0 && said.all().contains(&format!("{}:9100", node.address())),
        "{said:?}"
    );
    ensure!(site.node("node1")?["status"] == "error");

    // It goes away, and the same line finishes without using anything more.
    node.answer_again()?;
    node.types_well(&token.one_line)?;
    ensure!(site.node("node1")?["status"] == "online");
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    Ok(())
}

#[test]
fn a_name_server_that_answers_everything_leads_nobody_astray() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let prepared = prepared(&net, &site)?;
    let node = &prepared.node;
    // The portal has a web page and a certificate of its own, and every name leads to it.
    let portal = Site::start_with(&net, "portal", &[], &[])?;
    let mut names = WildcardDns::start(portal.host(), portal.host().address())?;
    let resolver = format!(
        "nameserver {}\noptions timeout:2 attempts:3\n",
        portal.host().address()
    );
    node.write("/etc/resolv.conf", resolver.as_bytes(), 0o644)?;
    let found = wait_until(Duration::from_secs(20), "any name is answered", || {
        names.check()?;
        node.sh("getent ahostsv4 aami.typo.example")?.ok()
    })?;
    ensure!(found.starts_with(&portal.host().address().to_string()), "{found}");

    let bootstrap = "/root/aami-agent bootstrap --token-file /root/token --ca-file /root/ca.pem";
    node.types_in_vain(
        &format!("{bootstrap} --server https://aami.typo.example:8080"),
        10,
        "SERVER_NOT_TRUSTED",
    )?;

    node.sh("printf 'nameserver 10.77.0.254\noptions timeout:1 attempts:1\n' > /etc/resolv.conf")?
        .ok()?;
    prepared.is_untouched()
}
