//! Trusting a control plane by the pin of its key, as curl's `--pinnedpubkey` does.
//!
//! The pin is the SHA-256 of the leaf certificate's public key (SubjectPublicKeyInfo, DER), base64. A
//! control plane with its own CA sends that CA in its chain. [`pinned_ca`] makes one handshake, checks
//! the pin and the proof that the peer holds the key, and hands back the CA: from then on the ordinary
//! checks apply, names included.

use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::ClientError;

/// The SHA-256 of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// Why a text is not a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is sha256// and 44 characters of base64, as `aami tokens create` prints it")]
pub struct NotAPin;

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let text = text.trim();
        let text = text.strip_prefix("sha256//").unwrap_or(text);
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| NotAPin)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAPin)?))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256//{}", BASE64.encode(&self.0))
    }
}

impl Pin {
    /// The pin of a certificate (DER); `None` when it is not one.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
        Some(Self(
            Sha256::digest(parsed.subject_public_key_info().as_ref()).into(),
        ))
    }
}

/// Connects to `server` (`https://host:port`), checks that its key is the pinned one, and answers with
/// the CA certificates it presented, PEM.
///
/// Fails with [`ClientError::Untrusted`] when the key is another one or no CA was presented.
pub fn pinned_ca(server: &str, pin: Pin, timeout: Duration) -> Result<String, ClientError> {
    let address = |why: &str| ClientError::Address {
        server: server.to_owned(),
        why: why.to_owned(),
    };
    let untrusted = |why: &str| ClientError::Untrusted {
        server: server.to_owned(),
        why: why.to_owned(),
    };
    let uri: ureq::http::Uri = server.parse().map_err(|_| address("it is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(address("a pin needs https://"));
    }
    let host = uri
        .host()
        .ok_or_else(|| address("it has no host"))?
        .trim_matches(['[', ']'])
        .to_owned();
    let port = uri.port_u16().unwrap_or(443);

    let seen = Arc::new(PinVerifier {
        pin,
        provider: Arc::new(rustls::crypto::ring::default_provider()),
        chain: Mutex::new(Vec::new()),
    });
    let config = ClientConfig::builder_with_provider(seen.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).map_err(|_| address("its host is not a name"))?;
    let mut session =
        ClientConnection::new(Arc::new(config), name).map_err(|error| untrusted(&error.to_string()))?;

    let mut socket = connect(server, &host, port, timeout)?;
    let deadline = Instant::now() + timeout;
    while session.is_handshaking() {
        if Instant::now() > deadline {
            return Err(untrusted("the handshake took too long"));
        }
        session.complete_io(&mut socket).map_err(|error| {
            let why = error
                .get_ref()
                .map_or_else(|| error.to_string(), ToString::to_string);
            untrusted(&why)
        })?;
    }
    session.send_close_notify();
    // The handshake is done and judged; a peer that is gone now changes nothing.
    let _ = session.complete_io(&mut socket);
    let _ = socket.flush();

    let chain = seen.chain.lock().map(|chain| chain.clone()).unwrap_or_default();
    if chain.is_empty() {
        return Err(untrusted(
            "it presented no CA of its own; give one with --ca-file",
        ));
    }
    Ok(chain.iter().map(|certificate| pem(certificate)).collect())
}

fn connect(server: &str, host: &str, port: u16, timeout: Duration) -> Result<TcpStream, ClientError> {
    let transport = |error| ClientError::transport(server, ureq::Error::Io(error));
    let addresses = (host, port).to_socket_addrs().map_err(|_| ClientError::Name {
        server: server.to_owned(),
    })?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_read_timeout(Some(timeout)).map_err(transport)?;
                socket.set_write_timeout(Some(timeout)).map_err(transport)?;
                return Ok(socket);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || ClientError::Name {
            server: server.to_owned(),
        },
        transport,
    ))
}

fn pem(certificate: &[u8]) -> String {
    let text = BASE64.encode(certificate);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

/// Accepts exactly the pinned key, and only from a peer that proves to hold it.
#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Pin::of(leaf) != Some(self.pin) {
            return Err(rustls::Error::General("its key is not the pinned one".to_owned()));
        }
        if let Ok(mut chain) = self.chain.lock() {
            *chain = others.iter().map(|certificate| certificate.to_vec()).collect();
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back_in_either_spelling() {
        let pin = Pin([9; 32]);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string()["sha256//".len()..].parse(), Ok(pin));
        for text in ["", "sha256//", "sha256//AAAA", "md5//x"] {
            assert_eq!(text.parse::<Pin>(), Err(NotAPin), "{text:?}");
        }
    }
}
