//! Who is silent for so long that it counts as gone. Pure: what is heard and what time it is come in as values.
//!
//! Three things are told from a node that is gone. A control plane that has just started, or was stopped for a
//! while, has heard nobody and waits a whole timeout anew: it is known by its own clock, which jumped between two
//! looks. And where a large share of a region falls silent at once, the region's network is suspected, not its
//! nodes: they are given more time before they count as gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aami_model::NodeId;

/// A region of fewer nodes is not judged as a whole.
const FEWEST: usize = 8;
/// How much of the timeout a node must be silent to count towards its region's silence: those that fell silent
/// together reach the timeout one heartbeat apart.
const NEARLY: (u32, u32) = (7, 10);
/// The share of a region that is silent at once when the region is suspected: one in so many.
const SHARE: usize = 3;
/// How many timeouts a node may be silent while its region is suspected.
const PATIENCE: u32 = 5;

/// A node that should be heard.
pub(crate) struct Expected {
    pub(crate) node: NodeId,
    /// Its label `region`; empty where it has none.
    pub(crate) region: String,
    /// When it was last heard, by the clock nobody sets.
    pub(crate) heard: Duration,
}

/// What a look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// These count as gone.
    pub(crate) gone: Vec<NodeId>,
    /// These regions are suspected from now on, with how many of how many nodes are silent.
    pub(crate) suspected: Vec<(String, usize, usize)>,
    /// These no longer are.
    pub(crate) cleared: Vec<String>,
    /// How long the control plane itself was stopped, if it was.
    pub(crate) paused: Option<Duration>,
}

/// Keeps what one look must know of those before.
#[derive(Debug)]
pub(crate) struct Watch {
    timeout: Duration,
    interval: Duration,
    /// Silence begins here at the earliest.
    listening_since: Duration,
    looked: Duration,
    suspected: BTreeSet<String>,
}

impl Watch {
    /// `now` is when it begins to listen; [`Self::interval`] says how often to look.
    pub(crate) fn new(timeout: Duration, now: Duration) -> Self {
        let interval = (timeout / 8).clamp(Duration::from_millis(50), Duration::from_secs(5));
        Self {
            timeout,
            interval,
            listening_since: now,
            looked: now,
            suspected: BTreeSet::new(),
        }
    }

    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Looks at everybody who should be heard.
    pub(crate) fn look(&mut self, now: Duration, expected: &[Expected]) -> Verdict {
        let mut verdict = Verdict::default();
        let away = now.saturating_sub(self.looked);
        // A look that comes late by more than this was not merely scheduled late: nobody was listened to.
        if away > self.interval * 2 + self.timeout / 8 {
            self.listening_since = now;
            verdict.paused = Some(away);
        }
        self.looked = now;
        let silent = |one: &Expected| now.saturating_sub(one.heard.max(self.listening_since));
        let nearly = self.timeout * NEARLY.0 / NEARLY.1;

        let mut regions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for one in expected {
            let (quiet, all) = regions.entry(&one.region).or_default();
            *all += 1;
            *quiet += usize::from(silent(one) >= nearly);
        }
        for (region, (quiet, all)) in &regions {
            if *all >= FEWEST && quiet * SHARE >= *all {
                if self.suspected.insert((*region).to_owned()) {
                    verdict.suspected.push(((*region).to_owned(), *quiet, *all));
                }
            } else if self.suspected.remove(*region) {
                verdict.cleared.push((*region).to_owned());
            }
        }
        for one in expected {
            let patience = if self.suspected.contains(&one.region) {
                self.timeout * PATIENCE
            } else {
                self.timeout
            };
            if silent(one) >= patience {
                verdict.gone.push(one.node.clone());
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);

    fn fleet(heard: impl Fn(usize) -> u64, size: usize) -> Vec<Expected> {
        (0..size)
            .map(|n| Expected {
                node: format!("n{n}").parse().unwrap(),
                region: String::new(),
                heard: Duration::from_secs(heard(n)),
            })
            .collect()
    }

    /// Looks every interval up to and including `to`; answers what came of it, with when.
    fn drive(
        watch: &mut Watch,
        from: u64,
        to: u64,
        fleet: &dyn Fn(u64) -> Vec<Expected>,
    ) -> Vec<(u64, Verdict)> {
        let mut seen = Vec::new();
        let mut at = from;
        while at <= to {
            let verdict = watch.look(Duration::from_secs(at), &fleet(at));
            if verdict != Verdict::default() {
                seen.push((at, verdict));
            }
            at += watch.interval().as_secs();
        }
        seen
    }

    #[test]
    fn one_node_that_falls_silent_is_gone_after_the_timeout_and_not_before() {
        let mut watch = Watch::new(TIMEOUT, Duration::ZERO);
        let seen = drive(&mut watch, 5, 1000, &|at| {
            fleet(|n| if n == 3 { at.min(500) } else { at }, 20)
        });
        let (at, verdict) = &seen[0];
        assert_eq!((*at, verdict.gone.len()), (620, 1), "{seen:?}");
        assert!(verdict.suspected.is_empty());
    }

    #[test]
    fn a_control_plane_that_was_stopped_blames_nobody() {
        let mut watch = Watch::new(TIMEOUT, Duration::ZERO);
        assert!(drive(&mut watch, 5, 100, &|at| fleet(|_| at, 100)).is_empty());
        // Stopped for five minutes: nobody was heard meanwhile, and all are heard again within a heartbeat.
        let seen = drive(&mut watch, 400, 700, &|at| {
            fleet(|n| if at < 410 + (n as u64 % 30) { 100 } else { at }, 100)
        });
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].1.paused, Some(Duration::from_secs(300)));
        assert!(seen[0].1.gone.is_empty());
    }

    #[test]
    fn whoever_does_not_come_back_after_the_stop_is_gone_a_timeout_later() {
        let mut watch = Watch::new(TIMEOUT, Duration::ZERO);
        assert!(drive(&mut watch, 5, 100, &|at| fleet(|_| at, 100)).is_empty());
        let seen = drive(&mut watch, 400, 700, &|at| {
            fleet(|n| if n == 7 { 100 } else { at }, 100)
        });
        assert_eq!((seen[1].0, seen[1].1.gone.len()), (520, 1), "{seen:?}");
    }

    #[test]
    fn a_region_that_falls_silent_as_a_whole_is_suspected_before_its_nodes_are() {
        let mut watch = Watch::new(TIMEOUT, Duration::ZERO);
        // They beat every 30 s, each in its own moment, and fall silent at 500.
        let seen = drive(&mut watch, 5, 1200, &|at| {
            fleet(|n| at.min(500 - (n as u64 % 30)), 300)
        });
        let (at, first) = &seen[0];
        assert!(*at < 600 && first.gone.is_empty(), "{seen:?}");
        assert_eq!(first.suspected.len(), 1);
        // After five timeouts they count as gone all the same.
        let (at, second) = &seen[1];
        assert!(*at >= 471 + 600 && !second.gone.is_empty(), "{seen:?}");
    }

    #[test]
    fn a_region_that_is_heard_again_is_cleared() {
        let mut watch = Watch::new(TIMEOUT, Duration::ZERO);
        let seen = drive(&mut watch, 5, 1200, &|at| {
            fleet(|_| if (500..700).contains(&at) { 500 } else { at }, 300)
        });
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[1].1.cleared, [""]);
        assert!(seen.iter().all(|(_, verdict)| verdict.gone.is_empty()));
    }
}
