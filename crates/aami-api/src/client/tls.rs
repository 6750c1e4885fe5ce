//! TLS for a connection that stays open, such as a node's: the same belief as for requests.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;

use super::{ClientError, Trust, certificates};

/// How rustls speaks to a server that `trust` believes: ring, names checked, no client certificate.
///
/// Fails when the CA is not PEM or not one, and where the system's own roots cannot be read.
pub fn tls_client(server: &str, trust: &Trust) -> Result<Arc<ClientConfig>, ClientError> {
    let untrusted = |why: String| ClientError::Untrusted {
        server: server.to_owned(),
        why,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(error.to_string()))?;
    let config = match trust {
        Trust::System => {
            let verifier = Verifier::new(provider).map_err(|error| untrusted(error.to_string()))?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
        Trust::Only(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem)? {
                let der = CertificateDer::from_slice(certificate.der()).into_owned();
                roots.add(der).map_err(|_| ClientError::Ca)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(Arc::new(config))
}
