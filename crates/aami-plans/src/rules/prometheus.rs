//! A Prometheus, or another program that answers HTTP on this machine, asked with deadlines and bounds.
//!
//! <https://prometheus.io/docs/prometheus/2.42/querying/api/>

mod target;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aami_model::exporter::parse_duration;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use target::{LoadedTarget, Targets};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a Prometheus may take to read its configuration again: it answers when it has.
const READING: Duration = Duration::from_secs(20);
/// How much of an answer is read: a rule is about a kilobyte of it.
const MOST: u64 = 32 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
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

impl EngineError {
    /// Whether this is what a Prometheus answers until it has read back what it stored.
    pub const fn is_starting(&self) -> bool {
        matches!(self, Self::Refused { status: 503, .. })
    }
}

/// One program that answers HTTP on this machine.
pub struct Engine {
    base: String,
    agent: ureq::Agent,
}

/// A group of rules that a Prometheus has loaded.
#[derive(Debug, Deserialize)]
pub struct LoadedGroup {
    /// Its name.
    pub name: String,
    /// The file it is from, as Prometheus sees it.
    pub file: String,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<LoadedRule>,
}

/// A rule that a Prometheus has loaded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedRule {
    /// The alert's name, or what is recorded.
    pub name: String,
    /// `inactive`, `pending` or `firing`; nothing where it only records.
    #[serde(default)]
    pub state: String,
    /// What went wrong when it was last evaluated.
    #[serde(default)]
    pub last_error: String,
    /// What is pending or fires now.
    #[serde(default)]
    pub alerts: Vec<LoadedAlert>,
}

/// One alert that is pending or fires.
#[derive(Debug, Deserialize)]
pub struct LoadedAlert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

/// What Prometheus says of its configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reload {
    /// When it last took one over, in seconds since 1970.
    pub at: f64,
    /// Whether the last one could be taken over.
    pub went_well: bool,
}

/// The address of a program on this machine as it is asked: `http://`, a loopback address, a port and perhaps a path; none
/// for anything else. `localhost` is the address it usually stands for, whatever a file of names says.
pub fn on_this_machine(address: &str) -> Option<String> {
    let rest = address.strip_prefix("http://")?;
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, path.trim_end_matches('/')),
        None => (rest, ""),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if !path.chars().all(is_plain) || path.split('/').any(|part| part == "..") {
        return None;
    }
    let host = match host.strip_prefix("localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
        _ => host.to_owned(),
    };
    let socket: SocketAddr = match host.parse() {
        Ok(socket) => socket,
        // Without a port it is 80.
        Err(_) => SocketAddr::new(
            host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
            80,
        ),
    };
    if !socket.ip().is_loopback() || socket.port() == 0 {
        return None;
    }
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("http://{socket}{slash}{path}"))
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// The labels of a series, and its value now.
pub type Value = (BTreeMap<String, String>, f64);

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
    pub fn here(port: u16) -> Self {
        Self::at(&format!("http://127.0.0.1:{port}"))
    }

    /// The one at this address, `http://HOST:PORT` and a path it may stand below.
    pub fn at(url: &str) -> Self {
        let mut agent = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER));
        if let Ok(tls) = aami_api::client::tls_config(&aami_api::client::Trust::System) {
            agent = agent.tls_config(tls);
        }
        Self {
            base: url.trim_end_matches('/').to_owned(),
            agent: agent.build().new_agent(),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The text behind a path.
    pub fn text(&self, path: &str) -> Result<String, EngineError> {
        let url = format!("{}{path}", self.base);
        self.read(&url, self.agent.get(&url).call())
    }

    /// Sends a document.
    pub fn post(&self, path: &str, body: &str) -> Result<String, EngineError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url);
        let sent = request.header("Content-Type", "application/json").send(body);
        self.read(&url, sent)
    }

    /// Makes a Prometheus read its configuration again, where it lets itself be told so.
    pub fn read_again(&self) -> Result<(), EngineError> {
        let url = format!("{}/-/reload", self.base);
        let request = self.agent.post(&url).config().timeout_global(Some(READING));
        self.read(&url, request.build().send_empty()).map(drop)
    }

    /// How often a Prometheus looks for itself whether what it is configured with has changed; nothing where it does not,
    /// or does not say so.
    ///
    /// <https://prometheus.io/docs/prometheus/3.5/feature_flags/#auto-reload-config>
    pub fn looks_every(&self) -> Option<Duration> {
        let answer: Answer<BTreeMap<String, String>> = self.json("/api/v1/status/flags").ok()?;
        let flag = |name: &str| answer.data.get(name).map(String::as_str);
        // An older one takes every feature's name, and has no such flag beside it.
        let every = parse_duration(flag("config.auto-reload-interval")?)?;
        let mut features = flag("enable-feature")?.split(',');
        features
            .any(|feature| feature == "auto-reload-config")
            .then(|| Duration::from_millis(every))
    }

    /// Whether a Prometheus is still reading back what it stored: it answers then, and no question about rules.
    pub fn is_starting(&self) -> bool {
        self.text("/-/ready").is_err_and(|error| error.is_starting())
    }

    fn read(
        &self,
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, EngineError> {
        let answer = answer.map_err(|error| silent(url, &error))?;
        let status = answer.status();
        let text = answer
            .into_body()
            .into_with_config()
            .limit(MOST)
            .lossy_utf8(true)
            .read_to_string()
            .map_err(|error| silent(url, &error))?;
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
    pub fn rules(&self) -> Result<Vec<LoadedGroup>, EngineError> {
        let answer: Answer<Groups> = self.json("/api/v1/rules")?;
        Ok(answer.data.groups)
    }

    /// The same without what is pending or fires, which may be much. What only records comes beside what alerts: newer
    /// ones leave a group out in which nothing is of the kind that was asked for.
    pub fn rules_alone(&self) -> Result<Vec<LoadedGroup>, EngineError> {
        let mut groups = Vec::new();
        for kind in ["alert", "record"] {
            let answer: Answer<Groups> =
                self.json(&format!("/api/v1/rules?type={kind}&exclude_alerts=true"))?;
            groups.extend(answer.data.groups);
        }
        Ok(groups)
    }

    /// The samples an instant query gives a Prometheus now: labels and value.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, EngineError> {
        let path = format!("/api/v1/query?query={}", aami_api::url::encoded(expression));
        let answer: Answer<Samples> = self.json(&path)?;
        let samples = answer.data.result.into_iter();
        Ok(samples
            .filter_map(|sample| Some((sample.metric, sample.value.1.parse().ok()?)))
            .collect())
    }

    /// How the last reload of a Prometheus went.
    pub fn reload(&self) -> Result<Reload, EngineError> {
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
}

/// No answer came from there.
fn silent(url: &str, error: &ureq::Error) -> EngineError {
    EngineError::Silent {
        url: url.to_owned(),
        is_refused: is_refused(error),
        why: error.to_string(),
    }
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

    #[test]
    fn only_an_address_of_this_machine_is_one() {
        for (address, asked) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://localhost:9090/", "http://127.0.0.1:9090"),
            ("http://[::1]:9090/prometheus/", "http://[::1]:9090/prometheus"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
        ] {
            assert_eq!(on_this_machine(address).as_deref(), Some(asked), "{address}");
        }
        for address in [
            "",
            "127.0.0.1:9090",
            "https://127.0.0.1:9090",
            "http://10.0.0.1:9090",
            "http://127.0.0.1.example.com:9090",
            "http://localhost.example.com:9090",
            "http://user@127.0.0.1:9090",
            "http://127.0.0.1:9090@evil.example",
            "http://169.254.169.254/latest",
            "http://0.0.0.0:9090",
            "http://127.0.0.1:0",
            "http://127.0.0.1:9090/../x",
            "http://127.0.0.1:9090/a?b=c",
            "http://127.0.0.1:9090/a#b",
            "http://127.0.0.1:9090/a b",
        ] {
            assert_eq!(on_this_machine(address), None, "{address}");
        }
    }
}
