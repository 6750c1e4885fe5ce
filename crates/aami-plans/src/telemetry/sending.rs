//! One request to one destination, and what its answer means.

use std::io::Read as _;
use std::net::IpAddr;
use std::time::Duration;

use aami_api::client::tls_config;
use aami_install::render::Sample;
use ureq::http::Uri;

use super::{Destination, Protocol, TelemetryError, otlp, remote_write};
use crate::download::Proxies;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one request may take in all.
const REQUEST: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ENOUGH: u64 = 4 * 1024;

/// A destination that can be asked.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) destination: Destination,
    agent: ureq::Agent,
    url: String,
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// All of it is kept, but for so many samples.
    Kept { left_out: u64, why: Option<String> },
    /// Not now; perhaps later.
    Later { why: String, after: Option<Duration> },
    /// Something in it is not wanted; the rest may be.
    Unwanted { why: String },
    /// This destination takes nothing of ours.
    Never { why: String },
}

impl Sending {
    pub(super) fn new(destination: Destination, proxies: &Proxies) -> Result<Self, TelemetryError> {
        let protocol = destination.protocol;
        let bad = || TelemetryError::Address(protocol);
        let uri: Uri = destination.url.parse().map_err(|_| bad())?;
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        if !is_https && uri.scheme_str() != Some("http") {
            return Err(bad());
        }
        if destination.credential.is_some() && !is_https && !is_loopback(host) {
            return Err(TelemetryError::CredentialInTheOpen(protocol));
        }
        let mut url = destination.url.clone();
        if protocol == Protocol::Otlp && matches!(uri.path(), "" | "/") && uri.query().is_none() {
            url = format!("{}{}", url.trim_end_matches('/'), otlp::PATH);
        }
        let proxy = match proxies.for_address(&uri) {
            Some(text) => Some(ureq::Proxy::new(text).map_err(|_| TelemetryError::Proxy(protocol))?),
            None => None,
        };
        let tls = tls_config(&destination.trust)
            .map_err(|source| TelemetryError::Certificates(protocol, Box::new(source)))?;
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // A redirect would hand the credential on, and a POST to where nobody meant it.
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("aami/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            .build()
            .new_agent();
        Ok(Self {
            destination,
            agent,
            url,
        })
    }

    pub(super) fn send(&self, samples: &[Sample]) -> Verdict {
        let protocol = self.destination.protocol;
        let (content_type, body) = match protocol {
            Protocol::RemoteWrite => (remote_write::CONTENT_TYPE, remote_write::body(samples)),
            Protocol::Otlp => (otlp::CONTENT_TYPE, Some(otlp::body(samples))),
        };
        let Some(body) = body else {
            return Verdict::Unwanted {
                why: "a batch is too long".to_owned(),
            };
        };
        let mut request = self.agent.post(&self.url).header("content-type", content_type);
        if protocol == Protocol::RemoteWrite {
            for (name, value) in remote_write::HEADERS {
                request = request.header(name, value);
            }
        }
        if let Some(credential) = &self.destination.credential {
            request = request.header("authorization", credential.header());
        }
        match request.send(&body[..]) {
            Ok(response) => {
                let status = response.status().as_u16();
                let after = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                    .map(Duration::from_secs);
                let mut answer = Vec::new();
                // What it says besides is for people; an answer that breaks off is as good as a silent one.
                let _ = response
                    .into_body()
                    .into_reader()
                    .take(ENOUGH)
                    .read_to_end(&mut answer);
                judge(protocol, status, after, &answer)
            }
            Err(error) => Verdict::Later {
                why: error.to_string(),
                after: None,
            },
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// What an answer means. Remote write: 2xx is kept, 5xx and 429 may be sent again, other 4xx must not be. OTLP:
/// 429, 502, 503 and 504 may be sent again and nothing else.
fn judge(protocol: Protocol, status: u16, after: Option<Duration>, answer: &[u8]) -> Verdict {
    let said = || {
        let line = String::from_utf8_lossy(answer);
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect();
        format!("HTTP status {status}: {}", line.trim())
            .trim_end_matches(": ")
            .to_owned()
    };
    let again = match protocol {
        Protocol::RemoteWrite => status == 429 || status >= 500,
        Protocol::Otlp => matches!(status, 429 | 502..=504),
    };
    match status {
        200..=299 => {
            let (left_out, why) = match protocol {
                Protocol::Otlp => otlp::left_out(answer).unzip(),
                Protocol::RemoteWrite => (None, None),
            };
            Verdict::Kept {
                left_out: left_out.unwrap_or(0),
                why,
            }
        }
        _ if again => Verdict::Later { why: said(), after },
        400 | 413 | 422 => Verdict::Unwanted { why: said() },
        _ => Verdict::Never { why: said() },
    }
}

#[cfg(test)]
mod tests {
    use aami_api::client::Trust;

    use super::*;
    use crate::download::Credential;

    fn destination(protocol: Protocol, url: &str, credential: Option<Credential>) -> Destination {
        Destination {
            protocol,
            url: url.into(),
            trust: Trust::System,
            credential,
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_repeating_it() {
        for url in ["", "gpu01:9090", "ftp://h/x", "http://"] {
            let error =
                Sending::new(destination(Protocol::Otlp, url, None), &Proxies::default()).unwrap_err();
            assert!(matches!(error, TelemetryError::Address(_)), "{url:?}: {error}");
        }
    }

    #[test]
    fn a_credential_does_not_travel_in_the_open() {
        let make = |url: &str| {
            let credential = Credential::bearer("canary");
            Sending::new(
                destination(Protocol::RemoteWrite, url, credential),
                &Proxies::default(),
            )
            .map(drop)
        };
        let error = make("http://prometheus.lab:9090/api/v1/write").unwrap_err();
        assert_eq!(error.code(), aami_model::code::SERVER_NOT_TRUSTED);
        assert!(!format!("{error:?} {error}").contains("canary"));
        make("http://127.0.0.1:9090/api/v1/write").unwrap();
        make("https://prometheus.lab/api/v1/write").unwrap();
    }

    #[test]
    fn a_collector_without_a_path_is_asked_where_metrics_go() {
        let url = |url: &str| {
            Sending::new(destination(Protocol::Otlp, url, None), &Proxies::default())
                .unwrap()
                .url
        };
        assert_eq!(url("http://c:4318"), "http://c:4318/v1/metrics");
        assert_eq!(url("http://c:4318/"), "http://c:4318/v1/metrics");
        assert_eq!(url("http://c/otlp/v1/metrics"), "http://c/otlp/v1/metrics");
    }

    #[test]
    fn each_status_means_what_its_protocol_says() {
        let kind = |protocol, status| match judge(protocol, status, None, b"") {
            Verdict::Kept { .. } => "kept",
            Verdict::Later { .. } => "later",
            Verdict::Unwanted { .. } => "unwanted",
            Verdict::Never { .. } => "never",
        };
        for (status, prometheus, collector) in [
            (200, "kept", "kept"),
            (204, "kept", "kept"),
            (301, "never", "never"),
            (400, "unwanted", "unwanted"),
            (401, "never", "never"),
            (404, "never", "never"),
            (429, "later", "later"),
            (500, "later", "never"),
            (503, "later", "later"),
        ] {
            assert_eq!(kind(Protocol::RemoteWrite, status), prometheus, "{status}");
            assert_eq!(kind(Protocol::Otlp, status), collector, "{status}");
        }
    }
}
