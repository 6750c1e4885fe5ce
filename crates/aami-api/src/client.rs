//! The blocking client of the control plane, for the operator's and the node's binary.
//!
//! Every failure says which hop it ended at: the name, the connection, the certificate, an answer that
//! is not a control plane's, or the control plane's own refusal. Nothing is retried here: whether a
//! request may be repeated is the caller's knowledge. Nothing here reads the environment.

mod error;
mod pin;
mod routes;
mod rules;
mod tls;

pub use crate::prometheus::bundle_sha256;
pub use error::ClientError;
pub use pin::{Pin, pinned_ca};
pub use tls::tls_client;

use std::io::Read as _;
use std::time::Duration;

use aami_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

pub use crate::date::http_date;
use crate::problem::Problem;

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// Whose certificates to believe.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The operating system's.
    #[default]
    System,
    /// Only those signed by these, PEM.
    Only(String),
}

/// How to reach the control plane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://host:8080`, without a path.
    pub server: String,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// A proxy, as in `HTTPS_PROXY`.
    pub proxy: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Settings {
    /// The usual settings for `server`.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            trust: Trust::System,
            proxy: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A client of one control plane, under one credential or none.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    server: String,
    bearer: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// An answer with what its headers say.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The body.
    pub body: T,
    /// The revision it reflects.
    pub revision: Option<String>,
    /// What to send as `If-Match` to change exactly this.
    pub etag: Option<String>,
    /// The control plane's clock.
    pub date: Option<Timestamp>,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// Fails when the address is not `http://` or `https://` with a host, when the CA is not PEM, or
    /// when the proxy cannot be understood.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let server = settings.server.trim_end_matches('/').to_owned();
        let address = |why: &str| ClientError::Address {
            server: server.clone(),
            why: why.to_owned(),
        };
        let uri: ureq::http::Uri = server.parse().map_err(|_| address("it is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(address("it must be http:// or https:// and a host"));
        }
        let proxy = match &settings.proxy {
            Some(text) => Some(ureq::Proxy::new(text).map_err(|_| ClientError::Proxy)?),
            None => None,
        };
        let agent = ureq::Agent::config_builder()
            .tls_config(tls_config(&settings.trust)?)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("aami/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(Duration::from_secs(10)))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            server,
            bearer: None,
        })
    }

    /// The same client under a credential, sent as `Authorization: Bearer`.
    #[must_use]
    pub fn with_bearer(&self, credential: &str) -> Self {
        Self {
            bearer: Some(credential.to_owned()),
            ..self.clone()
        }
    }

    /// The address it talks to.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends JSON and reads JSON. `path` begins with `/`.
    pub fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        headers: &[(&str, &str)],
    ) -> Result<Answer<T>, ClientError> {
        let bytes = match body {
            Some(body) => Some(serde_json::to_vec(body).map_err(ClientError::Encode)?),
            None => None,
        };
        self.send(method, path, bytes.as_deref(), headers)
    }

    /// Sends these exact bytes as JSON and reads JSON; for requests that are signed.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Result<Answer<T>, ClientError> {
        let response = self.raw(method, path, body, headers)?;
        let status = response.status().as_u16();
        let (parts, body) = response.into_parts();
        let bytes = self.read(path, body)?;
        let answer_headers = parts.headers;
        if !(200..300).contains(&status) {
            return Err(self.refused(path, status, &bytes));
        }
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        let body = serde_json::from_slice(text).map_err(|_| self.not_aami(path, status, &bytes))?;
        let header = |name: &str| text_of(&answer_headers, name);
        Ok(Answer {
            body,
            revision: header(crate::REVISION),
            etag: header("etag"),
            date: header("date").and_then(|text| http_date(&text)),
        })
    }

    /// Fetches a text as it is, such as a script or the metrics.
    pub fn text(&self, path: &str) -> Result<String, ClientError> {
        let response = self.raw(Method::GET, path, None, &[])?;
        let status = response.status().as_u16();
        let bytes = self.read(path, response.into_body())?;
        if status != 200 {
            return Err(self.refused(path, status, &bytes));
        }
        String::from_utf8(bytes).map_err(|e| self.not_aami(path, status, e.as_bytes()))
    }

    /// GET as JSON; nothing where the answer is that it is known (304).
    fn unless_known<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<T>, ClientError> {
        let response = self.raw(Method::GET, path, None, headers)?;
        let status = response.status().as_u16();
        let bytes = self.read(path, response.into_body())?;
        match status {
            304 => Ok(None),
            200..300 => {
                (serde_json::from_slice(&bytes).map(Some)).map_err(|_| self.not_aami(path, status, &bytes))
            }
            _ => Err(self.refused(path, status, &bytes)),
        }
    }

    fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Result<Response<ureq::Body>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server));
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let unsendable = |_| ClientError::Address {
            server: self.server.clone(),
            why: format!("{path} cannot be asked for"),
        };
        match body {
            Some(body) => {
                let request = request
                    .header("content-type", "application/json")
                    .body(body)
                    .map_err(unsendable)?;
                self.agent.run(request)
            }
            None => self.agent.run(request.body(()).map_err(unsendable)?),
        }
        .map_err(|source| ClientError::transport(&self.server, source))
    }

    fn read(&self, path: &str, body: ureq::Body) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        body.into_reader()
            .take(LARGEST_ANSWER)
            .read_to_end(&mut bytes)
            .map_err(|source| ClientError::Broken {
                url: format!("{}{path}", self.server),
                source,
            })?;
        Ok(bytes)
    }

    fn refused(&self, path: &str, status: u16, bytes: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(bytes) {
            Ok(problem) => ClientError::Refused(Box::new(problem)),
            Err(_) => self.not_aami(path, status, bytes),
        }
    }

    fn not_aami(&self, path: &str, status: u16, bytes: &[u8]) -> ClientError {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
        let line = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("(nothing)");
        let line: String = line
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(120)
            .collect();
        ClientError::NotAami {
            url: format!("{}{path}", self.server),
            status,
            line,
        }
    }
}

/// How TLS is spoken wherever AAMI is a client: rustls with ring, believing exactly `trust`.
///
/// Fails when the CA is not PEM.
pub fn tls_config(trust: &Trust) -> Result<TlsConfig, ClientError> {
    let roots = match trust {
        Trust::System => RootCerts::PlatformVerifier,
        Trust::Only(pem) => RootCerts::new_with_certs(&certificates(pem)?),
    };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots)
        .build())
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = ureq::tls::parse_pem(pem.as_bytes())
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ClientError::Ca),
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_refused_before_anything_is_sent() {
        for server in ["", "gpu01", "ftp://gpu01", "https://", "file:///etc/passwd"] {
            let error = Client::new(&Settings::new(server)).unwrap_err();
            assert!(
                matches!(error, ClientError::Address { .. }),
                "{server:?}: {error}"
            );
        }
    }
}
