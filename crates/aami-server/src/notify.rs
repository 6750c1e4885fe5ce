//! Telling others: every event goes to the destinations that want it, in order per subject and at least once.
//!
//! The leader delivers. [`roster`] keeps one [`lane`] task per destination and lane; a lane is where an event's
//! subject hashes to, so that what happens to one node is told in order while nodes do not wait for each other. Each
//! lane reads from the [`feed`], sends through an [`outlet`] (HTTP by [`wire`], mail by [`mail`]), notes every attempt
//! ([`records`]) and moves its cursor in the store. Whether a destination is sent to at all at this moment is its
//! [`gauge`]'s decision: back-off, circuit breaker, rate. Lanes share nothing else, so that a destination that hangs
//! delays no other. Who was away for longer than events are kept is told so ([`gap`]).
//!
//! What it must not do: change a node, follow a redirect, connect to an address that [`address`] refuses, or keep a
//! secret in clear anywhere but in memory ([`seal`]).

pub(crate) mod address;
pub(crate) mod feed;
mod gap;
pub(crate) mod gauge;
pub(crate) mod lane;
mod mail;
pub(crate) mod outlet;
pub(crate) mod records;
pub(crate) mod roster;
pub(crate) mod seal;
pub(crate) mod sign;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use outlet::Destination;
pub(crate) use roster::keep;

/// How many lanes a destination has. Cursors are kept by lane: another number needs new cursors.
pub(crate) const LANES: u8 = 4;

/// What all of this room share.
pub(crate) struct Desk {
    pub(crate) seal: seal::Seal,
    pub(crate) feed: feed::Feed,
    pub(crate) records: records::Records,
    pub(crate) roots: wire::Roots,
    gauges: Mutex<HashMap<String, Arc<gauge::Gauge>>>,
}

impl Desk {
    pub(crate) fn new(seal: seal::Seal) -> Self {
        Self {
            seal,
            feed: feed::Feed::default(),
            records: records::Records::default(),
            roots: wire::Roots::default(),
            gauges: Mutex::default(),
        }
    }

    /// The gauge of a destination that is being delivered to.
    pub(crate) fn gauge(&self, id: &str) -> Option<Arc<gauge::Gauge>> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.get(id).cloned()
    }

    fn gauge_for(&self, destination: &Destination) -> Arc<gauge::Gauge> {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let gauge = Arc::new(gauge::Gauge::new(destination.rate));
        gauges.insert(destination.id.clone(), gauge.clone());
        gauge
    }

    fn forget(&self, id: &str) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.remove(id);
    }
}

/// The lane an event's subject belongs to: FNV-1a and the last step of MurmurHash3, which are the same on every replica
/// and in every version.
pub(crate) fn lane_of(subject: &str) -> u8 {
    let hash = subject.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Names that differ in their last letters differ in few bits of FNV.
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    ((mixed >> 32) % u64::from(LANES)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_spread_over_all_lanes_and_stay_in_theirs() {
        let mut found = [0_u32; LANES as usize];
        for number in 0..1_000 {
            found[usize::from(lane_of(&format!("node:{number:016}")))] += 1;
        }
        assert!(found.iter().all(|count| (150..350).contains(count)), "{found:?}");
        // Kept cursors depend on it.
        assert_eq!((lane_of("node:a"), lane_of("node:b"), lane_of("")), (0, 2, 2));
    }
}
