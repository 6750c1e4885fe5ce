//! How a machine becomes a node, and how that is taken back: BOOTSTRAP and NODE-REGISTRATION.

use anyhow::{Result, ensure};
use rig::Picture;
use serde_json::Value;

use super::has;
use super::page::Page;
use super::place::{Guided, Printed, at};
use crate::site::{Typing as _, is_as_before};

/// The three forms, each on the same machine: the second and third find nothing left to do.
pub(super) fn bootstrap(page: &mut Page, site: &Guided, token: &Printed) -> Result<()> {
    let node = &site.first;
    let line = page.next("curl -fsSLk --pinnedpubkey")?;
    ensure!(token.elided() == line, "printed is {}", token.elided());
    has(&site.types(node, &token.one_line)?.all(), "online")?;
    ensure!(site.asks("aami nodes show gpu-01")?["status"] == "online");

    site.types(&site.server.node, &page.next("tls/ca.pem > ca.pem")?)?;
    site.carries("ca.pem", node)?;
    site.carries("ca.pem", &site.second)?;
    node.write("/root/token", token.secret.as_bytes(), 0o600)?;
    let pid = "systemctl show -P MainPID aami-node-exporter aami-agent";
    let running = node.types_well(pid)?.stdout;
    site.types(
        node,
        &page.next("--ca-file /root/ca.pem --token-file /root/token")?,
    )?;
    let by_pin = page.next("--pin sha256//…")?.replace("sha256//…", &token.pin);
    site.types(node, &by_pin)?;
    ensure!(node.types_well(pid)?.stdout == running, "it was started again");
    let used = &site.asks("aami tokens show rack-a1")?["used"];
    ensure!(used == 1, "the same machine took {used} uses");
    Ok(())
}

/// What is looked at before.
pub(super) fn looks_first(page: &mut Page, site: &Guided) -> Result<()> {
    let before = site.second.picture()?;
    has(
        &site
            .types(&site.second, &page.next("preflight-check.sh")?)?
            .stdout,
        "Exit code: 0",
    )?;
    is_as_before(&site.second, &before, "looking")?;
    let look = page.next("aami-agent preflight --mode node --server")?;
    has(&site.types(&site.first, &look)?.stdout, "Exit code: 0")?;
    let mends = page.next("--ca-file /root/ca.pem --fix")?;
    has(&site.types(&site.first, &mends)?.stdout, "Exit code: 0")
}

/// A declared node, one without an agent, and one that was installed anew.
pub(super) fn registration(page: &mut Page, site: &Guided, token: &Printed) -> Result<()> {
    let (server, node) = (&site.server.node, &site.declared);
    let address = node.address().to_string();
    site.types(
        server,
        &page.next("nodes add gpu-07")?.replace("10.0.0.7", &address),
    )?;
    ensure!(site.asks("aami nodes show gpu-07")?["status"] == "pending");
    site.types(server, &page.next("nodes token gpu-07")?)?;
    ensure!(site.asks("aami nodes show gpu-07")?["status"] == "online");

    let register = page.next("/api/v1/bootstrap/register")?;
    let answer = site
        .types(server, &register.replace("aami_…", &token.secret))?
        .stdout;
    let answer: Value = serde_json::from_str(&answer)?;
    let credential = answer["credential"].as_str().unwrap_or_default();
    ensure!(
        answer["node"]["hostname"] == "win-01" && credential.starts_with("aamin_"),
        "neither node nor credential: {answer:#}"
    );
    has(&server.types_well("aami nodes list")?.stdout, "win-01")?;

    // Installed anew, it has another key, and is let in when somebody says so.
    node.types_well("aami-agent uninstall --keep-registration && rm -rf /var/lib/aami")?;
    node.types_in_vain(&token.one_line, 6, "ALREADY_ENROLLED")?;
    site.types(server, &page.next("nodes allow-reenrol gpu-07")?)?;
    site.types(node, &token.one_line)?;
    has(
        &site.types(server, &page.next("nodes verify gpu-07")?)?.stdout,
        "yes",
    )
}

/// Both ways of taking it back leave the machines as they were, and retire the nodes.
pub(super) fn takes_back(page: &mut Page, site: &Guided, before: (Picture, Picture)) -> Result<()> {
    let mut take = |part: &str, node: &rig::Node, before: &Picture| {
        node.types_well(&at(&page.next(part)?))?;
        node.types_well("rm -f /root/ca.pem /root/token")?;
        is_as_before(node, before, "an uninstall")?;
        let standing = site.asks(&format!("aami nodes show {}", node.name()))?;
        ensure!(standing["status"] == "inactive", "{standing:#}");
        Ok(())
    };
    take("sudo aami-agent uninstall", &site.first, &before.0)?;
    take("uninstall.sh | sudo bash", &site.second, &before.1)
}
