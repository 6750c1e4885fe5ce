//! A declared fleet without a control plane: lists on disk, what a real Prometheus makes of them, and where it sends
//! samples as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use aami_model::label::Labels;
use aami_monitor::prometheus::{Action, Choice, Configuration, Credential, Queue, RemoteWrite};
use anyhow::ensure;
use rig::engines::{Prometheus, promtool};
use rig::{Place, wait_until};

use crate::exporters::{configuration, fleet, list};
use crate::web::Web;

const PATIENCE: Duration = Duration::from_secs(60);

fn start(folder: &Path, configuration: &Configuration) -> Prometheus<'static> {
    std::fs::write(folder.join("prometheus.yml"), configuration.render().unwrap()).unwrap();
    Prometheus::start_in(Place::Loopback, folder).unwrap()
}

/// What is scraped: job, node, rack, and whether it answers.
fn scraped(prometheus: &Prometheus<'_>) -> anyhow::Result<BTreeSet<(String, String, String, bool)>> {
    let up = prometheus.query("up")?;
    Ok(up
        .into_iter()
        .map(|(labels, value)| {
            let label = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(label("cluster"), "prod", "{labels}");
            (label("job"), label("node"), label("rack"), value > 0.5)
        })
        .collect())
}

fn wait_for(prometheus: &Prometheus<'_>, wanted: &[(&str, &str, &str, bool)]) {
    let wanted: BTreeSet<_> = wanted
        .iter()
        .map(|(job, node, rack, up)| ((*job).to_owned(), (*node).to_owned(), (*rack).to_owned(), *up))
        .collect();
    wait_until(PATIENCE, "exactly these are scraped", || {
        let seen = scraped(prometheus)?;
        ensure!(seen == wanted, "{seen:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_listed_is_scraped_and_a_change_is_picked_up() {
    // Given lists of two nodes, one of them with a rack and one that is down
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = fleet();
    fleet[1].node.labels = Labels::from_iter([("rack", "A\"1")]).try_into().unwrap();
    let [all, counters, _, down] = fleet.as_slice() else {
        panic!("four nodes")
    };
    list(folder.path(), &[&counters.node, &down.node]);
    // when Prometheus runs with the generated configuration, then it scrapes them under their names,
    let prometheus = start(folder.path(), &configuration(folder.path()));
    wait_for(
        &prometheus,
        &[("dcgm", "gpu-008", "A\"1", true), ("node", "gpu-010", "", false)],
    );
    // and when the lists change while it runs, one node gone and one come, it follows without being told.
    list(folder.path(), &[&all.node, &counters.node]);
    wait_for(
        &prometheus,
        &[
            ("aami", "gpu-007", "", true),
            ("all_smi", "gpu-007", "", true),
            ("dcgm", "gpu-007", "", true),
            ("dcgm", "gpu-008", "A\"1", true),
            ("node", "gpu-007", "", true),
        ],
    );
}

/// Everything there is to say.
fn whole(folder: &Path) -> Configuration {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    Configuration {
        rule_files: vec![format!("{}/*.yaml", path("rules"))],
        alertmanagers: vec!["127.0.0.1:9093".into()],
        external_labels: BTreeMap::from([("replica".into(), "a".into())]),
        itself: Some("127.0.0.1:9090".into()),
        scrape_interval: Duration::from_secs(30),
        evaluation_interval: Duration::from_millis(2500),
        remote_write: vec![
            RemoteWrite {
                name: Some("mimir".into()),
                credential: Some(Credential::Basic {
                    username: "aami".into(),
                    password_file: path("password"),
                }),
                ca_file: Some(path("ca.pem")),
                headers: BTreeMap::from([("X-Scope-OrgID".into(), "prod".into())]),
                timeout: Some(Duration::from_secs(10)),
                queue: Some(Queue {
                    capacity: 10_000,
                    max_shards: 50,
                    max_samples_per_send: 2_000,
                    batch_send_deadline: Duration::from_secs(5),
                }),
                choices: vec![
                    Choice {
                        action: Action::Keep,
                        metrics: "up|DCGM_.*|aami_.*".into(),
                    },
                    Choice {
                        action: Action::Drop,
                        metrics: "DCGM_FI_PROF_.*".into(),
                    },
                ],
                ..RemoteWrite::to("https://mimir.example.com/api/v1/push")
            },
            RemoteWrite {
                credential: Some(Credential::Authorization {
                    kind: "Bearer".into(),
                    credentials_file: path("token"),
                }),
                ..RemoteWrite::to("http://[2001:db8::1]:9090/api/v1/write")
            },
        ],
        ..Configuration::of_lists("prod", &path("targets"))
    }
}

#[test]
fn the_configuration_of_a_declared_fleet() {
    insta::assert_snapshot!(whole(Path::new("/var/lib/aami")).render().unwrap());
}

#[test]
fn promtool_has_nothing_to_say_against_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["targets", "rules"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    list(&folder.path().join("targets"), &[&fleet()[0].node]);
    for (name, text) in [
        ("password", "p"),
        ("token", "t"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("rules/none.yaml"), "groups: []\n").unwrap();
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, whole(folder.path()).render().unwrap()).unwrap();
    let said = promtool(&[
        "check",
        "config",
        "--lint=all",
        "--lint-fatal",
        &file.to_string_lossy(),
    ])
    .unwrap();
    assert!(said.contains("is valid prometheus config file syntax"), "{said}");
}

#[test]
fn samples_are_sent_as_well_as_it_was_chosen_and_with_who_sends() {
    // Given another Prometheus that takes samples, and a service that wants to know who sends
    let receiving = Place::Loopback.port(0).unwrap();
    let other = Prometheus::receiving(
        Place::Loopback,
        "global: { scrape_interval: 1h }\nscrape_configs: []\n",
        receiving,
    )
    .unwrap();
    let service = Web::taking();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "pass word").unwrap();
    let fleet = fleet();
    list(folder.path(), &[&fleet[1].node]);
    let only = |metrics: &str| Choice {
        action: Action::Keep,
        metrics: metrics.to_owned(),
    };
    // when a fleet's Prometheus sends to both, some of what it has,
    let configuration = Configuration {
        remote_write: vec![
            RemoteWrite {
                choices: vec![
                    only("up|DCGM_FI_DEV_GPU_TEMP.*"),
                    Choice {
                        action: Action::Drop,
                        metrics: ".*_LIMIT".into(),
                    },
                ],
                ..RemoteWrite::to(format!("http://127.0.0.1:{receiving}/api/v1/write"))
            },
            RemoteWrite {
                credential: Some(Credential::Basic {
                    username: "aami".into(),
                    password_file: folder.path().join("password").to_string_lossy().into_owned(),
                }),
                headers: BTreeMap::from([("X-Scope-OrgID".into(), "prod".into())]),
                choices: vec![only("up")],
                ..RemoteWrite::to(format!("{}/push", service.url()))
            },
        ],
        external_labels: BTreeMap::from([("replica".into(), "a".into())]),
        ..configuration(folder.path())
    };
    let _prometheus = start(folder.path(), &configuration);

    // then those arrive, under the labels of this cluster, and no others;
    wait_until(PATIENCE, "samples arrive", || {
        let hot = other.query("DCGM_FI_DEV_GPU_TEMP > 80")?;
        ensure!(hot.len() == 1, "{hot:?}");
        let labels = &hot[0].0;
        ensure!(
            labels["cluster"] == "prod" && labels["replica"] == "a" && labels["node"] == "gpu-008",
            "{labels}"
        );
        Ok(())
    })
    .unwrap();
    let names = other.query(r#"group by (__name__) ({job="dcgm"})"#).unwrap();
    let names: BTreeSet<&str> = names
        .iter()
        .filter_map(|(labels, _)| labels["__name__"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["DCGM_FI_DEV_GPU_TEMP", "up"]));
    // and the service hears who sends ("aami:pass word" in base64). Debian's builds of Prometheus send none of the
    // headers that are configured (prometheus/prometheus#13030), so nothing is asked of those here.
    wait_until(PATIENCE, "the service is told", || {
        let asked = service.asked();
        let heard: BTreeSet<(&str, &str)> = asked
            .iter()
            .map(|asked| (asked.path.as_str(), asked.header("authorization")))
            .collect();
        ensure!(
            heard == BTreeSet::from([("/push", "Basic YWFtaTpwYXNzIHdvcmQ=")]),
            "{heard:?}"
        );
        Ok(())
    })
    .unwrap();
}
