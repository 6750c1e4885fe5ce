//! Prometheus and Alertmanager beside a declared fleet, asked over HTTP at the ports its configuration names.
//!
//! Prometheus: <https://prometheus.io/docs/prometheus/2.42/querying/api/>. Alertmanager:
//! <https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml>.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How much of an answer is read: a rule is about a kilobyte of it.
const MOST: u64 = 32 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nobody answers.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Where.
        url: String,
        /// What the system said.
        why: String,
    },
    /// It answers no.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// What it said, shortened.
        text: String,
    },
    /// It answers what nobody expects of it.
    #[error("what {url} answered cannot be understood: {why}")]
    Strange {
        /// Where.
        url: String,
        /// Why not.
        why: String,
    },
}

/// One program that answers HTTP on this machine.
pub(crate) struct Engine {
    base: String,
    agent: ureq::Agent,
}

/// A group of rules that a Prometheus has loaded.
#[derive(Debug, Deserialize)]
pub(crate) struct LoadedGroup {
    /// Its name.
    pub(crate) name: String,
    /// The file it is from, as Prometheus sees it.
    pub(crate) file: String,
    /// Its rules.
    #[serde(default)]
    pub(crate) rules: Vec<LoadedRule>,
}

/// A rule that a Prometheus has loaded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoadedRule {
    /// The alert's name, or what is recorded.
    pub(crate) name: String,
    /// `inactive`, `pending` or `firing`; nothing where it only records.
    #[serde(default)]
    pub(crate) state: String,
    /// What went wrong when it was last evaluated.
    #[serde(default)]
    pub(crate) last_error: String,
    /// What is pending or fires now.
    #[serde(default)]
    pub(crate) alerts: Vec<LoadedAlert>,
}

/// One alert that is pending or fires.
#[derive(Debug, Deserialize)]
pub(crate) struct LoadedAlert {
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub(crate) state: String,
}

/// What Prometheus says of its configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reload {
    /// When it last took one over, in seconds since 1970.
    pub(crate) at: f64,
    /// Whether the last one could be taken over.
    pub(crate) went_well: bool,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// The labels of a series, and its value now.
pub(crate) type Value = (BTreeMap<String, String>, f64);

#[derive(Deserialize)]
struct Samples {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// Time, then the value as a text.
    value: (f64, String),
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<LoadedGroup>,
}

impl Engine {
    /// The one that listens on this port of this machine.
    pub(crate) fn here(port: u16) -> Self {
        let agent = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER))
            .build()
            .new_agent();
        Self {
            base: format!("http://127.0.0.1:{port}"),
            agent,
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// The text behind a path.
    pub(crate) fn text(&self, path: &str) -> Result<String, EngineError> {
        let url = format!("{}{path}", self.base);
        self.read(&url, self.agent.get(&url).call())
    }

    /// Sends a document, or nothing.
    pub(crate) fn post(&self, path: &str, body: Option<&str>) -> Result<String, EngineError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url);
        let sent = match body {
            Some(body) => request.header("Content-Type", "application/json").send(body),
            None => request.send_empty(),
        };
        self.read(&url, sent)
    }

    fn read(
        &self,
        url: &str,
        answer: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, EngineError> {
        let silent = |why: ureq::Error| EngineError::Silent {
            url: url.to_owned(),
            why: why.to_string(),
        };
        let answer = answer.map_err(silent)?;
        let status = answer.status();
        let text = answer
            .into_body()
            .into_with_config()
            .limit(MOST)
            .lossy_utf8(true)
            .read_to_string()
            .map_err(silent)?;
        if status.is_success() {
            return Ok(text);
        }
        Err(EngineError::Refused {
            url: url.to_owned(),
            status: status.as_u16(),
            text: text.chars().filter(|c| !c.is_control()).take(300).collect(),
        })
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let text = self.text(path)?;
        serde_json::from_str(&text).map_err(|error| EngineError::Strange {
            url: format!("{}{path}", self.base),
            why: error.to_string(),
        })
    }

    /// The rules a Prometheus has loaded.
    pub(crate) fn rules(&self) -> Result<Vec<LoadedGroup>, EngineError> {
        let answer: Answer<Groups> = self.json("/api/v1/rules")?;
        Ok(answer.data.groups)
    }

    /// The samples an instant query gives a Prometheus now: labels and value.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Value>, EngineError> {
        let path = format!("/api/v1/query?query={}", aami_api::url::encoded(expression));
        let answer: Answer<Samples> = self.json(&path)?;
        let samples = answer.data.result.into_iter();
        Ok(samples
            .filter_map(|sample| Some((sample.metric, sample.value.1.parse().ok()?)))
            .collect())
    }

    /// How the last reload of a Prometheus went.
    pub(crate) fn reload(&self) -> Result<Reload, EngineError> {
        let metrics = self.text("/metrics")?;
        let value = |name: &str| {
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
                .ok_or_else(|| EngineError::Strange {
                    url: format!("{}/metrics", self.base),
                    why: format!("it has no {name}, so it is no Prometheus"),
                })
        };
        Ok(Reload {
            at: value("prometheus_config_last_reload_success_timestamp_seconds ")?,
            went_well: value("prometheus_config_last_reload_successful ")? > 0.5,
        })
    }

    /// How many notifications an Alertmanager has sent by each way, and how many of them failed.
    pub(crate) fn notifications(&self) -> Result<BTreeMap<String, (u64, u64)>, EngineError> {
        let metrics = self.text("/metrics")?;
        let mut ways: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for line in metrics.lines() {
            for (name, is_failure) in [
                ("alertmanager_notifications_total{", false),
                ("alertmanager_notifications_failed_total{", true),
            ] {
                let Some((labels, value)) = line.strip_prefix(name).and_then(|rest| rest.split_once('}'))
                else {
                    continue;
                };
                let way = labels
                    .split(',')
                    .find_map(|label| label.strip_prefix("integration=\"")?.strip_suffix('"'));
                let (Some(way), Ok(value)) = (way, value.trim().parse::<f64>()) else {
                    continue;
                };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count, which saturates"
                )]
                let value = value as u64;
                let counts = ways.entry(way.to_owned()).or_default();
                // One line for each reason of a failure.
                if is_failure {
                    counts.1 += value;
                } else {
                    counts.0 += value;
                }
            }
        }
        Ok(ways)
    }
}
