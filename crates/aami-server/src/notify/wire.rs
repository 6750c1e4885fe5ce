//! One HTTP request to a destination: looked up, judged, connected, encrypted, sent, answered; all by a deadline.
//!
//! The connection is kept for the next request of the same lane. No redirect is followed, and of an answer no more is
//! read than tells people what went wrong.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::address;

/// How long one address may take to accept.
const CONNECT: Duration = Duration::from_secs(3);
/// How many addresses of a name are tried.
const MOST_ADDRESSES: usize = 8;
/// How long the body of an answer may take once its head is there.
const BODY: Duration = Duration::from_secs(2);
/// How much of an answer is read.
const ENOUGH: usize = 16 * 1024;
/// How much of it is kept.
const KEPT: usize = 200;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The name leads nowhere.
    #[error("{host} cannot be looked up: {why}")]
    Name { host: String, why: String },
    /// No address of it may be connected to.
    #[error("{address} (of {host}) may not be connected to: {why}")]
    Address {
        host: String,
        address: IpAddr,
        why: &'static str,
    },
    /// Nobody accepts.
    #[error("{address} cannot be connected to: {why}")]
    Connect { address: SocketAddr, why: String },
    /// The certificate is not believed, or it speaks no TLS.
    #[error("no TLS connection to {host}: {why}")]
    Tls { host: String, why: String },
    /// It does not speak HTTP, or hung up.
    #[error("{host} did not answer as an HTTP server: {why}")]
    Http { host: String, why: String },
    /// It says more than anybody asked for.
    #[error("{host} answered more than {most} bytes")]
    Large { host: String, most: usize },
    /// It took too long.
    #[error("{host} did not answer within {} s", patience.as_secs_f32())]
    Slow { host: String, patience: Duration },
}

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    authority: String,
    path: String,
}

impl Place {
    /// Reads a URL; says what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        if url.len() > 2048 {
            return Err("it is longer than 2048 characters");
        }
        let uri: Uri = url.parse().map_err(|_| "it is no URL")?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it begins with https:// or http://"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it may not hold a user or password");
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("it names no host");
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
        })
    }

    /// Whether the same server answers for both.
    pub(crate) fn is_served_by(&self, other: &Self) -> bool {
        let same_host = self.host.eq_ignore_ascii_case(&other.host);
        (self.tls, self.port) == (other.tls, other.port) && same_host
    }

    /// The same place, `path` further on.
    pub(crate) fn join(mut self, path: &str) -> Self {
        self.path = format!("{}{path}", self.path.trim_end_matches('/'));
        self
    }
}

/// Connects to the first address of a name that may be connected to and accepts.
pub(crate) async fn connect(host: &str, port: u16, allow_private: bool) -> Result<TcpStream, WireError> {
    let unknown = |why: String| WireError::Name {
        host: host.to_owned(),
        why,
    };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| unknown(error.to_string()))?
        .take(MOST_ADDRESSES)
        .collect();
    let mut last = unknown("it has no address".to_owned());
    for address in found {
        if let Some(why) = address::refused(address.ip(), allow_private) {
            last = WireError::Address {
                host: host.to_owned(),
                address: address.ip(),
                why,
            };
            continue;
        }
        let refused = |why: String| WireError::Connect { address, why };
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = refused(error.to_string()),
            Err(_) => last = refused(format!("no answer within {} s", CONNECT.as_secs())),
        }
    }
    Err(last)
}

/// Whose certificates are believed.
#[derive(Default)]
pub(crate) struct Roots {
    system: OnceLock<Arc<ClientConfig>>,
}

impl Roots {
    /// The system's, read once; or only those in `ca`, PEM.
    pub(crate) fn config(&self, ca: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let Some(ca) = ca else {
            return Ok(self.system.get_or_init(|| Arc::new(system())).clone());
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.is_empty() {
            return Err("it holds no certificate in PEM".to_owned());
        }
        Ok(Arc::new(client(roots)))
    }
}

fn system() -> ClientConfig {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "some of the system's certificates cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    client(roots)
}

fn client(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    // Fails only for versions the provider does not have.
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that are the default");
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// An answer, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Its beginning, without control characters.
    pub(crate) text: String,
    /// How long to stay away, where it says.
    pub(crate) retry_after: Option<Duration>,
}

/// One lane's connection; the task that drives it ends with it.
#[derive(Default)]
pub(crate) struct Wire {
    held: Option<Held>,
}

struct Held {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a request is made.
pub(crate) struct Terms {
    pub(crate) place: Place,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) allow_private: bool,
}

impl Wire {
    /// Posts a body and waits for the answer, all within `patience`.
    pub(crate) async fn post(
        &mut self,
        terms: &Terms,
        headers: &HeaderMap,
        body: &Bytes,
        patience: Duration,
    ) -> Result<Answer, WireError> {
        let host = || terms.place.host.clone();
        let exchange = async {
            // A connection that was kept may have been closed meanwhile; then a fresh one is asked once.
            if let Some(mut held) = self.held.take()
                && held.sender.ready().await.is_ok()
                && let Ok(answer) = self.ask(held, terms, headers, body).await
            {
                return Ok(answer);
            }
            let held = open(terms).await?;
            self.ask(held, terms, headers, body).await
        };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Err(WireError::Http { why, .. })) => Err(WireError::Http { host: host(), why }),
            Ok(result) => result,
            Err(_) => Err(WireError::Slow {
                host: host(),
                patience,
            }),
        }
    }

    async fn ask(
        &mut self,
        mut held: Held,
        terms: &Terms,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer, WireError> {
        let broken = |why: String| WireError::Http {
            host: terms.place.host.clone(),
            why,
        };
        let mut request = Request::post(&terms.place.path)
            .header(http::header::HOST, &terms.place.authority)
            .body(Full::new(body.clone()))
            .map_err(|error| broken(error.to_string()))?;
        request
            .headers_mut()
            .extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let response = held
            .sender
            .send_request(request)
            .await
            .map_err(|error| broken(reason(&error)))?;
        let (parts, body) = response.into_parts();
        // What it says beside the status may be cut off, endless or garbage: the status decides.
        let (whole, text) = tokio::time::timeout(BODY, beginning(body))
            .await
            .unwrap_or_default();
        if whole {
            self.held = Some(held);
        }
        Ok(Answer {
            status: parts.status,
            text: harmless(&String::from_utf8_lossy(&text)),
            retry_after: retry_after(&parts.headers),
        })
    }
}

/// A question to a service that the configuration names.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// What follows the place's own path; begins with `/`.
    pub(crate) path: &'a str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long the answer may be.
    pub(crate) most: usize,
    pub(crate) patience: Duration,
}

/// Asks over a connection of its own and reads the whole answer, whatever its status. No redirect is followed.
pub(crate) async fn ask(terms: &Terms, question: Question<'_>) -> Result<Response<Bytes>, WireError> {
    let place = &terms.place;
    let broken = |why: String| WireError::Http {
        host: place.host.clone(),
        why,
    };
    let exchange = async {
        let mut request = Request::builder()
            .method(question.method)
            .uri(format!("{}{}", place.path.trim_end_matches('/'), question.path))
            .header(http::header::HOST, &place.authority)
            .body(Full::new(question.body))
            .map_err(|error| broken(error.to_string()))?;
        request.headers_mut().extend(question.headers);
        let mut held = open(terms).await?;
        let response = held
            .sender
            .send_request(request)
            .await
            .map_err(|error| broken(reason(&error)))?;
        let (parts, mut body) = response.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(reason(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > question.most {
                return Err(WireError::Large {
                    host: place.host.clone(),
                    most: question.most,
                });
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Response::from_parts(parts, bytes.freeze()))
    };
    let patience = question.patience;
    tokio::time::timeout(patience, exchange)
        .await
        .unwrap_or_else(|_| {
            Err(WireError::Slow {
                host: place.host.clone(),
                patience,
            })
        })
}

/// The beginning of a body, and whether that was all of it.
async fn beginning(mut body: hyper::body::Incoming) -> (bool, Vec<u8>) {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (false, text) };
        let Ok(data) = frame.into_data() else { continue };
        let room = ENOUGH - text.len();
        text.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() >= room {
            return (false, text);
        }
    }
    (true, text)
}

async fn open(terms: &Terms) -> Result<Held, WireError> {
    let place = &terms.place;
    let stream = connect(&place.host, place.port, terms.allow_private).await?;
    let Some(config) = terms.tls.as_ref().filter(|_| place.tls) else {
        return drive(stream, place).await;
    };
    let broken = |why: String| WireError::Tls {
        host: place.host.clone(),
        why,
    };
    let name = ServerName::try_from(place.host.clone()).map_err(|error| broken(error.to_string()))?;
    let stream = TlsConnector::from(config.clone())
        .connect(name, stream)
        .await
        .map_err(|error| broken(error.to_string()))?;
    drive(stream, place).await
}

async fn drive<S>(stream: S, place: &Place) -> Result<Held, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(32 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| WireError::Http {
            host: place.host.clone(),
            why: reason(&error),
        })?;
    let driver = tokio::spawn(async move {
        // How it ends is seen by whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(Held { sender, driver })
}

/// An error of hyper's with what caused it.
fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// `Retry-After` in seconds; dates are what nobody sends here, and count as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// The beginning of a text, fit for a terminal.
pub(crate) fn harmless(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(KEPT)
        .collect();
    flat.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_are_places() {
        let place = Place::parse("https://hooks.example.com/a?b=c").unwrap();
        assert_eq!(
            (place.tls, place.host.as_str(), place.port),
            (true, "hooks.example.com", 443)
        );
        assert_eq!(place.path, "/a?b=c");
        let place = Place::parse("http://[::1]:8080").unwrap().join("/events");
        assert_eq!(
            (place.host.as_str(), place.port, place.path.as_str()),
            ("::1", 8080, "/events")
        );
        for url in [
            "",
            "hooks",
            "ftp://h/",
            "https://",
            "https://user:pw@h/",
            "file:///etc/passwd",
            "https:///x",
        ] {
            assert!(Place::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn answers_are_shown_without_what_moves_a_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc"), "a [2Jb  c");
        assert_eq!(harmless(&"x".repeat(1_000)).len(), KEPT);
    }
}
