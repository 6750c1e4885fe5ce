//! Leases: the time for which a key may live without word from its writer.

use std::fmt;
use std::time::Duration;

/// Names a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(i64);

impl LeaseId {
    pub(crate) const fn new(id: i64) -> Self {
        Self(id)
    }

    pub(crate) const fn get(self) -> i64 {
        self.0
    }
}

/// The longest lease: no key that goes with its writer may outlive it by more than a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A time that a lease may have.
pub(crate) fn bounded(ttl: Duration) -> Duration {
    ttl.clamp(Duration::from_millis(1), LONGEST)
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A lease that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How long it lasts after each [`keep_alive`](crate::Store::keep_alive).
    pub ttl: Duration,
}
