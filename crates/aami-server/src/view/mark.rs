//! Short stand-ins for long texts that are looked up whole: hostnames, fingerprints, keys, credentials.

use sha2::{Digest as _, Sha256};

/// The first half of a text's SHA-256. Compared in one step and kept in place, where the texts would be compared
/// byte by byte and lie somewhere else each. Two texts with one mark would take some 2^64 tries to find, and would
/// gain nothing: whether a name is free is decided by the transaction, which compares the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mark([u8; 16]);

impl Mark {
    pub(super) fn of(text: &str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Self(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_marks_of_their_own() {
        assert_eq!(Mark::of("gpu-01"), Mark::of("gpu-01"));
        assert_ne!(Mark::of("gpu-01"), Mark::of("gpu-02"));
        assert_ne!(Mark::of(""), Mark::of("gpu-02"));
    }
}
