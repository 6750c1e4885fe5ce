//! How long to wait before the next attempt, and dice for it.

use std::time::Duration;

/// Random numbers that are good enough for pauses, from a seed, so that a test can repeat them. (SplitMix64, by
/// Steele, Lea and Flood: "Fast splittable pseudorandom number generators", 2014.)
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.throw() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

/// The pause after so many failed attempts: doubled each time up to a limit, and of that between half and all, so
/// that hosts which failed together do not come back together.
pub(super) fn pause(failed: u32, base: Duration, most: Duration, dice: &mut Dice) -> Duration {
    let doubled = base.saturating_mul(1 << failed.saturating_sub(1).min(20));
    doubled.min(most).mul_f64(0.5 + 0.5 * dice.share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ() {
        let (base, most) = (Duration::from_secs(2), Duration::from_secs(30));
        let mut dice = Dice::new(7);
        for (failed, whole) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (60, 30)] {
            let whole = Duration::from_secs(whole);
            let pauses: Vec<Duration> = (0..200).map(|_| pause(failed, base, most, &mut dice)).collect();
            assert!(
                pauses.iter().all(|p| *p >= whole / 2 && *p <= whole),
                "{failed}: {pauses:?}"
            );
            let (least, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(
                *longest - *least > whole / 4,
                "{failed}: {least:?} to {longest:?}"
            );
        }
        assert_eq!(pause(3, Duration::ZERO, most, &mut dice), Duration::ZERO);
    }
}
