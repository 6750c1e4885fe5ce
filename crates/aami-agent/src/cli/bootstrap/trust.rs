//! Whose word is taken for the control plane's: a CA file, a pin, what was believed before, or the
//! system's roots. Nothing is fetched from a server that cannot be trusted in one of these ways.

use std::net::IpAddr;
use std::time::Duration;

use aami_api::client::{Pin, Trust, pinned_ca};
use aami_model::code;
use aami_plans::node::Enrolment;

use super::super::failure::Failure;

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Whom to believe about `server`.
pub(super) fn trust(
    server: &str,
    ca_file: Option<&std::path::Path>,
    pin: Option<&str>,
    before: Option<&Enrolment>,
) -> Result<Trust, Failure> {
    if let Some(path) = ca_file {
        let pem = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        return Ok(Trust::Only(pem));
    }
    if let Some(pin) = pin {
        let pin: Pin = pin
            .parse()
            .map_err(|error| Failure::invalid(format!("--pin: {error}")))?;
        return Ok(Trust::Only(pinned_ca(server, pin, HANDSHAKE)?));
    }
    match before.filter(|before| before.server.as_deref() == Some(server)) {
        Some(before) => Ok(before.trust.clone()),
        None => Ok(Trust::System),
    }
}

/// Whether everything said to `server` can be read and changed on the way.
pub(super) fn is_in_the_open(server: &str) -> bool {
    let Ok(uri) = server.parse::<ureq::http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("http") && !is_loopback
}

/// A pin that does not fit needs another hint than a CA that is missing.
pub(super) fn pinned(failure: Failure) -> Failure {
    if failure.code == code::SERVER_NOT_TRUSTED {
        return failure.with_hint(
            "The pin belongs to another control plane, or something answers in its place; copy the whole line again.",
        );
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_in_the_open_except_on_this_machine() {
        assert!(is_in_the_open("http://cp.example:8080"));
        assert!(!is_in_the_open("http://127.0.0.1:8080"));
        assert!(!is_in_the_open("http://[::1]:8080"));
        assert!(!is_in_the_open("https://cp.example:8080"));
        assert!(is_in_the_open("http://localhost.example"));
    }
}
