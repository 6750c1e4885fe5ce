//! The services beside the control plane that it asks: Alertmanager, to be silent about nodes in maintenance, and
//! Prometheus, whether nodes without an agent are up. The configuration names them.
//!
//! They may be absent, hang, or answer garbage: every question has a deadline and a bound on its answer, no redirect
//! is followed, and whoever asks goes on without an answer. Nothing here decides anything about a node.

pub(crate) mod alertmanager;
pub(crate) mod prometheus;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::config::Config;
use crate::notify::wire::{self, Place, Question, Roots, Terms, WireError, harmless};

pub(crate) use alertmanager::Alertmanager;
pub(crate) use prometheus::Prometheus;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those that are named.
pub(crate) struct Services {
    pub(crate) alertmanager: Option<Alertmanager>,
    pub(crate) prometheus: Option<Prometheus>,
}

impl Services {
    pub(crate) fn of(config: &Config, roots: &Roots) -> Self {
        let service = |name, url: &Option<String>, ca: &Option<PathBuf>, authorization: &Option<PathBuf>| {
            let url = url.as_deref()?;
            Some(Service {
                name,
                terms: terms(url, ca.as_deref(), roots),
                authorization: authorization.clone(),
            })
        };
        Self {
            alertmanager: service(
                "Alertmanager",
                &config.alertmanager_url,
                &config.alertmanager_ca_file,
                &config.alertmanager_authorization_file,
            )
            .map(Alertmanager::new),
            prometheus: service(
                "Prometheus",
                &config.prometheus_url,
                &config.prometheus_ca_file,
                &config.prometheus_authorization_file,
            )
            .map(Prometheus::new),
        }
    }
}

impl Services {
    /// Those at these addresses, which whoever may name them has named.
    pub(crate) fn at(prometheus: &str, alertmanager: Option<&str>, roots: &Roots) -> Self {
        let service = |name, url: &str| Service {
            name,
            terms: terms(url, None, roots),
            authorization: None,
        };
        Self {
            alertmanager: alertmanager.map(|url| Alertmanager::new(service("Alertmanager", url))),
            prometheus: Some(Prometheus::new(service("Prometheus", prometheus))),
        }
    }
}

fn terms(url: &str, ca: Option<&std::path::Path>, roots: &Roots) -> Result<Terms, String> {
    let place = Place::parse(url).map_err(|why| format!("its URL cannot be used: {why}"))?;
    let pem = match ca {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
        ),
    };
    let tls = match place.tls {
        true => Some(roots.config(pem.as_deref())?),
        false => None,
    };
    Ok(Terms {
        place,
        tls,
        // Whoever writes the configuration owns this machine.
        allow_private: true,
    })
}

/// Why a service gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// It cannot be asked as it is configured.
    #[error("{service} cannot be asked: {why}")]
    Setup { service: &'static str, why: String },
    /// It was not reached, or said nothing in time.
    #[error("{service} cannot be reached: {source}")]
    Wire {
        service: &'static str,
        source: WireError,
    },
    /// It answers, and does not do it.
    #[error("{service} answered with status {status}: {text}")]
    Status {
        service: &'static str,
        status: StatusCode,
        text: String,
    },
    /// Its answer is not what it should be.
    #[error("{service} answered something else than was asked for: {why}")]
    Answer { service: &'static str, why: String },
}

impl ServiceError {
    /// The sentence without what the other side said: whoever named its address need not be told what lies there.
    pub(crate) fn without_their_words(&self) -> String {
        match self {
            Self::Status { service, status, .. } => format!("{service} answered with status {status}"),
            Self::Answer { service, .. } => format!("{service} answered something else than was asked for"),
            Self::Setup { .. } | Self::Wire { .. } => self.to_string(),
        }
    }

    /// Whether it is about what was asked, so that another question may well be answered.
    pub(crate) fn is_about_the_question(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(
                *status,
                StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
            ),
            Self::Setup { .. } | Self::Wire { .. } | Self::Answer { .. } => false,
        }
    }
}

/// One of them, over HTTP.
pub(crate) struct Service {
    name: &'static str,
    terms: Result<Terms, String>,
    /// A file with what is sent as `Authorization`.
    authorization: Option<PathBuf>,
}

impl Service {
    /// Asks, and answers with the body where the status is 200.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        most: usize,
    ) -> Result<http::Response<Bytes>, ServiceError> {
        let setup = |why: String| ServiceError::Setup {
            service: self.name,
            why,
        };
        let terms = self.terms.as_ref().map_err(|why| setup(why.clone()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static("aami"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(path) = &self.authorization {
            // Read anew each time: passwords change.
            let text = tokio::fs::read_to_string(path)
                .await
                .map_err(|error| setup(format!("{} cannot be read: {error}", path.display())))?;
            let mut value = HeaderValue::from_str(text.trim())
                .map_err(|_| setup(format!("{} is no header's value", path.display())))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = body.map(|(kind, body)| {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            body
        });
        let question = Question {
            method,
            path,
            headers,
            body: body.unwrap_or_default(),
            most,
            patience: PATIENCE,
        };
        let response = wire::ask(terms, question)
            .await
            .map_err(|source| ServiceError::Wire {
                service: self.name,
                source,
            })?;
        if response.status() != StatusCode::OK {
            return Err(ServiceError::Status {
                service: self.name,
                status: response.status(),
                text: harmless(&String::from_utf8_lossy(response.body())),
            });
        }
        Ok(response)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ServiceError> {
        serde_json::from_slice(bytes).map_err(|error| ServiceError::Answer {
            service: self.name,
            why: harmless(&error.to_string()),
        })
    }
}
