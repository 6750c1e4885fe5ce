//! What the control plane is told, from four layers: flag > environment > file > default.
//!
//! [`SETTINGS`] lists every setting once; flags, `AAMI_*` variables, the file's members and
//! `--print-config` all follow from it. [`Layers::resolve`] picks each value with its source,
//! [`Config::read`] turns the texts into values or says which cannot be used.

mod layers;
mod release;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use layers::{ConfigError, Layers, Resolved, SETTINGS, Setting, Source};
pub use release::Releases;
pub(crate) use release::{ARCHITECTURES, folder};

use crate::app::address::AddressPolicy;

/// Everything the control plane is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where store, keys, certificates and `dist/` are.
    pub data_dir: PathBuf,
    /// `sqlite:PATH`, `etcd://HOST:PORT,...` or `memory:`; empty means SQLite below `data_dir`.
    pub store: String,
    /// The name of the cluster; the label `cluster` everywhere.
    pub cluster: String,
    /// How nodes and people reach this control plane; empty means https, the address of the default
    /// route, and the port.
    pub public_url: String,
    /// How other control planes that share the store reach this one; empty means https, its own address, and the port.
    pub peer_url: String,
    /// A certificate (PEM chain) of the operator's own.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Answer plain HTTP whole, to everybody.
    pub plain_http: bool,
    /// Proxies in front, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Accept loopback and this machine's own addresses from any registrant.
    pub allow_local_nodes: bool,
    /// Accept link-local addresses from registrants.
    pub allow_link_local_nodes: bool,
    /// Also write the targets as `file_sd` here.
    pub file_sd: Option<PathBuf>,
    /// Which agents install scripts bring, and from where.
    pub releases: Releases,
    /// How long an installation may be silent before it counts as failed.
    pub install_silence: Duration,
    /// How long a connected node may be silent before it counts as gone.
    pub heartbeat_timeout: Duration,
    /// How long events and audit entries are kept.
    pub history_keep: Duration,
    /// The service that is told of every event, at its `/events`.
    pub noti_service_url: Option<String>,
    /// The key it is told with, `Authorization: Bearer`.
    pub noti_key_file: Option<PathBuf>,
    /// What requests to it are signed with, `whsec_...`.
    pub noti_secret_file: Option<PathBuf>,
    /// The only CA its certificate is believed from.
    pub noti_ca_file: Option<PathBuf>,
    /// The secrets that events of other control planes are signed with, one a line.
    pub events_in_secret_file: Option<PathBuf>,
    /// The Alertmanager that is told to be silent about nodes in maintenance.
    pub alertmanager_url: Option<String>,
    /// What it is sent as `Authorization`.
    pub alertmanager_authorization_file: Option<PathBuf>,
    /// The only CA its certificate is believed from.
    pub alertmanager_ca_file: Option<PathBuf>,
    /// The Prometheus that is asked whether nodes without an agent are up.
    pub prometheus_url: Option<String>,
    /// What it is sent as `Authorization`.
    pub prometheus_authorization_file: Option<PathBuf>,
    /// The only CA its certificate is believed from.
    pub prometheus_ca_file: Option<PathBuf>,
    /// The folder of rules which that Prometheus reads, and this control plane fills.
    pub prometheus_rules: Option<PathBuf>,
    /// The file that is written when it is to read them again, where it does not let itself be told: somebody watches it.
    pub prometheus_reload: Option<PathBuf>,
    /// Where programs are installed, a promtool among them.
    pub programs: PathBuf,
    /// How long one delivery of an event may take.
    pub delivery_timeout: Duration,
    /// How long the next attempt waits at most.
    pub delivery_retry_max: Duration,
    /// How old an event may be and still be tried again.
    pub delivery_give_up: Duration,
    /// Requests a second that one address may make to open routes.
    pub open_rate: u32,
    /// How long a drain may take.
    pub drain: Duration,
    /// How long a request may take. No setting: nobody has a reason to change it but a test that will not wait.
    pub patience: Patience,
}

/// How long the parts of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until its body has arrived.
    pub body: Duration,
    /// Until it is answered.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(15),
            request: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Reads every setting; the first that cannot be used is the error.
    pub fn read(resolved: &[Resolved]) -> Result<Self, ConfigError> {
        let text = |name: &str| {
            resolved
                .iter()
                .find(|r| r.setting.name == name)
                .map_or("", |r| r.value.as_str())
        };
        let bad = |name: &'static str, why: String| {
            let from = resolved
                .iter()
                .find(|r| r.setting.name == name)
                .map_or(Source::Default, |r| r.source);
            ConfigError::Value {
                name,
                value: text(name).to_owned(),
                from,
                why,
            }
        };
        let path = |name: &str| {
            Some(text(name))
                .filter(|text| !text.is_empty())
                .map(PathBuf::from)
        };
        let flag = |name: &'static str| match text(name) {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" | "" => Ok(false),
            _ => Err(bad(name, "it is true or false".to_owned())),
        };
        let duration = |name: &'static str| {
            aami_model::exporter::parse_duration(text(name))
                .map(Duration::from_millis)
                .filter(|duration| !duration.is_zero())
                .ok_or_else(|| bad(name, "it is a duration such as 10m or 24h".to_owned()))
        };
        let cluster = text("cluster");
        if cluster.is_empty()
            || cluster.len() > 64
            || !cluster
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return Err(bad("cluster", "it is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()));
        }
        let (public_url, peer_url) = (
            text("public_url").trim_end_matches('/'),
            text("peer_url").trim_end_matches('/'),
        );
        for (name, url, schemes) in [
            ("public_url", public_url, &["http", "https"][..]),
            ("peer_url", peer_url, &["https"]),
        ] {
            let uri: Result<http::Uri, _> = url.parse();
            let fits = uri.is_ok_and(|uri| {
                uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
                    && uri.host().is_some_and(|host| !host.is_empty())
                    && matches!(uri.path(), "" | "/")
            });
            if !url.is_empty() && !fits {
                return Err(bad(name, "it is https://host or https://host:port".to_owned()));
            }
        }
        let noti_service_url = Some(text("noti_service_url")).filter(|url| !url.is_empty());
        let noti_service_url = noti_service_url.map(str::to_owned);
        if let Some(url) = &noti_service_url
            && let Err(why) = crate::notify::outlet::check_url(url)
        {
            return Err(bad("noti_service_url", why.to_owned()));
        }
        let releases = Releases::read(text, flag("plain_http")?).map_err(|(name, why)| bad(name, why))?;
        let service = |name: &'static str| {
            let url = Some(text(name)).filter(|url| !url.is_empty());
            match url.map(crate::notify::outlet::check_url).transpose() {
                Ok(_) if url.is_some_and(|url| url.contains('?')) => {
                    Err(bad(name, "it has no query".to_owned()))
                }
                Ok(_) => Ok(url.map(str::to_owned)),
                Err(why) => Err(bad(name, why.to_owned())),
            }
        };
        let (tls_cert, tls_key) = (path("tls_cert"), path("tls_key"));
        if tls_cert.is_some() != tls_key.is_some() {
            return Err(bad("tls_cert", "tls_cert and tls_key belong together".to_owned()));
        }
        if path("prometheus_rules").is_some() && text("prometheus_url").is_empty() {
            return Err(bad(
                "prometheus_rules",
                "it needs prometheus_url, the Prometheus that reads the folder".to_owned(),
            ));
        }
        for name in ["prometheus_authorization_file", "prometheus_ca_file"] {
            if path("prometheus_rules").is_some() && path(name).is_some() {
                return Err(bad(
                    name,
                    "with prometheus_rules it is not used: rules are brought to a Prometheus that answers this machine \
                     without; name an address of it that does, or leave prometheus_rules out"
                        .to_owned(),
                ));
            }
        }
        let trusted_proxies = text("trusted_proxies")
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| {
                Network::parse(text).ok_or_else(|| {
                    bad(
                        "trusted_proxies",
                        format!("{text:?} is not an address or a network"),
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            listen: text("listen")
                .parse()
                .map_err(|_| bad("listen", "it is ADDRESS:PORT".to_owned()))?,
            data_dir: PathBuf::from(text("data_dir")),
            store: text("store").to_owned(),
            cluster: cluster.to_owned(),
            public_url: public_url.to_owned(),
            peer_url: peer_url.to_owned(),
            tls_cert,
            tls_key,
            plain_http: flag("plain_http")?,
            trusted_proxies,
            allow_local_nodes: flag("allow_local_nodes")?,
            allow_link_local_nodes: flag("allow_link_local_nodes")?,
            file_sd: path("file_sd"),
            releases,
            install_silence: duration("install_silence")?,
            heartbeat_timeout: duration("heartbeat_timeout")?,
            history_keep: duration("history_keep")?,
            noti_service_url,
            noti_key_file: path("noti_key_file"),
            noti_secret_file: path("noti_secret_file"),
            noti_ca_file: path("noti_ca_file"),
            events_in_secret_file: path("events_in_secret_file"),
            alertmanager_url: service("alertmanager_url")?,
            alertmanager_authorization_file: path("alertmanager_authorization_file"),
            alertmanager_ca_file: path("alertmanager_ca_file"),
            prometheus_url: service("prometheus_url")?,
            prometheus_authorization_file: path("prometheus_authorization_file"),
            prometheus_ca_file: path("prometheus_ca_file"),
            prometheus_rules: path("prometheus_rules"),
            prometheus_reload: path("prometheus_reload"),
            programs: PathBuf::from(text("programs")),
            delivery_timeout: duration("delivery_timeout")?,
            delivery_retry_max: duration("delivery_retry_max")?,
            delivery_give_up: duration("delivery_give_up")?,
            open_rate: text("open_rate")
                .parse()
                .ok()
                .filter(|rate| *rate > 0)
                .ok_or_else(|| bad("open_rate", "it is a number above 0".to_owned()))?,
            drain: duration("drain")?,
            patience: Patience::default(),
        })
    }

    /// The defaults, with a data folder.
    pub fn for_data_dir(data_dir: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let mut config = Self::read(&Layers::default().resolve()?)?;
        config.data_dir = data_dir.into();
        Ok(config)
    }

    /// The store's URL.
    pub fn store_url(&self) -> String {
        if self.store.is_empty() {
            format!("sqlite:{}", self.data_dir.join("store.db").display())
        } else {
            self.store.clone()
        }
    }

    /// What kind of store it is.
    pub fn store_kind(&self) -> &'static str {
        match self.store.split(':').next() {
            Some("etcd") => "etcd",
            Some("memory") => "memory",
            Some("postgres" | "postgresql") => "postgres",
            _ => "sqlite",
        }
    }

    /// Where the first admin key is.
    pub fn admin_key_path(&self) -> PathBuf {
        self.data_dir.join("admin.key")
    }

    /// Where what nodes download is.
    pub fn dist_dir(&self) -> PathBuf {
        self.data_dir.join("dist")
    }

    pub(crate) const fn addresses(&self) -> AddressPolicy {
        AddressPolicy {
            allow_local: self.allow_local_nodes,
            allow_link_local: self.allow_link_local_nodes,
        }
    }
}

/// An address with the number of leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: std::net::IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: std::net::IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address lies in it.
    pub fn holds(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.address, address.to_canonical()) {
            (V4(net), V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                net.to_bits().checked_shr(shift).unwrap_or(0)
                    == address.to_bits().checked_shr(shift).unwrap_or(0)
            }
            (V6(net), V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                net.to_bits().checked_shr(shift).unwrap_or(0)
                    == address.to_bits().checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses() {
        let net = Network::parse("10.1.0.0/16").unwrap();
        assert!(net.holds("10.1.2.3".parse().unwrap()));
        assert!(net.holds("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.holds("10.2.0.1".parse().unwrap()));
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .holds("192.0.2.1".parse().unwrap())
        );
        assert!(
            Network::parse("fd00::/8")
                .unwrap()
                .holds("fd12::1".parse().unwrap())
        );
        for text in ["", "10.0.0.0/33", "x/8", "10.0.0.0/x"] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_value_says_where_it_came_from() {
        // Given a value in each layer
        let mut layers = Layers::default();
        layers.set(Source::File, "cluster", "from-file");
        layers.set(Source::Env, "cluster", "from-env");
        layers.set(Source::File, "open_rate", "7");
        // when they are resolved
        let resolved = layers.resolve().unwrap();
        let find = |name: &str| resolved.iter().find(|r| r.setting.name == name).unwrap();
        // then the stronger layer wins and is named
        assert_eq!(
            (find("cluster").value.as_str(), find("cluster").source),
            ("from-env", Source::Env)
        );
        assert_eq!(
            (find("open_rate").value.as_str(), find("open_rate").source),
            ("7", Source::File)
        );
        assert_eq!(find("drain").source, Source::Default);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_source() {
        let mut layers = Layers::default();
        layers.set(Source::Flag, "listen", "here");
        let error = Config::read(&layers.resolve().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "listen = \"here\" (from a flag) cannot be used: it is ADDRESS:PORT"
        );
    }

    #[test]
    fn rules_are_brought_to_no_prometheus_that_wants_to_know_who_asks() {
        for name in ["prometheus_authorization_file", "prometheus_ca_file"] {
            let mut layers = Layers::default();
            layers.set(Source::File, "prometheus_url", "https://127.0.0.1:9090");
            layers.set(Source::File, name, "/etc/aami/prometheus");
            Config::read(&layers.resolve().unwrap()).unwrap();
            layers.set(Source::File, "prometheus_rules", "/srv/rules");
            let error = Config::read(&layers.resolve().unwrap()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("prometheus_rules"), "{text}");
        }
    }

    #[test]
    fn a_setting_nobody_knows_is_refused() {
        let error = Layers::default().with_file("clutser: x\n").unwrap_err();
        assert!(
            error.to_string().contains("clutser") && error.to_string().contains("cluster"),
            "{error}"
        );
    }
}
