//! What Grafana is provisioned with beside its dashboards ([`crate::dashboard`]): where it gets its data, and where the
//! dashboards lie. <https://grafana.com/docs/grafana/latest/administration/provisioning/>

use std::sync::LazyLock;

use serde::Serialize;

use crate::dashboard;

/// The name of both provisioning files, in the folders `datasources` and `dashboards`.
pub const FILE: &str = "aami.yaml";

/// The ids of the data sources, so that a link to one stays good.
pub const PROMETHEUS_UID: &str = "aami-prometheus";
/// The id of Alertmanager as a data source.
pub const ALERTMANAGER_UID: &str = "aami-alertmanager";

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("Grafana's provisioning cannot be written as YAML")]
pub struct GrafanaError(#[source] serde_saphyr::ser::Error);

/// Where Grafana gets its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSources {
    /// The URL of Prometheus, as Grafana reaches it.
    pub prometheus: Option<String>,
    /// The URL of Alertmanager, as Grafana reaches it.
    pub alertmanager: Option<String>,
}

/// A file below Grafana's provisioning folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionedFile {
    /// Its path below that folder.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// The folders below the provisioning folder that Grafana looks for, and one for the dashboards. It says in its log
/// that the last two are missing, though nothing lies in them.
pub const FOLDERS: [&str; 5] = ["datasources", "dashboards", JSON, "plugins", "alerting"];

/// Where the dashboards lie.
const JSON: &str = "json";

/// The dashboards are the same for everybody, and an installation asks for them several times.
static DASHBOARDS: LazyLock<Vec<ProvisionedFile>> = LazyLock::new(|| {
    let file = |dashboard: &dashboard::Dashboard| ProvisionedFile {
        path: format!("{JSON}/{}", dashboard.file_name()),
        text: dashboard.render(),
    };
    dashboard::all().iter().map(file).collect()
});

/// Everything below the provisioning folder, which Grafana sees as `folder`: the data sources, every dashboard, and
/// where they lie.
pub fn files(folder: &str, sources: &DataSources) -> Result<Vec<ProvisionedFile>, GrafanaError> {
    let file = |path: String, text: String| ProvisionedFile { path, text };
    let mut files = vec![file(format!("datasources/{FILE}"), sources.render()?)];
    files.extend_from_slice(&DASHBOARDS);
    files.push(file(format!("dashboards/{FILE}"), provider(folder)?));
    Ok(files)
}

impl DataSources {
    /// The file in `datasources`.
    pub fn render(&self) -> Result<String, GrafanaError> {
        let source = |name, uid, kind, url| Source {
            name,
            uid,
            kind,
            access: "proxy",
            url,
            is_default: false,
            json_data: None,
        };
        let prometheus = self.prometheus.as_deref().map(|url| Source {
            is_default: true,
            ..source("Prometheus", PROMETHEUS_UID, "prometheus", url)
        });
        let alertmanager = self.alertmanager.as_deref().map(|url| Source {
            json_data: Some(JsonData {
                implementation: "prometheus",
            }),
            ..source("Alertmanager", ALERTMANAGER_UID, "alertmanager", url)
        });
        written(&Sources {
            api_version: 1,
            datasources: prometheus.into_iter().chain(alertmanager).collect(),
        })
    }
}

/// The file in `dashboards`: who edits one of ours in Grafana keeps it until it is written again.
fn provider(folder: &str) -> Result<String, GrafanaError> {
    let path = format!("{}/{JSON}", folder.trim_end_matches('/'));
    written(&Providers {
        api_version: 1,
        providers: [Provider {
            name: "AAMI",
            folder: "AAMI",
            kind: "file",
            allow_ui_updates: true,
            options: ProviderOptions { path: &path },
        }],
    })
}

fn written(file: &impl Serialize) -> Result<String, GrafanaError> {
    serde_saphyr::to_string(file).map_err(GrafanaError)
}

#[derive(Serialize)]
struct Sources<'a> {
    #[serde(rename = "apiVersion")]
    api_version: u32,
    datasources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'static str,
    uid: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    access: &'static str,
    url: &'a str,
    #[serde(rename = "isDefault", skip_serializing_if = "std::ops::Not::not")]
    is_default: bool,
    #[serde(rename = "jsonData", skip_serializing_if = "Option::is_none")]
    json_data: Option<JsonData>,
}

#[derive(Serialize)]
struct JsonData {
    implementation: &'static str,
}

#[derive(Serialize)]
struct Providers<'a> {
    #[serde(rename = "apiVersion")]
    api_version: u32,
    providers: [Provider<'a>; 1],
}

#[derive(Serialize)]
struct Provider<'a> {
    name: &'static str,
    folder: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "allowUiUpdates")]
    allow_ui_updates: bool,
    options: ProviderOptions<'a>,
}

#[derive(Serialize)]
struct ProviderOptions<'a> {
    path: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_anything_to_show_there_is_no_data_source() {
        assert_eq!(
            DataSources::default().render().unwrap(),
            "apiVersion: 1\ndatasources: []\n"
        );
    }

    #[test]
    fn every_file_lies_in_a_folder_grafana_has() {
        let sources = DataSources {
            prometheus: Some("http://127.0.0.1:9090".into()),
            alertmanager: Some("http://127.0.0.1:9093".into()),
        };
        let files = files("/etc/aami/grafana/", &sources).unwrap();
        for file in &files {
            let (folder, _) = file.path.split_once('/').unwrap();
            assert!(FOLDERS.contains(&folder), "{}", file.path);
        }
        let provider = files.last().unwrap();
        assert!(
            provider.text.contains("path: /etc/aami/grafana/json\n"),
            "{}",
            provider.text
        );
        assert_eq!(files.len(), 2 + dashboard::all().len());
        insta::assert_snapshot!(format!("{}{}", files[0].text, provider.text));
    }
}
