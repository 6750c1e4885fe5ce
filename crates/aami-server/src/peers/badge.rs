//! What a replica shows when it calls another: who it is and whom it calls, signed, and good for a minute.

use aami_model::code;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use http::HeaderMap;

use crate::app::{App, Refusal};

/// The header it travels in.
pub(super) const HEADER: &str = "aami-peer";
/// By how much two clocks may differ, and how long one is good for, in milliseconds.
const GOOD_FOR: u64 = 60_000;

fn message(from: &str, to: &str, at: i64) -> Vec<u8> {
    format!("aami-peer-1\n{from}\n{to}\n{at}").into_bytes()
}

/// The badge of `from` that calls `to` at this time.
pub(super) fn made(key: &SigningKey, from: &str, to: &str, at: i64) -> String {
    let signature = key.sign(&message(from, to, at));
    format!("{from}.{at}.{}", HEXLOWER.encode(&signature.to_bytes()))
}

/// Whether a badge was made with the key of the replica it names, for this one, and now.
fn holds(badge: &str, to: &str, now: i64, key_of: impl Fn(&str) -> Option<VerifyingKey>) -> bool {
    let mut parts = badge.splitn(3, '.');
    let (Some(from), Some(at), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let signature = HEXLOWER.decode(signature.as_bytes());
    let signature = signature
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok());
    let (Ok(at), Some(signature), Some(key)) = (at.parse::<i64>(), signature, key_of(from)) else {
        return false;
    };
    now.abs_diff(at) <= GOOD_FOR && key.verify_strict(&message(from, to, at), &signature).is_ok()
}

/// Lets a request through that carries the badge of a replica whose lease holds.
pub(crate) fn admit(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    let snapshot = app.view.current();
    let key_of = |from: &str| {
        let calling = snapshot.linked.replica(from)?;
        let bytes = HEXLOWER.decode(calling.key.as_bytes()).ok()?;
        VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()
    };
    let badge = headers.get(HEADER).and_then(|value| value.to_str().ok());
    match badge {
        Some(badge) if holds(badge, &app.replica, app.world.now().millis(), key_of) => Ok(()),
        _ => Err(Refusal::plain(code::UNAUTHENTICATED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_is_good_for_one_replica_for_a_minute_and_made_by_nobody_else() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let known = |from: &str| (from == "a").then(|| key.verifying_key());
        let badge = made(&key, "a", "b", 1_000_000);
        assert!(holds(&badge, "b", 1_000_000, known));
        assert!(holds(&badge, "b", 1_060_000, known) && holds(&badge, "b", 940_000, known));
        assert!(!holds(&badge, "b", 1_060_001, known));
        assert!(!holds(&badge, "c", 1_000_000, known));
        // Another one's key, another one's name, and what was changed.
        let stranger = SigningKey::from_bytes(&[8; 32]);
        assert!(!holds(
            &made(&stranger, "a", "b", 1_000_000),
            "b",
            1_000_000,
            known
        ));
        assert!(!holds(&made(&key, "x", "b", 1_000_000), "b", 1_000_000, known));
        for (from, to) in [("a.1", "a.2"), (".", ""), ("a", "aa")] {
            assert!(!holds(&badge.replacen(from, to, 1), "b", 1_000_000, known));
        }
        for garbage in ["", "a", "a..", "a.9999999999999999999999.00", "a.1.zz"] {
            assert!(!holds(garbage, "b", 1_000_000, known), "{garbage}");
        }
    }
}
