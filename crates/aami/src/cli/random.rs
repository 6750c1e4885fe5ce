//! Chance where no secret depends on it: how long to wait before trying again.

/// A number from 0 to 1 that differs from process to process: the standard library keys each of its
/// hash states with fresh random bytes.
pub(crate) fn random() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};

    let bits = std::hash::RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}
