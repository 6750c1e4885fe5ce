//! Who begins when, who is tried again, and when it is enough.
//!
//! [`Schedule`] is a state machine. Whoever drives it asks [`Schedule::next`] what to do, tells it with
//! [`Schedule::ended`] how an attempt went, and brings the time along, counted from any beginning. It keeps that
//!
//! - never more than [`Limits::max_parallel`] hosts run, fewer while there is congestion;
//! - every host ends exactly once, whatever happens;
//! - nothing but canaries begins before all of these went well;
//! - once it is enough (told so, a canary failed, too many failed) nothing begins any more, retries included.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Limits;
use super::backoff::{Dice, pause};
use super::event::Stop;
use super::pace::Pace;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Begin an attempt.
    Start(Start),
    /// This host is done with, although nothing runs there.
    End {
        /// Which.
        host: usize,
        /// Why.
        why: End,
    },
    /// Nothing, until an attempt ends or this time comes.
    Wait(Option<Duration>),
    /// Nothing any more: every host has ended.
    Over,
}

/// An attempt to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// On which host.
    pub host: usize,
    /// Which one, from 1.
    pub attempt: u32,
    /// When the host's time is up.
    pub until: Duration,
}

/// Why a host ends while nothing runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was never begun.
    NotStarted(Stop),
    /// It waited for its next attempt, and there will be none: its last failure stands.
    LastFailure,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Well.
    Well,
    /// Not, and no further attempt helps.
    Failed,
    /// Not, and a further one may help.
    MayRetry,
    /// Not, because too much was asked at once; a further one may help.
    Congested,
    /// It was cut off.
    Interrupted,
}

/// What follows on an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The host has ended.
    Nothing,
    /// Another attempt after this pause.
    Retry(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fresh,
    Running {
        attempt: u32,
        first: Duration,
        began: Duration,
    },
    Waiting {
        attempt: u32,
        first: Duration,
    },
    Ended,
}

/// The state of all hosts.
#[derive(Debug, Clone)]
pub struct Schedule {
    limits: Limits,
    hosts: Vec<Standing>,
    /// All before this one were begun, or ended without.
    fresh: usize,
    /// When whom; those that ended meanwhile are passed over.
    retries: BinaryHeap<Reverse<(Duration, usize)>>,
    running: usize,
    ended: usize,
    failed: usize,
    canaries_left: usize,
    pace: Pace,
    stop: Option<Stop>,
    dice: Dice,
}

impl Schedule {
    /// So many hosts. The seed decides the pauses.
    pub fn new(hosts: usize, limits: Limits, seed: u64) -> Self {
        Self {
            hosts: vec![Standing::Fresh; hosts],
            fresh: 0,
            retries: BinaryHeap::new(),
            running: 0,
            ended: 0,
            failed: 0,
            canaries_left: limits.canary.min(hosts),
            pace: Pace::new(limits.max_parallel.max(1)),
            stop: None,
            dice: Dice::new(seed),
            limits,
        }
    }

    /// How many run.
    pub const fn running(&self) -> usize {
        self.running
    }

    /// How many may run at the same time at present.
    pub const fn parallel(&self) -> usize {
        self.pace.allowed()
    }

    /// How many were never begun.
    pub const fn not_begun(&self) -> usize {
        self.hosts.len() - self.fresh
    }

    /// Why nothing begins any more.
    pub const fn stopped(&self) -> Option<Stop> {
        self.stop
    }

    /// Whether canaries are still looked at.
    pub const fn on_canaries(&self) -> bool {
        self.canaries_left > 0
    }

    /// Nothing begins any more. The first reason stands.
    pub fn stop(&mut self, why: Stop) {
        self.stop.get_or_insert(why);
    }

    /// What to do at this time. To be asked again after each answer but [`Next::Wait`].
    pub fn next(&mut self, now: Duration) -> Next {
        if let Some(why) = self.stop {
            if let Some(next) = self.end_one(why) {
                return next;
            }
        } else if self.running < self.pace.allowed() {
            if let Some(next) = self.due(now).or_else(|| self.begin(now)) {
                return next;
            }
            if let Some(Reverse((at, _))) = self.retries.peek() {
                return Next::Wait(Some(*at));
            }
        }
        if self.ended == self.hosts.len() {
            Next::Over
        } else {
            Next::Wait(None)
        }
    }

    /// Ends one of those that do not run.
    fn end_one(&mut self, why: Stop) -> Option<Next> {
        if let Some(Reverse((_, host))) = self.retries.pop() {
            return Some(self.last_failure(host));
        }
        if self.fresh == self.hosts.len() {
            return None;
        }
        let host = self.fresh;
        self.fresh += 1;
        self.hosts[host] = Standing::Ended;
        self.ended += 1;
        Some(Next::End {
            host,
            why: End::NotStarted(why),
        })
    }

    /// A host that waits and gets no further attempt.
    fn last_failure(&mut self, host: usize) -> Next {
        self.hosts[host] = Standing::Ended;
        self.ended += 1;
        self.fail(host);
        Next::End {
            host,
            why: End::LastFailure,
        }
    }

    /// A retry whose time has come. These go before fresh hosts: their deadlines run already.
    fn due(&mut self, now: Duration) -> Option<Next> {
        let Reverse((at, host)) = *self.retries.peek()?;
        if at > now {
            return None;
        }
        self.retries.pop();
        let Standing::Waiting { attempt, first } = self.hosts[host] else {
            // Whoever waits stands in the heap once, and only they do.
            return None;
        };
        // That others hold all the places is not this host's fault: its time stands still meanwhile.
        let first = first.saturating_add(now - at);
        Some(self.start(host, attempt + 1, first, now))
    }

    fn begin(&mut self, now: Duration) -> Option<Next> {
        let last = if self.canaries_left > 0 {
            self.limits.canary.min(self.hosts.len())
        } else {
            self.hosts.len()
        };
        if self.fresh >= last {
            return None;
        }
        let host = self.fresh;
        self.fresh += 1;
        Some(self.start(host, 1, now, now))
    }

    fn start(&mut self, host: usize, attempt: u32, first: Duration, now: Duration) -> Next {
        self.running += 1;
        self.hosts[host] = Standing::Running {
            attempt,
            first,
            began: now,
        };
        Next::Start(Start {
            host,
            attempt,
            until: first.saturating_add(self.limits.deadline),
        })
    }

    /// How the attempt that runs on this host went. Out: what follows. A host on which nothing runs is left alone.
    pub fn ended(&mut self, host: usize, how: How, now: Duration) -> Follows {
        let Some(Standing::Running {
            attempt,
            first,
            began,
        }) = self.hosts.get(host).copied()
        else {
            return Follows::Nothing;
        };
        self.running -= 1;
        match how {
            How::Congested => self.pace.met_congestion(began, now),
            How::Well | How::Failed | How::MayRetry => self.pace.met_none(began),
            How::Interrupted => {}
        }
        if matches!(how, How::MayRetry | How::Congested)
            && let Some(after) = self.pause(attempt, first, now)
        {
            self.hosts[host] = Standing::Waiting { attempt, first };
            self.retries.push(Reverse((now.saturating_add(after), host)));
            return Follows::Retry(after);
        }
        self.hosts[host] = Standing::Ended;
        self.ended += 1;
        match how {
            How::Well => self.canary_ended(host),
            How::Failed | How::MayRetry | How::Congested => self.fail(host),
            How::Interrupted => self.canary_ended(host),
        }
        Follows::Nothing
    }

    /// The pause before the next attempt, if there is to be one.
    fn pause(&mut self, attempt: u32, first: Duration, now: Duration) -> Option<Duration> {
        if self.stop.is_some() || attempt >= self.limits.attempts {
            return None;
        }
        let after = pause(
            attempt,
            self.limits.backoff_base,
            self.limits.backoff_max,
            &mut self.dice,
        );
        // A pause that takes all the time that is left is no use.
        (now.saturating_add(after) < first.saturating_add(self.limits.deadline)).then_some(after)
    }

    fn fail(&mut self, host: usize) {
        self.failed += 1;
        if host < self.limits.canary {
            self.canaries_left -= 1;
            self.stop(Stop::Canary);
        }
        if let Some(share) = self.limits.stop_above
            && share.exceeded_by(self.failed, self.hosts.len())
        {
            self.stop(Stop::Failures(share));
        }
    }

    const fn canary_ended(&mut self, host: usize) {
        if host < self.limits.canary {
            self.canaries_left -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
