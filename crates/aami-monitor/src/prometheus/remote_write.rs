//! Where samples are sent as well.
//! <https://prometheus.io/docs/prometheus/2.42/configuration/configuration/#remote_write>

use std::collections::BTreeMap;
use std::time::Duration;

use super::ConfigurationError;

/// Somewhere samples are sent as well. Secrets are files, as Prometheus sees their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteWrite {
    /// Where to, `https://` or `http://`.
    pub url: String,
    /// What Prometheus calls it in its own metrics; something of its own making where absent.
    pub name: Option<String>,
    /// How it is known who sends; nobody says where absent.
    pub credential: Option<Credential>,
    /// The CA that signed its certificate; the system's where absent.
    pub ca_file: Option<String>,
    /// Headers sent along, such as `X-Scope-OrgID`. They stand in `prometheus.yml`: no secrets. Debian's builds of
    /// Prometheus take them and send none of them (prometheus/prometheus#13030).
    pub headers: BTreeMap<String, String>,
    /// How long one request may take; Prometheus' own 30 s where absent.
    pub timeout: Option<Duration>,
    /// How much waits, and how it is sent; as Prometheus chooses where absent.
    pub queue: Option<Queue>,
    /// Which metrics are sent, in the order in which that is judged; all where empty.
    pub choices: Vec<Choice>,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password (RFC 7617).
    Basic {
        /// Who.
        username: String,
        /// The file with the password.
        password_file: String,
    },
    /// `Authorization: KIND CREDENTIALS`.
    Authorization {
        /// Usually `Bearer`.
        kind: String,
        /// The file with what follows.
        credentials_file: String,
    },
}

/// How much waits, and how it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Samples that wait for one shard before nothing more is read from the disk.
    pub capacity: u32,
    /// Requests under way at once, at most.
    pub max_shards: u32,
    /// Samples of one request, at most. The capacity is more than this.
    pub max_samples_per_send: u32,
    /// How long samples wait for a full request.
    pub batch_send_deadline: Duration,
}

/// A choice of metrics by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is done with those that fit.
    pub action: Action,
    /// A regular expression (RE2) over the whole name.
    pub metrics: String,
}

/// What is done with metrics that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Only they are sent.
    Keep,
    /// They are not sent.
    Drop,
}

impl Action {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
        }
    }
}

impl RemoteWrite {
    /// Samples to a URL, all of them, as Prometheus does it by itself.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: None,
            credential: None,
            ca_file: None,
            headers: BTreeMap::new(),
            timeout: None,
            queue: None,
            choices: Vec::new(),
        }
    }

    /// What promtool cannot say before the file is in its place, or says in words of its own making.
    pub(super) fn check(&self) -> Result<(), ConfigurationError> {
        let rest = (self.url.strip_prefix("https://")).or_else(|| self.url.strip_prefix("http://"));
        let host = rest
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .unwrap_or_default();
        // A user in the URL would be a password in a file that others read.
        if host.is_empty() || host.contains('@') || !self.url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigurationError::RemoteWrite {
                problem: "its URL is not https:// or http:// with a host, without blanks and without a user in it",
            });
        }
        let is_secret =
            |name: &str| name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("cookie");
        if self.headers.keys().any(|name| is_secret(name)) {
            return Err(ConfigurationError::RemoteWrite {
                problem: "a header that lets somebody in belongs into a file, not into prometheus.yml",
            });
        }
        match &self.queue {
            Some(queue) if queue.max_shards == 0 || queue.capacity < queue.max_samples_per_send.max(1) => {
                Err(ConfigurationError::RemoteWrite {
                    problem: "its queue takes less than one request",
                })
            }
            _ => Ok(()),
        }
    }
}
