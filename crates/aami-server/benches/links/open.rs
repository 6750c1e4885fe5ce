//! How agents reach a server: TCP over loopback, plain or with TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// From so many addresses of this machine, so that no one of them runs out of ports.
const SOURCES: usize = 16;

pub(crate) async fn tcp(n: usize, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(n % SOURCES + 1).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 1, last], 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connector that trusts this CA (PEM) alone.
pub(crate) fn connector(ca: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each agent is a machine of its own and has no session to resume.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn tls(
    n: usize,
    to: SocketAddr,
    connector: TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = tcp(n, to).await?;
    connector.connect(ServerName::from(to.ip()), stream).await
}
