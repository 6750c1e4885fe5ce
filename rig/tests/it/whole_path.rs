//! From nothing to monitored and back: Debian 11, 12 and 13, the one line, a real Prometheus.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::engines::Prometheus;
use rig::{Net, Node, Release, wait_until};

use crate::node_token::is_hardened;
use crate::site::{Site, Typing as _};

/// From registration to the first good scrape.
const SCRAPED: Duration = Duration::from_secs(30);

#[test]
fn three_releases_go_from_nothing_to_monitored_and_back() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;

    // A Prometheus that knows the control plane and nothing of any node.
    let watch = net.host("watch")?;
    let folder = watch.folder().join("prometheus");
    let ca = site.data().join("tls/ca.pem");
    let written = site.aami(&[
        "config",
        "prometheus",
        "--write",
        &folder.to_string_lossy(),
        "--server",
        &site.url(),
        "--ca-file",
        &ca.to_string_lossy(),
    ])?;
    ensure!(written.code == 0, "{written:?}");
    let prometheus = Prometheus::start_in(&watch, &folder)?;

    let nodes: Vec<Node> = boot(&net)?;
    let before = nodes.iter().map(Node::picture).collect::<Result<Vec<_>>>()?;

    // The one line.
    let token = site.token(&["--name", "rack", "--max-uses", "3", "--labels", "rack=A1"])?;
    for node in &nodes {
        node.types_well(&token.one_line)?;
    }
    let registered = Instant::now();
    for node in &nodes {
        let known = site.node(node.name())?;
        ensure!(known["status"] == "online", "{known:#}");
        ensure!(known["labels"]["rack"] == "A1", "{known:#}");
        let metrics = node.sh("curl -sf http://127.0.0.1:9100/metrics")?.ok()?;
        ensure!(metrics.contains("node_uname_info"), "{metrics:.200}");
        is_hardened(node).with_context(|| node.name().to_owned())?;
    }

    // Prometheus finds and scrapes them.
    wait_until(
        SCRAPED.saturating_sub(registered.elapsed()),
        "all three are up",
        || {
            let up = prometheus.query("up{job='node'} == 1")?;
            ensure!(up.len() == nodes.len(), "{up:?}");
            Ok(())
        },
    )
    .with_context(|| prometheus.log())?;

    // Once more is no harm, and uses nothing up.
    nodes[0].types_well(&token.one_line)?;
    let uses = site.json(&["tokens", "show", &token.id])?;
    ensure!(uses["remaining"] == 0 && uses["used"] == 3, "{uses:#}");

    // A retired node leaves discovery at once.
    ensure!(site.discovered("sd/prometheus")?.len() == 3);
    let retired = site.aami(&["nodes", "retire", nodes[0].name()])?;
    ensure!(retired.code == 0, "{retired:?}");
    ensure!(
        !site
            .discovered("sd/prometheus")?
            .contains(&nodes[0].name().to_owned())
    );

    // And back to nothing.
    for (node, before) in nodes.iter().zip(&before) {
        node.types_well("aami-agent uninstall")?;
        let changes = before.changes_in(&node.picture()?);
        ensure!(changes.is_empty(), "left on {}: {changes:#?}", node.name());
        ensure!(site.node(node.name())?["status"] == "inactive");
    }
    ensure!(site.discovered("sd/prometheus")?.is_empty());
    Ok(())
}

/// One node of each release, at once.
fn boot(net: &Net) -> Result<Vec<Node>> {
    std::thread::scope(|scope| {
        let boots = Release::ALL.map(|release| {
            let name = format!("node-{}", release.codename());
            scope.spawn(move || Node::boot(net, release, &name))
        });
        boots
            .into_iter()
            .map(|boot| boot.join().expect("no panic"))
            .collect()
    })
}
