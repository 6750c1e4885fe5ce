//! The members of `prometheus.yml` that are used here, under Prometheus' own names.
//! <https://prometheus.io/docs/prometheus/2.42/configuration/configuration/>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Configuration, ControlPlane, Credential, List, RemoteWrite};

#[derive(Serialize)]
pub(super) struct File<'a> {
    global: Global<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rule_files: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    alerting: Option<Alerting<'a>>,
    scrape_configs: Vec<ScrapeConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_write: Vec<RemoteWriteConfig<'a>>,
}

#[derive(Serialize)]
struct Global<'a> {
    scrape_interval: String,
    scrape_timeout: String,
    evaluation_interval: String,
    external_labels: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Alerting<'a> {
    alertmanagers: Vec<StaticTargets<'a>>,
}

#[derive(Serialize)]
struct StaticTargets<'a> {
    static_configs: Vec<Static<'a>>,
}

#[derive(Serialize)]
struct Static<'a> {
    targets: Vec<&'a str>,
}

#[derive(Default, Serialize)]
struct ScrapeConfig<'a> {
    job_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    honor_labels: Option<bool>,
    #[serde(flatten)]
    access: Option<Access<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_configs: Vec<Static<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_sd_configs: Vec<HttpSd<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_sd_configs: Vec<FileSd<'a>>,
}

#[derive(Serialize)]
struct HttpSd<'a> {
    url: String,
    refresh_interval: String,
    #[serde(flatten)]
    access: Access<'a>,
}

#[derive(Serialize)]
struct FileSd<'a> {
    files: [&'a str; 1],
    /// How often the file is read again where its change was not noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_interval: Option<&'static str>,
}

#[derive(Serialize)]
struct Access<'a> {
    authorization: Authorization<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'a>>,
}

#[derive(Serialize)]
struct Authorization<'a> {
    /// Said although it is the default: `http_sd` of 2.42 sends the bare key without it.
    #[serde(rename = "type")]
    kind: &'a str,
    credentials_file: &'a str,
}

#[derive(Serialize)]
struct Tls<'a> {
    ca_file: &'a str,
}

#[derive(Serialize)]
struct RemoteWriteConfig<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_timeout: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicAuth<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write_relabel_configs: Vec<Relabel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_config: Option<QueueConfig>,
}

#[derive(Serialize)]
struct BasicAuth<'a> {
    username: &'a str,
    password_file: &'a str,
}

#[derive(Serialize)]
struct Relabel<'a> {
    source_labels: [&'static str; 1],
    regex: &'a str,
    action: &'static str,
}

#[derive(Serialize)]
struct QueueConfig {
    capacity: u32,
    max_shards: u32,
    max_samples_per_send: u32,
    batch_send_deadline: String,
}

impl<'a> File<'a> {
    pub(super) fn of(configuration: &'a Configuration, planes: &[ControlPlane<'a>]) -> Self {
        let mut scrape_configs = Vec::new();
        if !planes.is_empty() {
            scrape_configs.push(nodes(configuration, planes));
            scrape_configs.extend(control_planes(configuration, planes));
        }
        scrape_configs.extend(configuration.lists.iter().map(listed));
        scrape_configs.extend(configuration.itself.as_deref().map(itself));
        let mut external_labels: BTreeMap<&str, &str> = configuration
            .external_labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        external_labels.insert("cluster", &configuration.cluster);
        Self {
            global: Global {
                scrape_timeout: seconds(configuration.scrape_interval.min(Duration::from_secs(10))),
                evaluation_interval: seconds(configuration.evaluation_interval),
                scrape_interval: seconds(configuration.scrape_interval),
                external_labels,
            },
            rule_files: &configuration.rule_files,
            alerting: (!configuration.alertmanagers.is_empty()).then(|| Alerting {
                alertmanagers: vec![StaticTargets {
                    static_configs: vec![Static {
                        targets: configuration.alertmanagers.iter().map(String::as_str).collect(),
                    }],
                }],
            }),
            scrape_configs,
            remote_write: configuration.remote_write.iter().map(remote_write).collect(),
        }
    }
}

/// The exporters of one kind, from a file.
fn listed(list: &List) -> ScrapeConfig<'_> {
    ScrapeConfig {
        job_name: list.kind.job().to_owned(),
        file_sd_configs: vec![FileSd {
            files: [&list.file],
            refresh_interval: Some("1m"),
        }],
        ..ScrapeConfig::default()
    }
}

fn remote_write(remote: &RemoteWrite) -> RemoteWriteConfig<'_> {
    let mut config = RemoteWriteConfig {
        url: &remote.url,
        name: remote.name.as_deref(),
        remote_timeout: remote.timeout.map(seconds),
        headers: &remote.headers,
        basic_auth: None,
        authorization: None,
        tls_config: remote.ca_file.as_deref().map(|ca_file| Tls { ca_file }),
        write_relabel_configs: remote
            .choices
            .iter()
            .map(|choice| Relabel {
                source_labels: ["__name__"],
                regex: &choice.metrics,
                action: choice.action.name(),
            })
            .collect(),
        queue_config: remote.queue.as_ref().map(|queue| QueueConfig {
            capacity: queue.capacity,
            max_shards: queue.max_shards,
            max_samples_per_send: queue.max_samples_per_send,
            batch_send_deadline: seconds(queue.batch_send_deadline),
        }),
    };
    match &remote.credential {
        None => {}
        Some(Credential::Basic {
            username,
            password_file,
        }) => {
            config.basic_auth = Some(BasicAuth {
                username,
                password_file,
            });
        }
        Some(Credential::Authorization {
            kind,
            credentials_file,
        }) => {
            config.authorization = Some(Authorization {
                kind,
                credentials_file,
            });
        }
    }
    config
}

/// All exporters of all nodes.
fn nodes<'a>(configuration: &'a Configuration, planes: &[ControlPlane<'a>]) -> ScrapeConfig<'a> {
    let shape = configuration.shape.name();
    ScrapeConfig {
        job_name: "aami_nodes".to_owned(),
        http_sd_configs: planes
            .iter()
            .map(|plane| HttpSd {
                url: format!(
                    "{}://{}/api/v1/sd/prometheus?shape={shape}",
                    plane.scheme, plane.host_and_port
                ),
                refresh_interval: seconds(configuration.refresh),
                access: access(configuration, plane.scheme),
            })
            .collect(),
        file_sd_configs: configuration
            .list_file
            .as_deref()
            .map(|file| FileSd {
                files: [file],
                refresh_interval: None,
            })
            .into_iter()
            .collect(),
        ..ScrapeConfig::default()
    }
}

/// The control planes' own metrics. They carry `instance` and `job` of other addresses in
/// `aami_node_info`, which `honor_labels` leaves as they are.
fn control_planes<'a>(
    configuration: &'a Configuration,
    planes: &[ControlPlane<'a>],
) -> impl Iterator<Item = ScrapeConfig<'a>> {
    ["https", "http"].into_iter().filter_map(move |scheme| {
        let targets: Vec<&str> = planes
            .iter()
            .filter(|plane| plane.scheme == scheme)
            .map(|plane| plane.host_and_port)
            .collect();
        (!targets.is_empty()).then(|| ScrapeConfig {
            // Two jobs may not share a name.
            job_name: if targets.len() == planes.len() || scheme == "https" {
                "aami_server".to_owned()
            } else {
                "aami_server_plain".to_owned()
            },
            scheme: Some(scheme),
            honor_labels: Some(true),
            access: Some(access(configuration, scheme)),
            static_configs: vec![Static { targets }],
            ..ScrapeConfig::default()
        })
    })
}

fn itself(address: &str) -> ScrapeConfig<'_> {
    ScrapeConfig {
        job_name: "prometheus".to_owned(),
        static_configs: vec![Static {
            targets: vec![address],
        }],
        ..ScrapeConfig::default()
    }
}

fn access<'a>(configuration: &'a Configuration, scheme: &str) -> Access<'a> {
    Access {
        authorization: Authorization {
            kind: "Bearer",
            credentials_file: &configuration.credentials_file,
        },
        tls_config: configuration
            .ca_file
            .as_deref()
            .filter(|_| scheme == "https")
            .map(|ca_file| Tls { ca_file }),
    }
}

/// A Prometheus duration.
fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
