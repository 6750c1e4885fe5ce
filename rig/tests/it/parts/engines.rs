//! Every engine starts, answers, and leaves its port when it is gone.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rig::engines::{Etcd, Nginx, NodeExporter, Prometheus, Site, promtool};
use rig::{Mirror, Packed, Place, wait_until};

#[test]
fn etcd_keeps_its_data_over_a_kill() -> Result<()> {
    let mut etcd = Etcd::start(Place::Loopback)?;
    let put = format!("http://{}/v3/kv/put", etcd.endpoint());
    // Keys and values are base64 in etcd's JSON: "a" = "1".
    Place::Loopback.get(&put, &["--data", r#"{"key":"YQ==","value":"MQ=="}"#])?;

    etcd.kill()?;
    etcd.start_again()?;

    let range = format!("http://{}/v3/kv/range", etcd.endpoint());
    let found = Place::Loopback.get(&range, &["--data", r#"{"key":"YQ=="}"#])?;
    ensure!(found.contains(r#""value":"MQ==""#), "{found}");
    Ok(())
}

#[test]
fn a_frozen_etcd_says_nothing_and_goes_on() -> Result<()> {
    let etcd = Etcd::start(Place::Loopback)?;
    let health = format!("http://{}/health", etcd.endpoint());

    etcd.freeze()?;
    let silence = Place::Loopback
        .get(&health, &["--max-time", "1"])
        .expect_err("it is frozen");
    ensure!(silence.to_string().contains("timed out"), "{silence:#}");

    etcd.thaw()?;
    Place::Loopback.get(&health, &[])?;
    Ok(())
}

#[test]
fn prometheus_scrapes_node_exporter() -> Result<()> {
    let exporter = NodeExporter::start(Place::Loopback)?;
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.endpoint()
    );
    let prometheus = Prometheus::start(Place::Loopback, &configuration)?;

    wait_until(Duration::from_secs(20), "the exporter is up", || {
        let up = prometheus.query("up{job='node'}")?;
        ensure!(up.len() == 1 && (up[0].1 - 1.0).abs() < f64::EPSILON, "{up:?}");
        Ok(())
    })?;
    ensure!(prometheus.targets()?.len() == 1);
    Ok(())
}

#[test]
fn promtool_refuses_a_bad_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, "scrape_configs: [{job_name: ''}]\n").expect("it is written");
    let refused = promtool(&["check", "config", &file.to_string_lossy()]).expect_err("it is bad");
    assert!(format!("{refused:#}").contains("job_name"), "{refused:#}");
}

#[test]
fn a_mirror_hands_out_node_exporter_to_those_with_credentials() -> Result<()> {
    let packed = Packed::node_exporter()?;
    let mirror = Mirror::start(Place::Loopback, |site| site.behind("site", "secret"))?;
    mirror.add(&packed)?;

    let sums = format!("{}/sha256sums.txt", mirror.url());
    let refused = Place::Loopback
        .get(&sums, &[])
        .expect_err("no credentials were given");
    ensure!(refused.to_string().contains("401"), "{refused:#}");
    let sums = Place::Loopback.get(&sums, &["--user", "site:secret"])?;
    ensure!(
        sums == format!("{}  {}\n", packed.sha256, packed.file_name()),
        "{sums}"
    );
    ensure!(mirror.log().contains("GET /sha256sums.txt"), "{}", mirror.log());
    Ok(())
}

#[test]
fn the_port_of_a_dropped_engine_is_free() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = Nginx::start(Place::Loopback, &Site::of(folder.path()))?.url();
    wait_until(
        Duration::from_secs(5),
        "nobody answers",
        || match Place::Loopback.get(&url, &[]) {
            Ok(answer) => Err(anyhow!("somebody answered: {answer}")),
            Err(error) if error.to_string().contains("connect") => Ok(()),
            Err(error) => Err(error),
        },
    )
}
