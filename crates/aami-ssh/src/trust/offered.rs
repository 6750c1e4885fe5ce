//! What a host shows of itself, and in which forms it is asked for it.

use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

/// What a host shows.
#[derive(Debug, Clone)]
pub(crate) enum Offered {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl From<&PublicKeyOrCertificate> for Offered {
    fn from(key: &PublicKeyOrCertificate) -> Self {
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => Self::Key(key.clone()),
            PublicKeyOrCertificate::Certificate(certificate) => {
                Self::Certificate(Box::new(certificate.clone()))
            }
        }
    }
}

impl Offered {
    pub(super) fn key(&self) -> PublicKey {
        match self {
            Self::Key(key) => key.clone(),
            Self::Certificate(certificate) => PublicKey::new(certificate.public_key().clone(), ""),
        }
    }
}

/// What is asked of a host: its key in one of these forms, the best first.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) keys: Vec<Algorithm>,
    pub(crate) certificates: Vec<Algorithm>,
}

/// A key's type as files name it.
pub(super) fn kind_of(key: &PublicKey) -> String {
    match key.algorithm() {
        // An RSA key is one thing, by whatever hash it signs.
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// Whether a key of this type, as files name it, is asked for by this.
pub(super) fn is_kind(algorithm: &Algorithm, kind: &str) -> bool {
    match algorithm {
        Algorithm::Rsa { .. } => kind == "ssh-rsa",
        other => other.as_str() == kind,
    }
}

/// What is good enough, the best first. Signatures over SHA-1 are not.
pub(super) fn every_algorithm() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ]
}
