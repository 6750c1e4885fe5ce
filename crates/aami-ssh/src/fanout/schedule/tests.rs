use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Percent;
use super::*;

/// What became of a fleet that was driven to its end.
#[derive(Debug, Default)]
struct Told {
    /// Hosts in the order of their first attempts.
    begun: Vec<usize>,
    attempts: Vec<u32>,
    well: BTreeSet<usize>,
    failed: BTreeSet<usize>,
    not_started: BTreeSet<usize>,
    interrupted: BTreeSet<usize>,
    most: usize,
    /// How many had failed for good when the last attempt of any kind began.
    failed_at_last_start: usize,
    took: Duration,
}

impl Told {
    fn end(&mut self, host: usize, well: fn(&mut Self) -> &mut BTreeSet<usize>) {
        for all in [&self.well, &self.failed, &self.not_started, &self.interrupted] {
            assert!(!all.contains(&host), "host {host} ended twice");
        }
        well(self).insert(host);
    }

    fn hosts(&self) -> usize {
        self.well.len() + self.failed.len() + self.not_started.len() + self.interrupted.len()
    }
}

/// Drives a schedule with its own clock. `attempt` says how an attempt on a host goes and how long it takes; the
/// brake is pulled at `told`.
fn drive(
    hosts: usize,
    limits: &Limits,
    told_at: Option<Duration>,
    mut attempt: impl FnMut(usize, u32) -> (How, Duration),
) -> Told {
    let mut schedule = Schedule::new(hosts, limits.clone(), 42);
    let mut told = Told {
        attempts: vec![0; hosts],
        ..Told::default()
    };
    let mut now = Duration::ZERO;
    let mut running: Vec<(Duration, usize, How)> = Vec::new();
    let mut braked = false;
    loop {
        if !braked && told_at.is_some_and(|at| at <= now) {
            schedule.stop(Stop::Told);
            braked = true;
        }
        match schedule.next(now) {
            Next::Start(start) => {
                assert!(!braked, "host {} begins after the brake was pulled", start.host);
                assert!(start.until > now, "host {} begins after its time", start.host);
                told.attempts[start.host] += 1;
                assert_eq!(told.attempts[start.host], start.attempt);
                assert!(start.attempt <= limits.attempts);
                if start.attempt == 1 {
                    told.begun.push(start.host);
                }
                told.failed_at_last_start = told.failed.len();
                let (how, takes) = attempt(start.host, start.attempt);
                running.push((now + takes, start.host, how));
                told.most = told.most.max(running.len());
                assert_eq!(running.len(), schedule.running());
                assert!(running.len() <= limits.max_parallel);
            }
            Next::End { host, why } => match why {
                End::NotStarted(_) => told.end(host, |told| &mut told.not_started),
                End::LastFailure => told.end(host, |told| &mut told.failed),
            },
            Next::Wait(until) => {
                running.sort_unstable_by_key(|(at, host, _)| Reverse((*at, *host)));
                let ends = running.last().map(|(at, _, _)| *at);
                let brake = told_at.filter(|_| !braked);
                now = [ends, until, brake]
                    .into_iter()
                    .flatten()
                    .min()
                    .expect("something is to come")
                    .max(now);
                if ends.is_some_and(|at| at <= now) {
                    let (_, host, how) = running.pop().unwrap();
                    let follows = schedule.ended(host, how, now);
                    match (how, follows) {
                        (_, Follows::Retry(pause)) => assert!(pause <= limits.backoff_max),
                        (How::Well, _) => told.end(host, |told| &mut told.well),
                        (How::Interrupted, _) => told.end(host, |told| &mut told.interrupted),
                        (How::Failed | How::MayRetry | How::Congested, _) => {
                            told.end(host, |told| &mut told.failed);
                        }
                    }
                }
            }
            Next::Over => break,
        }
    }
    assert!(running.is_empty());
    assert_eq!(told.hosts(), hosts, "every host ends: {told:?}");
    told.took = now;
    told
}

fn limits() -> Limits {
    Limits {
        max_parallel: 4,
        ..Limits::default()
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn as_many_as_allowed_run_and_no_more() {
    let told = drive(10, &limits(), None, |_, _| (How::Well, seconds(1)));
    assert_eq!((told.most, told.well.len()), (4, 10));
    assert_eq!(told.took, seconds(3));
    assert_eq!(told.begun, (0..10).collect::<Vec<_>>());
}

#[test]
fn nobody_is_nothing_to_do() {
    assert_eq!(
        drive(0, &limits(), None, |_, _| (How::Well, seconds(1))).took,
        seconds(0)
    );
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let told = drive(3, &limits(), None, |host, attempt| {
        let how = match (host, attempt) {
            (0, 1 | 2) => How::MayRetry,
            (1, _) => How::Failed,
            (2, _) => How::MayRetry,
            _ => How::Well,
        };
        (how, seconds(1))
    });
    assert_eq!(told.attempts, [3, 1, 3]);
    assert_eq!((told.well, told.failed), ([0].into(), [1, 2].into()));
}

#[test]
fn who_waits_for_the_next_attempt_keeps_nobody_waiting() {
    let limits = Limits {
        max_parallel: 1,
        backoff_base: seconds(60),
        backoff_max: seconds(60),
        ..limits()
    };
    let told = drive(20, &limits, None, |host, attempt| match (host, attempt) {
        (0, 1) => (How::MayRetry, seconds(1)),
        _ => (How::Well, seconds(1)),
    });
    assert_eq!(told.well.len(), 20);
    assert!(told.took < seconds(63), "{:?}", told.took);
}

#[test]
fn no_attempt_begins_after_the_time_of_its_host() {
    let limits = Limits {
        attempts: 100,
        deadline: seconds(90),
        ..limits()
    };
    let told = drive(1, &limits, None, |_, _| (How::MayRetry, seconds(10)));
    assert_eq!(told.failed.len(), 1);
    assert!(told.attempts[0] < 9 && told.took < seconds(100), "{told:?}");
}

#[test]
fn who_waits_for_a_place_does_not_run_out_of_time() {
    let limits = Limits {
        max_parallel: 1,
        deadline: seconds(30),
        ..limits()
    };
    // The second host takes all of its time, and the first one's second attempt has to wait for it.
    let told = drive(2, &limits, None, |host, attempt| match (host, attempt) {
        (0, 1) => (How::MayRetry, seconds(1)),
        (0, _) => (How::Well, seconds(1)),
        _ => (How::Failed, seconds(300)),
    });
    assert_eq!((told.well, told.failed), ([0].into(), [1].into()));
}

#[test]
fn canaries_go_first_and_alone() {
    let limits = Limits {
        canary: 2,
        ..limits()
    };
    let mut running = Vec::new();
    let told = drive(10, &limits, None, |host, _| {
        running.push(host);
        (How::Well, seconds(1))
    });
    assert_eq!((told.well.len(), told.took), (10, seconds(3)));
    assert_eq!(running[..2], [0, 1]);
}

#[test]
fn a_canary_that_fails_keeps_the_others_untouched() {
    let limits = Limits {
        canary: 3,
        ..limits()
    };
    let told = drive(10, &limits, None, |host, _| match host {
        1 => (How::Failed, seconds(1)),
        _ => (How::Well, seconds(2)),
    });
    assert_eq!(told.begun, [0, 1, 2]);
    assert_eq!(
        (told.well.len(), told.failed, told.not_started.len()),
        (2, [1].into(), 7)
    );
    // One that goes well in the end is a good one.
    let told = drive(10, &limits, None, |host, attempt| match (host, attempt) {
        (1, 1) => (How::MayRetry, seconds(1)),
        _ => (How::Well, seconds(1)),
    });
    assert_eq!(told.well.len(), 10);
}

#[test]
fn too_many_failures_are_enough() {
    let limits = Limits {
        stop_above: Percent::new(5),
        ..limits()
    };
    let told = drive(100, &limits, None, |_, _| (How::Failed, seconds(1)));
    // Five of a hundred are not more than 5 %; those that ran beside the sixth are finished.
    assert!((6..=9).contains(&told.failed.len()), "{told:?}");
    assert_eq!(told.failed_at_last_start, 5, "with the sixth it is enough");
    let none = Limits {
        stop_above: Percent::new(0),
        max_parallel: 1,
        ..limits
    };
    let told = drive(100, &none, None, |_, _| (How::Failed, seconds(1)));
    assert_eq!(told.failed.len(), 1);
    let all = Limits {
        stop_above: Percent::new(100),
        ..limits
    };
    assert_eq!(
        drive(100, &all, None, |_, _| (How::Failed, seconds(1)))
            .failed
            .len(),
        100
    );
}

#[test]
fn told_to_stop_what_runs_is_finished_and_nothing_begins() {
    let told = drive(100, &limits(), Some(seconds(5)), |host, _| match host {
        2 => (How::MayRetry, seconds(4)),
        _ => (How::Well, seconds(4)),
    });
    // Four in the first four seconds, of which one waits for its second attempt then, and four after them.
    assert_eq!(told.begun.len(), 8);
    assert_eq!(
        (told.well.len(), told.failed, told.not_started.len()),
        (7, [2].into(), 92)
    );
    assert_eq!(told.took, seconds(8));
}

#[test]
fn congestion_slows_down() {
    let limits = Limits {
        max_parallel: 64,
        attempts: 10,
        ..limits()
    };
    // Whatever is more than eight at once, the network refuses.
    let mut at_once: Vec<usize> = Vec::new();
    let mut schedule = Schedule::new(64, limits, 1);
    let mut now = Duration::ZERO;
    loop {
        match schedule.next(now) {
            Next::Start(start) => at_once.push(start.host),
            Next::Wait(until) if at_once.is_empty() => now = until.unwrap(),
            Next::Wait(_) => {
                now += seconds(1);
                for (place, host) in std::mem::take(&mut at_once).into_iter().enumerate() {
                    let how = if place < 8 { How::Well } else { How::Congested };
                    schedule.ended(host, how, now);
                }
            }
            Next::End { .. } => panic!("nobody ends without an attempt"),
            Next::Over => break,
        }
        assert!(schedule.parallel() >= 1 && at_once.len() <= 64);
    }
    assert!(schedule.parallel() < 64, "{}", schedule.parallel());
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Well),
        1 => Just(How::Failed),
        2 => Just(How::MayRetry),
        2 => Just(How::Congested),
        1 => Just(How::Interrupted),
    ]
}

proptest! {
    #[test]
    fn every_host_ends_once_and_no_limit_is_broken(
        script in proptest::collection::vec(proptest::collection::vec((how(), 0_u64..40), 4), 0..60),
        max_parallel in 1_usize..20,
        attempts in 1_u32..5,
        canary in 0_usize..10,
        share in proptest::option::of(0_u8..=100),
        deadline in 1_u64..120,
        told_at in proptest::option::of(0_u64..100),
    ) {
        let limits = Limits {
            max_parallel,
            deadline: seconds(deadline),
            attempts,
            canary,
            stop_above: share.and_then(Percent::new),
            ..Limits::default()
        };
        let hosts = script.len();
        let mut well = BTreeSet::new();
        let mut last = vec![How::Well; hosts];
        let canaries = canary.min(hosts);
        // `drive` itself holds how many run, how often each ends, and that nothing begins after the brake.
        let told = drive(hosts, &limits, told_at.map(seconds), |host, attempt| {
            let (how, takes) = script[host][attempt as usize - 1];
            if host >= canaries {
                // Nothing but canaries begins before all of them have ended, and none failed.
                for ended in &last[..canaries] {
                    assert!(matches!(ended, How::Well | How::Interrupted));
                }
            }
            if how == How::Well {
                well.insert(host);
            }
            last[host] = how;
            (how, seconds(takes))
        });
        prop_assert_eq!(&told.well, &well, "what went well once is well");
        prop_assert!(told.most <= max_parallel);
        let untold = told_at.is_none() && share.is_none() && canary == 0;
        if untold {
            prop_assert!(told.not_started.is_empty());
        }
        if let Some(share) = limits.stop_above {
            prop_assert!(!share.exceeded_by(told.failed_at_last_start, hosts));
        }
        // Hosts begin in the order they are named in.
        prop_assert!(told.begun.is_sorted());
    }
}
