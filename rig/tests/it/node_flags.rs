//! What is left out when asked, and the proxies that services keep.

use anyhow::{Result, ensure};
use rig::{Net, Node, Release};

use crate::node_parts::{close, give_gpus, not_well, ruleset};
use crate::site::{Site, Typing as _, is_as_before};

#[test]
fn what_is_skipped_is_not_there_and_not_missed() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    close(&node)?;
    // The site lets the control plane in by itself.
    node.sh(&format!(
        "nft add rule inet filter input ip saddr {} accept",
        site.host().address()
    ))?
    .ok()?;
    let (before, rules) = (node.picture()?, ruleset(&node)?);
    let token = site.token(&["--name", "rack"])?;

    // Nobody here offers an exporter for the GPUs, which is said before the first change.
    node.types_in_vain(&token.one_line, 1, "COMPONENT_MISSING")?;
    is_as_before(&node, &before, "a refusal")?;
    node.types_well(&format!(
        "{} -s -- --skip-gpu --skip-firewall --skip-checks --skip-preflight --unattended",
        token.one_line
    ))?;

    ensure!(site.node("gpu-01")?["exporters"].as_array().map(Vec::len) == Some(1));
    ensure!(ruleset(&node)? == rules, "{}", ruleset(&node)?);
    ensure!(
        node.sh("systemctl cat aami-checks.timer")?.code != 0,
        "checks are there"
    );
    ensure!(
        node.sh("getent passwd aami-check")?.code != 0,
        "their user is there"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}

#[test]
fn proxies_are_kept_for_the_services_that_need_them_and_nowhere_else() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    let proxies = format!(
        "export https_proxy=http://user:pa55canary@10.77.0.250:3128 no_proxy={},.example.com",
        site.host().address()
    );

    node.types_well(&format!(
        "{proxies}; {}",
        token.one_line.replace("| sudo sh", "| sh")
    ))?;

    let kept = String::from_utf8(node.read("/etc/aami/proxy.env")?)?;
    ensure!(
        kept.contains("HTTPS_PROXY=\"http://user:pa55canary@10.77.0.250:3128\""),
        "{kept}"
    );
    ensure!(node.sh("stat -c '%a %U' /etc/aami/proxy.env")?.ok()? == "600 root\n");
    let unit = node
        .sh("systemctl show aami-checks.service -p EnvironmentFiles")?
        .ok()?;
    ensure!(unit.contains("/etc/aami/proxy.env"), "{unit}");
    let found = node.sh(
        "grep -rls pa55canary /etc /var /opt /run /root /tmp; journalctl --no-pager | grep -c pa55canary",
    )?;
    ensure!(found.stdout == "/etc/aami/proxy.env\n0\n", "{}", found.stdout);
    // A later run from another shell has not said that the proxy is gone.
    node.types_well("aami-agent bootstrap --repair")?;
    ensure!(String::from_utf8(node.read("/etc/aami/proxy.env")?)? == kept);
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}
