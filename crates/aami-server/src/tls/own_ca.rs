//! The CA of a control plane that was given no certificate.

use std::net::IpAddr;
use std::path::Path;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

use super::TlsError;
use crate::secret_file;

/// The CA and the key of its one leaf.
pub(super) struct OwnCa {
    key: KeyPair,
    leaf_key: KeyPair,
    pem: String,
    certificate: CertificateDer<'static>,
}

/// A leaf as the listener shows it.
pub(super) struct Leaf {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

fn validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    validity(&mut params);
    params
        .distinguished_name
        .push(DnType::CommonName, "AAMI control plane CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

/// Loads the CA below `folder`, or makes it there. The keys are written whole before they are used, so
/// that a crash never leaves a pin in the world whose key is lost.
pub(super) fn load_or_make(folder: &Path) -> Result<OwnCa, TlsError> {
    let key = key(&folder.join("ca.key"))?;
    let leaf_key = self::key(&folder.join("leaf.key"))?;
    let path = folder.join("ca.pem");
    let unusable = |why: String| TlsError::File {
        path: path.clone(),
        why,
    };
    let pem = match std::fs::read_to_string(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pem = ca_params().self_signed(&key)?.pem();
            secret_file::write(&path, pem.as_bytes(), 0o644).map_err(|error| unusable(error.to_string()))?;
            pem
        }
        Err(error) => return Err(unusable(error.to_string())),
    };
    let certificate =
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    Ok(OwnCa {
        key,
        leaf_key,
        pem,
        certificate,
    })
}

fn key(path: &Path) -> Result<KeyPair, TlsError> {
    let unusable = |why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    match std::fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| unusable("it is not a private key".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate()?;
            secret_file::write(path, key.serialize_pem().as_bytes(), 0o600)
                .map_err(|error| unusable(error.to_string()))?;
            Ok(key)
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

impl OwnCa {
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Signs the leaf for these names and addresses.
    pub(super) fn leaf(&self, names: &[String], addresses: &[IpAddr]) -> Result<Leaf, TlsError> {
        let mut params = CertificateParams::default();
        validity(&mut params);
        params
            .distinguished_name
            .push(DnType::CommonName, "AAMI control plane");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for name in names {
            // A name DNS does not allow cannot be asked for either.
            if let Ok(name) = name.as_str().try_into() {
                params.subject_alt_names.push(SanType::DnsName(name));
            }
        }
        params
            .subject_alt_names
            .extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        let issuer = Issuer::new(ca_params(), &self.key);
        let certificate = params.signed_by(&self.leaf_key, &issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        Ok(Leaf { certificate, key })
    }
}

impl Leaf {
    /// The SHA-256 of its public key, as curl's `--pinnedpubkey` wants it.
    pub(super) fn pin(&self) -> String {
        let spki = webpki::EndEntityCert::try_from(&self.certificate)
            .map(|parsed| parsed.subject_public_key_info().as_ref().to_vec())
            .unwrap_or_default();
        format!("sha256//{}", BASE64.encode(&Sha256::digest(spki)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_kept_over_restarts_and_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_make(folder.path())
            .unwrap()
            .leaf(&["a.example".into()], &[])
            .unwrap();
        let again = load_or_make(folder.path())
            .unwrap()
            .leaf(&[], &["192.0.2.1".parse().unwrap()])
            .unwrap();
        assert_eq!(first.pin(), again.pin());
        assert_ne!(first.certificate, again.certificate);
    }

    #[test]
    fn a_damaged_key_is_named_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.key"), "rubbish").unwrap();
        let error = load_or_make(folder.path()).err().unwrap();
        assert!(error.to_string().contains("ca.key"), "{error}");
        assert_eq!(
            std::fs::read_to_string(folder.path().join("ca.key")).unwrap(),
            "rubbish"
        );
    }
}
