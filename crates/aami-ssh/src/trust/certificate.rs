//! A host's certificate: what has to hold besides that its authority is believed.

use aami_model::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::pattern;

/// Checks a certificate whose authority is believed for this host; answers what the authority calls it.
pub(super) fn verify(certificate: &Certificate, names: &[String], now: u64) -> Result<String, String> {
    if certificate.cert_type() != CertType::Host {
        return Err("it is a user's certificate, not a host's".to_owned());
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None }) {
        return Err("its authority signed it over SHA-1".to_owned());
    }
    // The signature first: before that nothing in it means anything.
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    let dates = (certificate.valid_after(), certificate.valid_before());
    // Judged at a time within its dates, so that a refusal can only be about the signature.
    if certificate.validate_at(dates.0, [&authority]).is_err() {
        return Err("its signature is not its authority's".to_owned());
    }
    if now < dates.0 {
        return Err(format!("it is not valid before {}", date(dates.0)));
    }
    if now >= dates.1 {
        return Err(format!("it was valid until {}", date(dates.1)));
    }
    let principals = certificate.valid_principals();
    let named = principals
        .iter()
        .any(|principal| pattern::list_matches(std::iter::once(principal.as_str()), names));
    if !named {
        return Err(format!(
            "it is for {principals:?}, and the host is called {names:?}"
        ));
    }
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(format!(
            "it has the critical option {option:?}, which is not understood"
        ));
    }
    Ok(certificate.key_id().to_owned())
}

/// Seconds since 1970 as people can compare them.
fn date(seconds: u64) -> String {
    let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis).to_string()
}
