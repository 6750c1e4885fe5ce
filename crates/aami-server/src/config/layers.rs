//! The list of settings, and the layers their values come from.

use std::collections::BTreeMap;
use std::fmt;

use aami_model::{Code, code};

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The member in the file, e.g. `public_url`. The flag is `--public-url`, the variable
    /// `AAMI_PUBLIC_URL`.
    pub name: &'static str,
    /// What applies where nobody says otherwise.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

impl Setting {
    /// `--public-url`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// `AAMI_PUBLIC_URL`.
    pub fn env(&self) -> String {
        format!("AAMI_{}", self.name.to_ascii_uppercase())
    }
}

macro_rules! settings {
    ($( $name:literal = $default:literal: $help:literal )+) => {
        /// Every setting there is.
        pub const SETTINGS: &[Setting] = &[$( Setting { name: $name, default: $default, help: $help } ),+];
    };
}

settings! {
    "listen" = "0.0.0.0:8080": "Where to listen: ADDRESS:PORT"
    "data_dir" = "/var/lib/aami": "Where store, keys, certificates and dist/ are"
    "store" = "": "sqlite:PATH, etcd://HOST:PORT,... or memory: (default: SQLite in the data folder)"
    "cluster" = "default": "The cluster's name; the label `cluster` everywhere"
    "public_url" = "": "How nodes reach this control plane (default: https, the default route's address, the port)"
    "peer_url" = "": "How other control planes on the same etcd reach this one (default: https, its own address, the port)"
    "tls_cert" = "": "A certificate of your own, PEM chain"
    "tls_key" = "": "Its key, PEM"
    "plain_http" = "false": "Answer plain HTTP to everybody, not only to this machine"
    "trusted_proxies" = "": "Addresses or networks of proxies whose X-Forwarded-For is believed"
    "allow_local_nodes" = "false": "Accept loopback and this machine's own addresses from any registrant"
    "allow_link_local_nodes" = "false": "Accept link-local addresses from registrants"
    "file_sd" = "": "Also write the targets for file_sd here"
    "release_base_url" = "": "The web server nodes download the agent from, URL/VERSION/ARCH/aami-agent (default: this control plane)"
    "docs_base_url" = "": "Where the guides are that answers and scripts name (default: this control plane's /docs)"
    "default_daemon_version" = "": "The version of the agent that install scripts bring (default: the control plane's own)"
    "release_checksums" = "": "What agents must be: VERSION/ARCH=SHA256, separated by commas (default: as they lie in dist/)"
    "install_silence" = "10m": "How long an installation may be silent before it counts as failed"
    "heartbeat_timeout" = "2m": "How long a connected node may be silent before it counts as gone"
    "history_keep" = "90d": "How long events and audit entries are kept"
    "noti_service_url" = "": "A service that is told of every event: POST to this URL and /events"
    "noti_key_file" = "": "A file with the API key it is told with (scope events-in, where it is a control plane)"
    "noti_secret_file" = "": "A file with the secret that requests to it are signed with, whsec_..."
    "noti_ca_file" = "": "The only CA its certificate is believed from, PEM"
    "events_in_secret_file" = "": "A file with secrets, one a line: events of other control planes must be signed by one"
    "alertmanager_url" = "": "An Alertmanager that is told to be silent about nodes in maintenance"
    "alertmanager_authorization_file" = "": "A file with what it is sent as Authorization, e.g. Basic ..."
    "alertmanager_ca_file" = "": "The only CA its certificate is believed from, PEM"
    "prometheus_url" = "": "A Prometheus that is asked whether nodes without an agent are up"
    "prometheus_authorization_file" = "": "A file with what it is sent as Authorization, e.g. Bearer ..."
    "prometheus_ca_file" = "": "The only CA its certificate is believed from, PEM"
    "prometheus_rules" = "": "The folder of rules that this Prometheus reads; the control plane keeps it"
    "prometheus_reload" = "": "A file that is written when it is to read them again, where it cannot be told by HTTP"
    "programs" = "/opt/aami": "Where programs are installed, a promtool among them"
    "delivery_timeout" = "10s": "How long one delivery of an event may take"
    "delivery_retry_max" = "5m": "How long the next attempt of a delivery waits at most"
    "delivery_give_up" = "3d": "How old an event may be and still be tried again"
    "open_rate" = "50": "Requests a second that one address may make to open routes"
    "drain" = "20s": "How long a graceful stop may take"
}

/// Where a value came from; the later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File,
    /// An `AAMI_*` variable.
    Env,
    /// A flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "the file",
            Self::Env => "the environment",
            Self::Flag => "a flag",
        })
    }
}

/// A setting with the value that applies.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Which.
    pub setting: &'static Setting,
    /// What applies.
    pub value: String,
    /// Who said so.
    pub source: Source,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that breaks its rule.
    #[error("{name} = {value:?} (from {from}) cannot be used: {why}")]
    Value {
        /// The setting.
        name: &'static str,
        /// As given.
        value: String,
        /// By whom.
        from: Source,
        /// The rule.
        why: String,
    },
    /// The file names a setting there is none of.
    #[error("the configuration file names {name:?}, which is no setting{nearest}")]
    Unknown {
        /// As written.
        name: String,
        /// `; did you mean ...?`, or nothing.
        nearest: String,
    },
    /// The file is not YAML of plain values.
    #[error("the configuration file cannot be read: {0}")]
    File(String),
}

impl ConfigError {
    /// The code of the condition.
    pub const fn code(&self) -> Code {
        code::CONFIG_INVALID
    }
}

/// The values each layer gives.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    given: BTreeMap<(&'static str, Source), String>,
}

impl Layers {
    /// Gives a value in one layer. A name that is no setting is ignored: the caller took it from
    /// [`SETTINGS`].
    pub fn set(&mut self, source: Source, name: &str, value: impl Into<String>) {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            self.given.insert((setting.name, source), value.into());
        }
    }

    /// Takes in a configuration file: YAML, one plain value a setting.
    pub fn with_file(mut self, text: &str) -> Result<Self, ConfigError> {
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(self);
        }
        let values: BTreeMap<String, serde_json::Value> =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::File(error.to_string()))?;
        for (name, value) in values {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                return Err(ConfigError::Unknown {
                    nearest: nearest(&name),
                    name,
                });
            };
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
                serde_json::Value::Null => continue,
                _ => return Err(ConfigError::File(format!("{name} is not a plain value"))),
            };
            self.given.insert((setting.name, Source::File), text);
        }
        Ok(self)
    }

    /// Picks the strongest layer's value for each setting.
    pub fn resolve(&self) -> Result<Vec<Resolved>, ConfigError> {
        Ok(SETTINGS
            .iter()
            .map(|setting| {
                let given = [Source::Flag, Source::Env, Source::File]
                    .into_iter()
                    .find_map(|source| Some((source, self.given.get(&(setting.name, source))?)));
                match given {
                    Some((source, value)) => Resolved {
                        setting,
                        value: value.clone(),
                        source,
                    },
                    None => Resolved {
                        setting,
                        value: setting.default.to_owned(),
                        source: Source::Default,
                    },
                }
            })
            .collect())
    }
}

/// The setting whose name shares the most letter pairs with a mistyped one.
fn nearest(name: &str) -> String {
    let pairs = |text: &str| text.as_bytes().windows(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let own = pairs(name);
    let shared = |setting: &&Setting| {
        pairs(setting.name)
            .iter()
            .filter(|pair| own.contains(pair))
            .count()
    };
    // Long names share pairs with everything: what counts is how much of both is shared.
    let likeness = |setting: &&Setting| shared(setting) * 1000 / (own.len() + setting.name.len());
    SETTINGS
        .iter()
        .max_by_key(likeness)
        .filter(|setting| shared(setting) > 1)
        .map_or_else(String::new, |setting| {
            format!("; did you mean {:?}?", setting.name)
        })
}
