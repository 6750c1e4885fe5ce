//! An installation, watched while it happens: by remote write into a real Prometheus, and by its operator.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::engines::Prometheus;
use rig::{Net, Node, Place, Receiver, Release, wait_until};

use crate::node_parts::metrics;
use crate::site::{Site, Typing as _, is_as_before};

/// The samples of a host's steps, as Prometheus has them now: id and status.
fn steps(prometheus: &Prometheus<'_>, host: &str) -> Result<Vec<(String, f64)>> {
    let found = prometheus.query(&format!(
        r#"max by (step) (aami_install_step_status{{host=~"{host}.*"}})"#
    ))?;
    let mut steps: Vec<(String, f64)> = found
        .into_iter()
        .map(|(labels, value)| (labels["step"].as_str().unwrap_or_default().to_owned(), value))
        .collect();
    steps.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(steps)
}

#[test]
fn an_installation_is_seen_step_by_step_and_its_failure_by_name() -> Result<()> {
    // Given a Prometheus that takes remote write, beside a control plane
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let watch = net.host("watch")?;
    let prometheus = Prometheus::receiving(&watch, "scrape_configs: []\n", 9090)?;
    let write = format!("--remote-write {}/api/v1/write", prometheus.url());

    // when a machine is bootstrapped,
    let good = Node::boot(&net, Release::Bookworm, "gpu-good")?;
    let token = site.token(&["--name", "rack", "--max-uses", "2"])?;
    let line = format!("{} -s -- {write}", token.one_line);
    let said = good.types_well(&line)?;
    ensure!(!said.all().contains("were not told"), "{said:?}");

    // then each of its steps stands in Prometheus as completed, at the time when it was;
    let told = steps(&prometheus, "gpu-good")?;
    ensure!(
        told.len() > 3 && told.iter().all(|(_, status)| *status == 2.0),
        "{told:?}"
    );
    let over_time =
        prometheus.samples(r#"aami_install_step_status{host=~"gpu-good.*", step="register"}[10m]"#)?;
    let states: Vec<f64> = over_time
        .iter()
        .flat_map(|(_, points)| points.iter().map(|(_, value)| *value))
        .collect();
    ensure!(states.starts_with(&[0.0, 1.0, 2.0]), "{over_time:?}");

    // its operator sees the same run, and Prometheus would learn of it from the control plane, too.
    let runs = site.aami(&["runs", "list", "--node", "gpu-good"])?;
    ensure!(runs.stdout.contains("completed"), "{runs:?}");
    let key = std::fs::read_to_string(site.data().join("admin.key"))?;
    let metrics = Place::On(site.host()).get(
        "http://127.0.0.1:8080/metrics",
        &["--header", &format!("Authorization: Bearer {}", key.trim())],
    )?;
    let register = metrics.lines().find(|line| {
        line.starts_with("aami_install_step_status{")
            && line.contains("gpu-good")
            && line.contains("register")
    });
    ensure!(register.is_some_and(|line| line.ends_with(" 2")), "{register:?}");

    // A machine whose port is taken fails, and which step it was is known in both places.
    let bad = Node::boot(&net, Release::Bookworm, "gpu-bad")?;
    bad.sh("mkdir -p /srv/www && systemd-run --unit=stranger busybox httpd -f -p 9100 -h /srv/www")?
        .ok()?;
    wait_until(Duration::from_secs(20), "the port is taken", || {
        bad.sh("curl -s -o /dev/null http://127.0.0.1:9100/")?
            .ok()
            .map(drop)
    })?;
    let said = bad.types(&line)?;
    ensure!(said.code != 0, "{said:?}");
    let told = steps(&prometheus, "gpu-bad")?;
    let failed: Vec<&str> = told
        .iter()
        .filter(|(_, status)| *status == 3.0)
        .map(|(step, _)| step.as_str())
        .collect();
    ensure!(failed == ["preflight"], "{told:?}");
    Ok(())
}

/// The status of each step as the node itself serves it.
fn served(node: &Node) -> Result<Vec<(String, String)>> {
    let text = metrics(node, 9100)?;
    let steps = text
        .lines()
        .filter_map(|line| line.strip_prefix("aami_install_step_status{"));
    let told = steps.filter_map(|line| {
        let (labels, status) = line.split_once("} ")?;
        let step = labels.split("step=\"").nth(1)?.trim_end_matches('"');
        Some((step.to_owned(), status.to_owned()))
    });
    Ok(told.collect())
}

#[test]
fn a_node_serves_how_its_installation_went_and_a_collector_is_told() -> Result<()> {
    // Given a collector that takes OTLP, and a machine,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let hall = net.host("collector")?;
    let collector = Receiver::start(Path::new(env!("CARGO_BIN_EXE_rig-receiver")), &hall)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-told")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    // when it is bootstrapped,
    let line = format!("{} -s -- --otlp {}", token.one_line, collector.url());
    let said = node.types_well(&line)?;
    ensure!(!said.all().contains("were not told"), "{said:?}");

    // then its own exporter serves every step as completed,
    wait_until(Duration::from_secs(20), "the node serves its steps", || {
        let steps = served(&node)?;
        ensure!(
            steps.len() > 7 && steps.iter().all(|(_, status)| status == "2"),
            "{steps:?}"
        );
        Ok(())
    })?;
    // and the collector was told of them.
    let got = collector.got()?;
    ensure!(
        !got.is_empty() && got.iter().all(|one| one.path == "/v1/metrics"),
        "{got:?}"
    );
    let told: String = got.iter().map(|one| one.body.to_string()).collect();
    for name in [
        "aami_install_step_status",
        "aami_install_progress_ratio",
        "\"register\"",
    ] {
        ensure!(told.contains(name), "{name} is not in {told}");
    }

    // A run that fails is served as such, by its step,
    node.sh("systemd-run --unit=stranger busybox httpd -f -p 9101 -h /srv")?
        .ok()?;
    wait_until(Duration::from_secs(20), "the port is taken", || {
        node.sh("curl -s -o /dev/null http://127.0.0.1:9101/")?
            .ok()
            .map(drop)
    })?;
    let said = node.types("aami-agent bootstrap --port 9101")?;
    ensure!(said.code != 0, "{said:?}");
    let failed = ("preflight".to_owned(), "3".to_owned());
    ensure!(served(&node)?.contains(&failed), "{:?}", served(&node)?);
    // until the next one comes to a good end, though it has nothing to do;
    node.sh("systemctl stop stranger")?.ok()?;
    node.types_well("aami-agent bootstrap")?;
    ensure!(!served(&node)?.contains(&failed), "{:?}", served(&node)?);
    // and with the node it goes.
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "an uninstall")
}

#[test]
fn a_prometheus_that_is_gone_holds_no_installation_up() -> Result<()> {
    // Given an address where nobody listens, and one that drops everything
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-alone")?;
    let token = site.token(&["--name", "rack"])?;
    let nobody = format!("http://{}:9090/api/v1/write", site.host().address());

    // when a machine is bootstrapped, then it becomes a node, and says what was not told;
    let line = format!("{} -s -- --remote-write {nobody}", token.one_line);
    let said = node.types_well(&line)?;
    ensure!(said.all().contains("were not told by remote write"), "{said:?}");
    ensure!(site.node("gpu-alone")?["status"] == "online");

    // and the second run, with nothing to do, is as quiet on the host as without.
    let again = node.types_well(&line).context("the same line again")?;
    ensure!(!again.all().contains("changed:"), "{again:?}");
    Ok(())
}
