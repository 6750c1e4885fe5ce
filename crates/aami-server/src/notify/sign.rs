//! Standard Webhooks: what is signed, and how a signature looks. <https://www.standardwebhooks.com>
//!
//! HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, base64 after `v1,`; several signatures stand in one
//! header with a space between. Secrets are `whsec_` and 24 to 64 bytes in base64.

use std::time::Duration;

use data_encoding::BASE64;
use ring::hmac;

use crate::world::World;

/// The headers.
pub(crate) const ID: &str = "webhook-id";
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
pub(crate) const SIGNATURE: &str = "webhook-signature";
/// What a secret begins with.
pub(crate) const PREFIX: &str = "whsec_";
/// How far the sender's clock may be away from ours.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(300);

/// A secret that can sign.
#[derive(Clone)]
pub(crate) struct Secret(hmac::Key);

impl Secret {
    /// Reads `whsec_...`; the prefix may be missing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = BASE64
            .decode(text.strip_prefix(PREFIX).unwrap_or(text).as_bytes())
            .ok()?;
        (24..=64)
            .contains(&bytes.len())
            .then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A fresh one, as text.
    pub(crate) fn fresh(world: &World) -> String {
        format!("{PREFIX}{}", BASE64.encode(&world.random::<32>()))
    }

    /// The value of the signature header for one secret.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &content(id, &seconds.to_string(), body));
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    }

    /// Whether one of the signatures in a header is this secret's. In constant time for each.
    pub(crate) fn signed(&self, id: &str, timestamp: &str, body: &[u8], header: &str) -> bool {
        let content = content(id, timestamp, body);
        header
            .split(' ')
            .take(8)
            .filter_map(|one| one.strip_prefix("v1,"))
            .filter_map(|one| BASE64.decode(one.as_bytes()).ok())
            .any(|tag| hmac::verify(&self.0, &content, &tag).is_ok())
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_known_example_is_signed_as_known() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = secret.sign(id, 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(secret.signed(id, "1614265330", body, &format!("v1,AAAA v2,x {signature}")));
        assert!(!secret.signed(id, "1614265331", body, &signature));
        assert!(!secret.signed("other", "1614265330", body, &signature));
        assert!(!secret.signed(id, "1614265330", b"{}", &signature));
        assert!(!secret.signed(id, "1614265330", body, "v1 v1, ,"));
    }

    #[test]
    fn what_is_too_short_or_no_base64_is_no_secret() {
        for text in ["", "whsec_", "whsec_AAAA", "whsec_????", "plain words"] {
            assert!(Secret::parse(text).is_none(), "{text:?}");
        }
        assert!(Secret::parse(&Secret::fresh(&World::system())).is_some());
    }
}
