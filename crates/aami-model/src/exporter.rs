//! A metrics endpoint on a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of exporter it is; decides the Prometheus job it is scraped under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ExporterKind {
    /// Prometheus node_exporter.
    NodeExporter,
    /// NVIDIA dcgm-exporter.
    DcgmExporter,
    /// all-smi, for GPUs of any vendor.
    AllSmi,
    /// AAMI's own agent.
    Aami,
    /// Anything else that speaks the Prometheus text format.
    Custom,
}

impl ExporterKind {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeExporter => "node_exporter",
            Self::DcgmExporter => "dcgm_exporter",
            Self::AllSmi => "all_smi",
            Self::Aami => "aami",
            Self::Custom => "custom",
        }
    }

    /// The Prometheus job it is scraped under.
    pub const fn job(self) -> &'static str {
        match self {
            Self::NodeExporter => "node",
            Self::DcgmExporter => "dcgm",
            Self::AllSmi => "all_smi",
            Self::Aami => "aami",
            Self::Custom => "custom",
        }
    }

    /// The port it listens on unless told otherwise; none for a custom one.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::NodeExporter => Some(9100),
            Self::DcgmExporter => Some(9400),
            Self::AllSmi => Some(9401),
            Self::Aami => Some(9105),
            Self::Custom => None,
        }
    }
}

/// At most this many exporters a node may carry; they are embedded in its document.
pub const MOST_EXPORTERS: usize = 32;

/// One exporter of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exporter {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ExporterKind,
    /// TCP port, 1 to 65535.
    pub port: u16,
    /// Where its metrics are, e.g. `/metrics`.
    #[serde(default = "default_path")]
    pub metrics_path: String,
    /// How often to scrape, a Prometheus duration such as `30s`; Prometheus' own default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<String>,
    /// Whether it is handed to Prometheus.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Anything its registrant wanted kept about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, serde_json::Value>,
}

fn default_path() -> String {
    "/metrics".to_owned()
}

const fn yes() -> bool {
    true
}

/// Why an exporter may not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExporterError {
    /// Port 0.
    #[error("port 0 is not a port")]
    Port,
    /// Not an absolute path of unreserved characters.
    #[error(
        "the metrics path must begin with '/' and hold only A-Z a-z 0-9 . _ ~ % / = & ? : @ + , -, at most 256 characters"
    )]
    Path,
    /// Not a Prometheus duration, or out of bounds.
    #[error("the scrape interval must be a Prometheus duration from 1s to 1h, such as 30s")]
    Interval,
    /// Too many, or two on one port.
    #[error("a node has at most 32 exporters, each on a port of its own")]
    Set,
}

impl Exporter {
    /// An exporter with the usual path.
    pub fn new(kind: ExporterKind, port: u16) -> Self {
        Self {
            kind,
            port,
            metrics_path: default_path(),
            scrape_interval: None,
            enabled: true,
            config: BTreeMap::new(),
        }
    }

    /// The name it is found by among its node's exporters: `node_exporter-9100`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.kind.name(), self.port)
    }

    /// Checks port, path and interval.
    pub fn check(&self) -> Result<(), ExporterError> {
        if self.port == 0 {
            return Err(ExporterError::Port);
        }
        let path = self.metrics_path.as_str();
        let fits = path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 256
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._~%/=&?:@+,-".contains(&b));
        if !fits {
            return Err(ExporterError::Path);
        }
        match &self.scrape_interval {
            Some(text) if !parse_duration(text).is_some_and(|s| (1_000..=3_600_000).contains(&s)) => {
                Err(ExporterError::Interval)
            }
            _ => Ok(()),
        }
    }
}

/// Checks a whole set.
pub fn check_set(exporters: &[Exporter]) -> Result<(), ExporterError> {
    for exporter in exporters {
        exporter.check()?;
    }
    let mut ports: Vec<u16> = exporters.iter().map(|e| e.port).collect();
    ports.sort_unstable();
    ports.dedup();
    if exporters.len() > MOST_EXPORTERS || ports.len() != exporters.len() {
        return Err(ExporterError::Set);
    }
    Ok(())
}

/// A Prometheus duration in milliseconds: `1h30m`, `15s`, `500ms`. Units must fall
/// (`model.ParseDuration` in prometheus/common).
pub fn parse_duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut rest = text;
    let mut total = 0_u64;
    let mut next = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let at = UNITS[next..]
            .iter()
            .position(|(unit, _)| *unit == &rest[..letters])?
            + next;
        total = total.checked_add(number.checked_mul(UNITS[at].1)?)?;
        next = at + 1;
        rest = &rest[letters..];
    }
    (next > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1m1h", None),
            ("1s1s", None),
            ("99999999999999999999d", None),
            ("1é", None),
        ] {
            assert_eq!(parse_duration(text), millis, "{text:?}");
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for path in [
            "",
            "metrics",
            "//evil.example/x",
            "/a b",
            "/a\nb",
            "/\"",
            "/ä",
            &format!("/{}", "x".repeat(10_000)),
        ] {
            let exporter = Exporter {
                metrics_path: path.to_owned(),
                ..Exporter::new(ExporterKind::Custom, 1)
            };
            assert_eq!(exporter.check(), Err(ExporterError::Path), "{path:?}");
        }
        assert_eq!(Exporter::new(ExporterKind::NodeExporter, 9100).check(), Ok(()));
    }

    #[test]
    fn two_exporters_cannot_share_a_port() {
        let two = [
            Exporter::new(ExporterKind::NodeExporter, 9100),
            Exporter::new(ExporterKind::Custom, 9100),
        ];
        assert_eq!(check_set(&two), Err(ExporterError::Set));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_duration_parser(text in ".{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
