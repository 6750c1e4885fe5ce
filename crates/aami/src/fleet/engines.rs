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
/// How long a Prometheus may take to read its configuration again: it answers when it has.
const READING: Duration = Duration::from_secs(20);
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
        /// Whether nobody listens there at all.
        is_refused: bool,
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

    /// Sends a document.
    pub(crate) fn post(&self, path: &str, body: &str) -> Result<String, EngineError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url);
        let sent = request.header("Content-Type", "application/json").send(body);
        self.read(&url, sent)
    }

    /// Makes a Prometheus read its configuration again, where it lets itself be told so.
    pub(crate) fn read_again(&self) -> Result<(), EngineError> {
        let url = format!("{}/-/reload", self.base);
        let request = self.agent.post(&url).config().timeout_global(Some(READING));
        self.read(&url, request.build().send_empty()).map(drop)
    }

    fn read(
        &self,
        url: &str,
        answer: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, EngineError> {
        let silent = |why: ureq::Error| EngineError::Silent {
            url: url.to_owned(),
            is_refused: is_refused(&why),
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

    /// The same without what is pending or fires, which may be much. What only records comes beside what alerts: newer
    /// ones leave a group out in which nothing is of the kind that was asked for.
    pub(crate) fn rules_alone(&self) -> Result<Vec<LoadedGroup>, EngineError> {
        let mut groups = Vec::new();
        for kind in ["alert", "record"] {
            let answer: Answer<Groups> =
                self.json(&format!("/api/v1/rules?type={kind}&exclude_alerts=true"))?;
            groups.extend(answer.data.groups);
        }
        Ok(groups)
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

    /// How often an Alertmanager has tried to tell somebody by each way, and how often that failed.
    pub(crate) fn notifications(&self) -> Result<BTreeMap<String, Tried>, EngineError> {
        Ok(tried(&self.text("/metrics")?))
    }
}

/// How often an Alertmanager tried one way of telling people. It counts a try when it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// All of them.
    pub(crate) times: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
}

/// What the metrics of an Alertmanager say of each way.
fn tried(metrics: &str) -> BTreeMap<String, Tried> {
    let mut ways: BTreeMap<String, Tried> = BTreeMap::new();
    for line in metrics.lines() {
        for (name, is_failure) in [
            ("alertmanager_notification_requests_total{", false),
            ("alertmanager_notification_requests_failed_total{", true),
        ] {
            let Some((labels, value)) = line.strip_prefix(name).and_then(|rest| rest.split_once('}')) else {
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
            // Newer ones have a line for each receiver.
            let count = if is_failure {
                &mut counts.failed
            } else {
                &mut counts.times
            };
            *count = count.saturating_add(value);
        }
    }
    ways
}

/// Whether nobody listens where somebody was called.
fn is_refused(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn tries_are_counted_and_not_intentions() {
        let ways = tried(
            "# TYPE alertmanager_notifications_total counter\n\
             alertmanager_notifications_total{integration=\"slack\"} 9\n\
             alertmanager_notification_requests_total{integration=\"slack\"} 3\n\
             alertmanager_notification_requests_failed_total{integration=\"slack\"} 1\n\
             alertmanager_notification_requests_total{integration=\"email\",receiver_name=\"a\"} 1\n\
             alertmanager_notification_requests_total{integration=\"email\",receiver_name=\"b\"} 2\n",
        );
        let of = |times, failed| Tried { times, failed };
        assert_eq!(
            ways,
            BTreeMap::from([("email".to_owned(), of(3, 0)), ("slack".to_owned(), of(3, 1))])
        );
    }

    #[test]
    fn nobody_there_is_not_somebody_who_says_nothing() {
        // Given a port where somebody listens and hangs up without a word,
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mute = std::thread::spawn(move || drop(listener.accept()));
        let said = Engine::here(port).reload().unwrap_err();
        mute.join().unwrap();
        assert!(
            matches!(
                said,
                EngineError::Silent {
                    is_refused: false,
                    ..
                }
            ),
            "{said:?}"
        );
        // when nobody listens there any more, then that is another thing.
        let said = Engine::here(port).reload().unwrap_err();
        assert!(
            matches!(said, EngineError::Silent { is_refused: true, .. }),
            "{said:?}"
        );
    }
}
