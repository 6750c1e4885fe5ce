//! Many nodes, pipelines, what is looked at when something does not work, and what is said of security: BULK, CI-CD,
//! TROUBLESHOOTING and SECURITY.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::page::Page;
use super::place::Guided;
use super::{has, quoted};
use crate::site::Typing as _;

/// A row of machines with one token. clush and cloud-init are not here: what they carry is carried, and what they run
/// is run, on a machine that is a node already, on one that is none, and there once more.
pub(super) fn in_bulk(page: &mut Page, site: &Guided) -> Result<()> {
    let server = &site.server.node;
    site.types(server, &page.next("groups create racks")?)?;
    site.types(server, &page.next("tokens create --name row-7")?)?;
    site.types(server, &page.next("tls/ca.pem > ca.pem")?)?;

    let carried = page.next("clush -w gpu-[01-48] --copy")?;
    let files = carried
        .split_once("--copy ")
        .and_then(|(_, rest)| rest.split_once(" --dest /root"));
    let (files, _) = files.with_context(|| carried.clone())?;
    let enrols = page.next("clush -w gpu-[01-48] 'curl")?;
    let forgets = page.next("clush -w gpu-[01-48] 'rm")?;
    let by_cloud_init = page.next("[sh, -c,")?;
    for node in [&site.first, &site.second] {
        for file in files.split(' ') {
            site.carries(file, node)?;
        }
        node.types_well(quoted(&enrols, '\'')?)?;
    }
    node_changes_nothing(site, quoted(&by_cloud_init, '"')?)?;
    for node in [&site.first, &site.second] {
        node.types_well(quoted(&forgets, '\'')?)?;
    }
    let token = site.asks("aami tokens show row-7")?;
    ensure!(token["used"] == 1, "{token:#}");

    let racks = site
        .types(server, &page.next("nodes list --group racks")?)?
        .stdout;
    has(&racks, "gpu-02")?;
    for status in ["installing", "error"] {
        let waited = site
            .types(server, &page.next(&format!("--status {status}"))?)?
            .stdout;
        ensure!(!waited.contains("gpu-"), "{waited}");
    }
    has(&site.types(server, &page.next("runs list")?)?.stdout, "gpu-02")
}

/// The same line again starts nothing.
fn node_changes_nothing(site: &Guided, line: &str) -> Result<()> {
    let pids = "systemctl show -P MainPID aami-node-exporter aami-agent";
    let running = site.second.types_well(pids)?.stdout;
    site.second.types_well(line)?;
    ensure!(
        site.second.types_well(pids)?.stdout == running,
        "it was started again"
    );
    Ok(())
}

/// What programs type, and the JSON they get.
pub(super) fn in_pipelines(page: &mut Page, site: &Guided) -> Result<()> {
    let (server, node) = (&site.server.node, &site.first);
    let json = |line: &str, node| -> Result<Value> {
        let said = site.types(node, line)?.stdout;
        serde_json::from_str(&said).with_context(|| format!("{line}: {said}"))
    };
    let looked = json(&page.next("--json --quiet")?, node)?;
    ensure!(looked["passed"] == true, "{looked:#}");
    let status = json(&page.next("aami server status --json")?, server)?;
    ensure!(status["healthy"] == true, "{status:#}");

    site.types(server, &page.next("--save-to ./token")?)?;
    let kept = server.types_well("stat -c %a /root/token")?.stdout;
    ensure!(kept.trim() == "600", "the token's file is {kept}");
    site.types(server, &page.next("tokens revoke ci-job")?)?;

    has(
        &site.types(server, &page.next("nodes verify gpu-01")?)?.stdout,
        "yes",
    )?;
    let online = json(&page.next("nodes list --status online -o json")?, server)?;
    has(&online.to_string(), "gpu-01")?;

    node.types_well("systemctl disable --now aami-node-exporter")?;
    site.types(node, &page.next("bootstrap --repair")?)?;
    let mended = node.types_well("systemctl is-active aami-node-exporter")?.stdout;
    ensure!(mended.trim() == "active", "{mended}");
    Ok(())
}

/// What is looked at afterwards, on a node and on the server that are well.
pub(super) fn troubleshooting(page: &mut Page, site: &Guided) -> Result<()> {
    let (server, node) = (&site.server.node, &site.first);
    site.types(node, &page.next("aami-agent status")?)?;
    site.types(server, &page.next("aami server status")?)?;
    site.types(node, &page.next("aami-agent bootstrap --status")?)?;
    site.types(server, &page.next("nodes verify gpu-01")?)?;
    // Where more is read.
    has(
        &node.types_well("journalctl --no-pager -u 'aami-*'")?.stdout,
        "aami",
    )?;
    let logs = node.types_well("find /var/lib/aami/install -name log -size +0")?;
    ensure!(!logs.stdout.is_empty(), "no log lies beside the receipt");
    Ok(())
}

/// What SECURITY says of a server and a node as they were just installed.
pub(super) fn is_as_secure_as_it_says(site: &Guided) -> Result<()> {
    let (server, node) = (&site.server.node, &site.first);
    let open = server.types_well(
        "find /etc/aami/secrets /var/lib/aami/server/admin.key /var/lib/aami/server/tls/*.key -type f -perm /077",
    )?;
    ensure!(open.stdout.is_empty(), "others may read {}", open.stdout);
    let listening = server.types_well("ss -Hltn '( sport = :9090 or sport = :9093 or sport = :3000 )'")?;
    let places: Vec<&str> = listening
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    ensure!(
        places.len() == 3 && places.iter().all(|place| place.starts_with("127.0.0.1:")),
        "{places:?}"
    );
    // To others plain HTTP is answered with the other address alone.
    let plain =
        node.types_well("curl -s -o /root/plain -w '%{http_code}' http://aami.example.com:8080/ca.pem")?;
    ensure!(plain.stdout == "403", "{plain:?}");
    node.types_well("rm /root/plain")?;

    let rights = node.types_well(
        "for right in CapabilityBoundingSet ProtectSystem ReadWritePaths; do systemctl show -P $right aami-agent; done",
    )?;
    ensure!(
        rights.stdout == "cap_syslog\nstrict\n/var/lib/aami/agent/spool -/etc/aami/rules\n",
        "{}",
        rights.stdout
    );
    let updater = node.types("systemctl is-active aami-agent-update")?;
    ensure!(
        updater.stdout.trim() != "active",
        "the updater runs without an update"
    );
    let user = node.types_well("stat -c %U /proc/$(systemctl show -P MainPID aami-node-exporter)")?;
    ensure!(user.stdout.trim() == "node_exporter", "{}", user.stdout);
    let checks = node.types_well("id aami-check && systemctl is-active aami-checks.timer")?;
    has(&checks.stdout, "active")
}
