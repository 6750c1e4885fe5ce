//! Why a call failed, and at which hop.

use std::io;

use aami_model::{Code, code};

use crate::problem::Problem;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("the server address {server:?} cannot be used: {why}")]
    Address {
        /// As given.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The proxy cannot be used. It may hold a password, so it is not repeated.
    #[error("the proxy setting cannot be understood")]
    Proxy,
    /// The CA cannot be used.
    #[error("the CA file holds no PEM certificate")]
    Ca,
    /// The name leads nowhere.
    #[error("{server}: the name cannot be looked up")]
    Name {
        /// The control plane's address.
        server: String,
    },
    /// Nothing answers.
    #[error("{server}: {what}")]
    Unreachable {
        /// The control plane's address.
        server: String,
        /// Which hop.
        what: String,
        /// The transport's own words.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Its certificate cannot be trusted.
    #[error("{server}: the certificate cannot be trusted: {why}")]
    Untrusted {
        /// The control plane's address.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answer ended early.
    #[error("{url}: the answer ended early")]
    Broken {
        /// What was asked for.
        url: String,
        /// The transport's own words.
        #[source]
        source: io::Error,
    },
    /// Something answers, but not a control plane.
    #[error("{url} answered {status}, but not as a control plane does; it begins: {line}")]
    NotAami {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The first line that is not empty.
        line: String,
    },
    /// The control plane says no.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The request cannot be written as JSON.
    #[error("the request cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}

impl ClientError {
    /// What a failure of the transport on the way to `server` means, hop by hop.
    pub fn transport(server: &str, source: ureq::Error) -> Self {
        let server = server.to_owned();
        let what = match &source {
            ureq::Error::HostNotFound => return Self::Name { server },
            ureq::Error::Rustls(error) => {
                return Self::Untrusted {
                    server,
                    why: error.to_string(),
                };
            }
            ureq::Error::Io(error) => {
                if let Some(why) = certificate_error(error) {
                    return Self::Untrusted { server, why };
                }
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                        "there is no route to it".to_owned()
                    }
                    io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                        "the connection was cut".to_owned()
                    }
                    _ => format!("the connection failed: {error}"),
                }
            }
            ureq::Error::Timeout(ureq::Timeout::Connect) => "the connection was never answered".to_owned(),
            ureq::Error::Timeout(ureq::Timeout::Resolve) => return Self::Name { server },
            ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
            ureq::Error::ConnectProxyFailed(why) => format!("the proxy refused: {why}"),
            other => format!("the request failed: {other}"),
        };
        Self::Unreachable {
            server,
            what,
            source: Box::new(source),
        }
    }

    /// The code of the condition. A refusal carries the control plane's own.
    pub fn code(&self) -> Code {
        match self {
            Self::Address { .. } | Self::Proxy | Self::Encode(_) => code::INVALID,
            Self::Ca | Self::Untrusted { .. } => code::SERVER_NOT_TRUSTED,
            Self::Name { .. } | Self::Unreachable { .. } | Self::Broken { .. } => code::UNREACHABLE,
            Self::NotAami { .. } => code::NOT_AAMI,
            Self::Refused(problem) => Code::find(&problem.code).copied().unwrap_or(code::INTERNAL),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            // Who sends on to a place without TLS does so a moment later, too.
            Self::Unreachable { source, .. } => !matches!(**source, ureq::Error::RequireHttpsOnly(_)),
            Self::Broken { .. } | Self::Name { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// rustls hands its errors through `io::Error`; this finds them again.
fn certificate_error(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Some(error.to_string())
        }
        rustls::Error::InvalidMessage(_) => Some("it does not speak TLS".to_owned()),
        _ => None,
    }
}
