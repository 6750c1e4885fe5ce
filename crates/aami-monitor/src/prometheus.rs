//! The `prometheus.yml` of a fleet: what is scraped, judged by which rules, told to whom, sent where as well.
//!
//! With a control plane ([`Configuration::new`]) it is asked what to scrape. One scrape job asks for all exporters: a `job` label that comes with a target stands before the name
//! of the scrape job (`PopulateLabels` in Prometheus' `scrape/target.go`), so every exporter is scraped
//! under the job of its kind (`node`, `dcgm`, `all_smi`, `aami`, `custom`) and the list is fetched once.
//! The same holds for `__metrics_path__` and `__scrape_interval__`.
//!
//! Without one ([`Configuration::of_lists`]) each kind of exporter has a job and a list on disk ([`crate::file_sd`]).
//! Either way a target is under `cluster` and `node`, in the job of its kind.
//!
//! [`Configuration::render`] gives the text; nothing is written here. What it asks for is understood by
//! Prometheus 2.42 and later.

mod remote_write;
mod yaml;

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::exporter::ExporterKind;

use crate::file_sd;
use crate::selection::Shape;

pub use remote_write::{Action, Choice, Credential, Queue, RemoteWrite};

/// Everything the generated configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The name of the cluster; the external label `cluster`.
    pub cluster: String,
    /// `https://host:port` of each control plane, without a path. With several, each is asked, and what
    /// they say alike is scraped once.
    pub control_planes: Vec<String>,
    /// File that holds an API key with the scope `discovery`, as Prometheus sees its path.
    pub credentials_file: String,
    /// The CA that signed the control planes' certificates; the system's where absent.
    pub ca_file: Option<String>,
    /// The shape to ask for.
    pub shape: Shape,
    /// How often to ask for the list. [`Configuration::new`] chooses.
    pub refresh: Duration,
    /// How often exporters are scraped that do not say so themselves.
    pub scrape_interval: Duration,
    /// How often rules are evaluated.
    pub evaluation_interval: Duration,
    /// Lists of exporters on disk, each a job of its kind.
    pub lists: Vec<List>,
    /// A list on disk (`file_sd`), read beside the control planes: it survives a restart of Prometheus while
    /// no control plane answers.
    pub list_file: Option<String>,
    /// Rule files, with `*` in the last part at most.
    pub rule_files: Vec<String>,
    /// `host:port` of each Alertmanager.
    pub alertmanagers: Vec<String>,
    /// Labels for everything that leaves this Prometheus, beside `cluster`.
    pub external_labels: BTreeMap<String, String>,
    /// `host:port` at which this Prometheus scrapes itself; not at all where absent.
    pub itself: Option<String>,
    /// Where samples are sent as well.
    pub remote_write: Vec<RemoteWrite>,
}

/// Exporters of one kind, listed in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What is listed; it names the job.
    pub kind: ExporterKind,
    /// The file, as Prometheus sees its path.
    pub file: String,
}

/// Why no configuration can be written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// Nobody to ask.
    #[error("neither a control plane nor a list of targets is named")]
    NoControlPlane,
    /// Not an address to ask at.
    #[error("the control plane address {0:?} is not http:// or https:// with a host and without a path")]
    Address(String),
    /// Nowhere samples can be sent.
    #[error("remote write: {problem}")]
    RemoteWrite {
        /// What is wrong.
        problem: &'static str,
    },
    /// Not a label name.
    #[error("{0:?} is not the name of a label")]
    ExternalLabel(String),
    /// A value YAML cannot carry.
    #[error("the configuration cannot be written as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
}

impl Configuration {
    /// The usual configuration for one control plane and a fleet with so many scrape targets.
    ///
    /// A new node is scraped within half a minute: Prometheus asks every 5 s, hands changes on within
    /// 5 s, applies them within another 5 s, and scrapes at a moment of its choice within the 15 s that
    /// follow. Long lists come in the grouped shape and every 15 s.
    pub fn new(
        cluster: impl Into<String>,
        control_plane: impl Into<String>,
        credentials_file: impl Into<String>,
        targets: usize,
    ) -> Self {
        let shape = Shape::for_targets(targets);
        let refresh = match shape {
            Shape::Flat => 5,
            Shape::Grouped => 15,
        };
        Self {
            cluster: cluster.into(),
            control_planes: vec![control_plane.into()],
            credentials_file: credentials_file.into(),
            ca_file: None,
            shape,
            refresh: Duration::from_secs(refresh),
            scrape_interval: USUAL_INTERVAL,
            evaluation_interval: USUAL_INTERVAL,
            lists: Vec::new(),
            list_file: None,
            rule_files: Vec::new(),
            alertmanagers: Vec::new(),
            external_labels: BTreeMap::new(),
            itself: None,
            remote_write: Vec::new(),
        }
    }

    /// The usual configuration for a declared fleet, whose lists ([`file_sd::render`]) lie in the folder `targets`.
    ///
    /// Prometheus sees a list change at once and scrapes a new target within the 15 s that follow.
    pub fn of_lists(cluster: impl Into<String>, targets: &str) -> Self {
        let targets = targets.trim_end_matches('/');
        let list = |kind| List {
            kind,
            file: format!("{targets}/{}", file_sd::file_name(kind)),
        };
        Self {
            control_planes: Vec::new(),
            lists: file_sd::KINDS.into_iter().map(list).collect(),
            ..Self::new(cluster, "", "", 0)
        }
    }

    /// The text of `prometheus.yml`.
    ///
    /// Fails when neither a control plane nor a list is named, an address cannot be asked at, or samples cannot be
    /// sent where they are to go.
    pub fn render(&self) -> Result<String, ConfigurationError> {
        if self.control_planes.is_empty() && self.lists.is_empty() {
            return Err(ConfigurationError::NoControlPlane);
        }
        if let Some(name) = self.external_labels.keys().find(|name| !is_label_name(name)) {
            return Err(ConfigurationError::ExternalLabel(name.chars().take(40).collect()));
        }
        self.remote_write.iter().try_for_each(RemoteWrite::check)?;
        let planes = self
            .control_planes
            .iter()
            .map(|url| ControlPlane::parse(url).ok_or_else(|| ConfigurationError::Address(url.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let text =
            serde_saphyr::to_string(&yaml::File::of(self, &planes)).map_err(ConfigurationError::Yaml)?;
        let head = if self.control_planes.is_empty() {
            HEAD_OF_LISTS
        } else {
            HEAD
        };
        Ok(format!("{head}{text}"))
    }
}

/// How often is looked, unless somebody says otherwise.
const USUAL_INTERVAL: Duration = Duration::from_secs(15);

const HEAD_OF_LISTS: &str = "\
# Generated by AAMI from its configuration; changes made here are lost when it is generated again.
# Every exporter is listed in a file, so this one stays as it is when nodes come and go.
";

const HEAD: &str = "\
# Generated by `aami config prometheus`; changes made here are lost when it is generated again.
# Every exporter is found through service discovery, so this file stays as it is when nodes come and go.
";

/// Whether a text is the name of a label, `cluster` and the like among them: external labels are ours to choose.
fn is_label_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with("__")
}

/// An address taken apart as far as a scrape configuration needs it.
struct ControlPlane<'a> {
    scheme: &'a str,
    host_and_port: &'a str,
}

impl<'a> ControlPlane<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim_end_matches('/').split_once("://")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
        let sound = matches!(scheme, "http" | "https") && !rest.is_empty() && rest.chars().all(fits);
        sound.then_some(Self {
            scheme,
            host_and_port: rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused() {
        for address in [
            "",
            "gpu01:8080",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://u@a",
        ] {
            let configuration = Configuration::new("prod", address, "/k", 1);
            assert!(
                matches!(configuration.render(), Err(ConfigurationError::Address(_))),
                "{address:?}"
            );
        }
    }

    #[test]
    fn long_lists_come_in_the_grouped_shape() {
        assert_eq!(
            Configuration::new("a", "https://a", "/k", 10_000).shape,
            Shape::Flat
        );
        assert_eq!(
            Configuration::new("a", "https://a", "/k", 10_001).shape,
            Shape::Grouped
        );
    }

    #[test]
    fn what_has_nowhere_to_ask_or_to_send_is_refused() {
        let nothing = Configuration {
            lists: Vec::new(),
            ..Configuration::of_lists("prod", "/t")
        };
        assert!(matches!(
            nothing.render(),
            Err(ConfigurationError::NoControlPlane)
        ));
        let sending = |remote: RemoteWrite| {
            Configuration {
                remote_write: vec![remote],
                ..Configuration::of_lists("prod", "/t")
            }
            .render()
        };
        for url in [
            "",
            "mimir/api",
            "ftp://mimir",
            "https://",
            "https://u:p@mimir/",
            "https://mi mir/",
        ] {
            let wrong = sending(RemoteWrite::to(url));
            assert!(
                matches!(wrong, Err(ConfigurationError::RemoteWrite { .. })),
                "{url:?}"
            );
        }
        let told = RemoteWrite {
            headers: BTreeMap::from([("authorization".to_owned(), "Bearer KEY".to_owned())]),
            ..RemoteWrite::to("https://mimir/api/v1/push")
        };
        assert!(!sending(told).unwrap_err().to_string().contains("KEY"));
        let queue = |capacity, max_shards| Queue {
            capacity,
            max_shards,
            max_samples_per_send: 500,
            batch_send_deadline: Duration::from_secs(5),
        };
        for (queue, is_sound) in [
            (queue(499, 1), false),
            (queue(500, 0), false),
            (queue(500, 1), true),
        ] {
            let remote = RemoteWrite {
                queue: Some(queue.clone()),
                ..RemoteWrite::to("https://mimir/api/v1/push")
            };
            assert_eq!(sending(remote).is_ok(), is_sound, "{queue:?}");
        }
        for name in ["", "a b", "1a", "__name__", "a\n"] {
            let labelled = Configuration {
                external_labels: BTreeMap::from([(name.to_owned(), "x".to_owned())]),
                ..Configuration::of_lists("prod", "/t")
            };
            assert!(
                matches!(labelled.render(), Err(ConfigurationError::ExternalLabel(_))),
                "{name:?}"
            );
        }
    }
}
