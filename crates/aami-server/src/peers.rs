//! Control planes that share a store, among themselves: what is live at one is shown by all.
//!
//! State reaches every replica through the store. What is live stands nowhere: when a node was last heard, how busy it
//! is, how far the step of a run is. So each replica calls every other one ([`call`]) and is told ([`tell`]) all that
//! is live there, and from then on what changed, twice a second, latest wins. A pair has two sockets, one each way, and
//! one that breaks is opened again.
//!
//! Whom to call stands in `replicas/{id}` on a lease: the address, the SHA-256 of the certificate that is shown there, and
//! the key its [`badge`] is checked with. Whoever can write that is a replica.
//!
//! What it must not do: decide anything. Who is silent is judged by whoever holds a node's socket, and statuses come
//! from the store alone.

mod badge;
mod call;
mod frame;
mod pinned;
mod tell;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aami_model::RunId;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

pub(crate) use badge::admit;
pub(crate) use call::keep;
pub(crate) use frame::NodeHeard;
pub(crate) use pinned::fingerprint;
pub(crate) use tell::open;

use crate::dashboards::Fraction;
use crate::world::World;

/// Of how many runs is remembered how far they are. Beyond that the older half is forgotten: they report again.
const MOST: usize = 20_000;

/// How a replica is called by the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Calling {
    /// Where it answers, `https://host:port`.
    pub(crate) url: String,
    /// The SHA-256 of the certificate it shows, hexadecimal.
    pub(crate) certificate: String,
    /// The Ed25519 key its badge is checked with, hexadecimal.
    pub(crate) key: String,
}

/// What this replica is among the others.
pub(crate) struct Peers {
    /// Made at each start, as the replica's id is.
    key: SigningKey,
    /// How the others call it.
    pub(crate) calling: Calling,
    /// Whether there can be others.
    is_shared: bool,
    /// How far runs are that report here.
    reported: Mutex<Reported>,
}

/// The last that each run reported, and when: counted, so that whoever is told knows what is new.
#[derive(Default)]
struct Reported {
    count: u64,
    runs: HashMap<RunId, (u64, Fraction)>,
}

impl Peers {
    /// A replica that is called at `url` and shows the certificate with this SHA-256.
    pub(crate) fn new(world: &World, url: String, certificate: String, is_shared: bool) -> Self {
        let key = SigningKey::from_bytes(&world.random());
        Self {
            calling: Calling {
                url,
                certificate,
                key: data_encoding::HEXLOWER.encode(key.verifying_key().as_bytes()),
            },
            key,
            is_shared,
            reported: Mutex::default(),
        }
    }

    /// Notes how far a run is that reports here.
    pub(crate) fn note(&self, run: &RunId, fraction: &Fraction) {
        if !self.is_shared {
            return;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.count += 1;
        let count = reported.count;
        reported.runs.insert(run.clone(), (count, fraction.clone()));
        if reported.runs.len() > MOST {
            let mut counts: Vec<u64> = reported.runs.values().map(|(count, _)| *count).collect();
            let (_, middle, _) = counts.select_nth_unstable(MOST / 2);
            let middle = *middle;
            reported.runs.retain(|_, (count, _)| *count > middle);
        }
    }

    /// A run is over.
    pub(crate) fn forget(&self, run: &RunId) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.runs.remove(run);
    }

    /// What was noted after the first `since` notes, and how many there are now.
    fn noted_after(&self, since: u64) -> (Vec<(RunId, Fraction)>, u64) {
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let news = reported.runs.iter().filter(|(_, (count, _))| *count > since);
        let news = news.map(|(run, (_, fraction))| (run.clone(), fraction.clone()));
        (news.collect(), reported.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_report_is_told_once_and_remembered_within_bounds() {
        let peers = Peers::new(&World::system(), String::new(), String::new(), true);
        let id = |n: usize| format!("r{n}").parse::<RunId>().unwrap();
        let at = |thousandths| Fraction {
            step: "s".to_owned(),
            thousandths,
            message: String::new(),
        };
        peers.note(&id(1), &at(1));
        peers.note(&id(2), &at(2));
        let (all, told) = peers.noted_after(0);
        assert_eq!((all.len(), told), (2, 2));
        peers.note(&id(1), &at(3));
        assert_eq!(peers.noted_after(told), (vec![(id(1), at(3))], 3));
        peers.forget(&id(1));
        assert_eq!(peers.noted_after(0).0, [(id(2), at(2))]);
        (0..MOST + 10).for_each(|n| peers.note(&id(n), &at(4)));
        let (kept, _) = peers.noted_after(0);
        assert!((MOST / 2 - 10..=MOST).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().any(|(run, _)| *run == id(MOST + 9)));
        // Where nobody shares the store nothing is kept.
        let alone = Peers::new(&World::system(), String::new(), String::new(), false);
        alone.note(&id(1), &at(1));
        assert_eq!(alone.noted_after(0), (vec![], 0));
    }
}
