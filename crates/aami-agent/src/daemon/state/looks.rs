//! Looks at the hardware, one after the other, and when the one ends that somebody waits for.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many began, and how many of those ended.
#[derive(Debug, Default)]
pub(in super::super) struct Looks {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Looks {
    /// One begins.
    pub(in super::super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// It ended.
    pub(in super::super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the first look that has not begun yet: one that is under way may have passed what it is asked for.
    pub(in super::super) fn next(&self) -> u64 {
        self.begun.load(Ordering::SeqCst) + 1
    }

    /// Whether the look of this number has ended.
    pub(in super::super) fn has_ended(&self, look: u64) -> bool {
        self.ended.load(Ordering::SeqCst) >= look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_under_way_is_no_answer_to_who_asks_meanwhile() {
        let looks = Looks::default();
        let at_rest = looks.next();
        looks.begin();
        let meanwhile = looks.next();
        looks.end();
        assert!(looks.has_ended(at_rest) && !looks.has_ended(meanwhile));
        looks.begin();
        assert!(!looks.has_ended(meanwhile));
        looks.end();
        assert!(looks.has_ended(meanwhile));
    }
}
