//! The certificate the listener shows.
//!
//! Without certificates of the operator's own, the control plane has a CA of its own, made once and
//! kept in the data folder. Its leaf's key is also made once: its SHA-256 is the pin in the one line. The
//! leaf is signed anew at each start, with the names and addresses of that start. Both are valid from
//! 2000 to 9999: what is trusted is the pin, and a wrong clock must not keep a machine from enrolling.

mod own_ca;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_model::{Code, code};
use rustls::ServerConfig;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;

/// What the listener needs, and what strangers need to trust it.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    /// `sha256//...`, where the CA is our own.
    pub(crate) pin: Option<String>,
    /// The CA, PEM, where it is our own.
    pub(crate) ca: Option<String>,
    /// The SHA-256 of the certificate, hexadecimal.
    pub(crate) fingerprint: String,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of ours or the operator's cannot be used.
    #[error("{} cannot be used: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// rustls refuses the certificate or key.
    #[error("the certificate and its key cannot be used")]
    Pair(#[from] rustls::Error),
}

impl TlsError {
    /// The code of the condition.
    pub const fn code(&self) -> Code {
        code::CONFIG_INVALID
    }
}

/// Loads the operator's certificate, or makes one of our own for these names and addresses.
pub(crate) fn identity(
    config: &Config,
    names: &[String],
    addresses: &[IpAddr],
) -> Result<Identity, TlsError> {
    let (chain, key, pin, ca) = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => {
            let (chain, key) = (certificates(cert)?, private_key(key)?);
            (chain, key, None, None)
        }
        _ => {
            let own = own_ca::load_or_make(&config.data_dir.join("tls"))?;
            let leaf = own.leaf(names, addresses)?;
            let pin = leaf.pin();
            (
                vec![leaf.certificate, own.certificate()],
                leaf.key,
                Some(pin),
                Some(own.pem().to_owned()),
            )
        }
    };
    // A chain that is read is not empty.
    let fingerprint = chain.first().map(crate::peers::fingerprint).unwrap_or_default();
    let mut server = shown(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Identity {
        config: Arc::new(server),
        pin,
        ca,
        fingerprint,
    })
}

/// Judges a certificate of the operator's before anything is changed for it: whether both files hold what they are for,
/// and the key is the certificate's. Each with what was read of it, for it may be a pipe that can be read once.
pub fn judge_certificate(chain: (&Path, &str), key: (&Path, &str)) -> Result<(), TlsError> {
    let certificates = CertificateDer::pem_slice_iter(chain.1.as_bytes()).collect();
    let certificates = usable_chain(chain.0, certificates)?;
    shown(
        certificates,
        usable_key(key.0, PrivateKeyDer::from_pem_slice(key.1.as_bytes()))?,
    )?;
    Ok(())
}

/// A listener that shows this.
fn shown(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    usable_chain(
        path,
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect),
    )
}

fn usable_chain(
    path: &Path,
    read: Result<Vec<CertificateDer<'static>>, pem::Error>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    let chain = read.map_err(|error| unusable(error.to_string()))?;
    if chain.is_empty() {
        Err(unusable("it holds no certificate".to_owned()))
    } else {
        Ok(chain)
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    usable_key(path, PrivateKeyDer::from_pem_file(path))
}

fn usable_key(
    path: &Path,
    read: Result<PrivateKeyDer<'static>, pem::Error>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    read.map_err(|error| TlsError::File {
        path: path.to_owned(),
        why: error.to_string(),
    })
}
