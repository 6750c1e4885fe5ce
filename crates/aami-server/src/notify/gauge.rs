//! Whether a destination is sent to at this moment: its rate, its back-off and its circuit breaker.
//!
//! After [`BREAKS`] failures in a row, over all lanes, nothing is sent until the back-off is over; then one request of
//! one lane tries (half open), and its success lets all lanes go on at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aami_api::webhook::{Flow, Standing};
use aami_model::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many failures in a row open the breaker.
const BREAKS: u32 = 5;
/// The first back-off, before jitter.
const FIRST: Duration = Duration::from_millis(500);
/// How long a receiver may send us away at most.
const LONGEST_AWAY: Duration = Duration::from_secs(3600);

/// One destination's.
pub(crate) struct Gauge {
    state: Mutex<State>,
    bell: Notify,
}

struct State {
    rate: f64,
    tokens: f64,
    refilled: Instant,
    /// How many events it has taken.
    taken: u64,
    failures: u32,
    closed_until: Option<Instant>,
    trying: bool,
    next_try: Option<Timestamp>,
    last_error: Option<String>,
    last_delivered_at: Option<Timestamp>,
}

/// A permission to send once. Dropped without a word (the lane was stopped), the next may try.
pub(crate) struct Permit<'a>(Option<&'a Gauge>);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(gauge) = self.0 {
            gauge.state().trying = false;
            gauge.bell.notify_waiters();
        }
    }
}

impl Gauge {
    pub(crate) fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        Self {
            state: Mutex::new(State {
                rate,
                tokens: rate,
                refilled: Instant::now(),
                taken: 0,
                failures: 0,
                closed_until: None,
                trying: false,
                next_try: None,
                last_error: None,
                last_delivered_at: None,
            }),
            bell: Notify::new(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may be sent.
    pub(crate) async fn admit(&self) -> Permit<'_> {
        loop {
            // Asked for before looking, so that no bell is missed.
            let bell = self.bell.notified();
            let wait = match self.state().judge(Instant::now()) {
                Judged::Go => return Permit(Some(self)),
                Judged::Wait(wait) => Some(wait),
                Judged::AnotherTries => None,
            };
            match wait {
                Some(wait) => {
                    tokio::select! { () = bell => {} () = tokio::time::sleep(wait) => {} }
                }
                None => bell.await,
            }
        }
    }

    /// It was taken.
    pub(crate) fn delivered(&self, mut permit: Permit<'_>, now: Timestamp) {
        permit.0 = None;
        let mut state = self.state();
        state.alive();
        state.taken += 1;
        state.last_error = None;
        state.last_delivered_at = Some(now);
        drop(state);
        self.bell.notify_waiters();
    }

    /// How many events it has taken so far, by any lane.
    pub(crate) fn taken(&self) -> u64 {
        self.state().taken
    }

    /// It answered, and did not take this one event for now, while it takes others: says nothing about the destination.
    pub(crate) fn alone(&self, mut permit: Permit<'_>, error: &str) {
        permit.0 = None;
        let mut state = self.state();
        state.trying = false;
        state.last_error = Some(error.to_owned());
        drop(state);
        self.bell.notify_waiters();
    }

    /// Whether one more request fits the rate; takes its share then. Back-off and breaker are not asked.
    pub(crate) fn spend(&self) -> bool {
        let mut state = self.state();
        state.refill(Instant::now());
        let fits = state.tokens >= 1.0;
        if fits {
            state.tokens -= 1.0;
        }
        fits
    }

    /// It answered, and refused this one event.
    pub(crate) fn answered(&self, mut permit: Permit<'_>, error: &str) {
        permit.0 = None;
        let mut state = self.state();
        state.alive();
        state.last_error = Some(error.to_owned());
        drop(state);
        self.bell.notify_waiters();
    }

    /// It did not take it for now. `chance` is a random number in 0..1; answers when to try again.
    pub(crate) fn failed(
        &self,
        mut permit: Permit<'_>,
        error: &str,
        away: Option<Duration>,
        chance: f64,
        most: Duration,
        now: Timestamp,
    ) -> Duration {
        permit.0 = None;
        let mut state = self.state();
        let wait = state.fail(Instant::now(), away, chance, most);
        state.next_try = state.next_try.max(Some(now.plus(wait)));
        state.last_error = Some(error.to_owned());
        drop(state);
        self.bell.notify_waiters();
        wait
    }

    /// Waits before the same event is tried again: until the time is over, or somebody else got through.
    pub(crate) async fn rest(&self, wait: Duration) {
        let end = Instant::now() + wait;
        loop {
            let bell = self.bell.notified();
            if self.state().failures == 0 || Instant::now() >= end {
                return;
            }
            tokio::select! { () = bell => {} () = tokio::time::sleep_until(end) => return }
        }
    }

    /// How it goes.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        let flow = match state.closed_until {
            _ if state.trying => Flow::Trying,
            Some(until) if until > Instant::now() => Flow::Waiting,
            _ => Flow::Open,
        };
        Standing {
            flow,
            failures: state.failures,
            next_try: state.next_try,
            last_error: state.last_error.clone(),
            last_delivered_at: state.last_delivered_at,
        }
    }
}

/// Exponential, with full jitter: anything between almost nothing and the whole.
pub(super) fn back_off(failures: u32, chance: f64, most: Duration) -> Duration {
    let whole = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(20))
        .min(most);
    whole
        .mul_f64(chance.clamp(0.0, 1.0))
        .max(Duration::from_millis(10))
}

enum Judged {
    Go,
    Wait(Duration),
    AnotherTries,
}

impl State {
    fn judge(&mut self, now: Instant) -> Judged {
        if let Some(until) = self.closed_until {
            if until > now {
                return Judged::Wait(until - now);
            }
            if self.trying {
                return Judged::AnotherTries;
            }
        }
        self.refill(now);
        if self.tokens < 1.0 {
            return Judged::Wait(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        self.trying = self.closed_until.is_some();
        Judged::Go
    }

    fn refill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + since * self.rate).min(self.rate);
        self.refilled = now;
    }

    fn fail(&mut self, now: Instant, away: Option<Duration>, chance: f64, most: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.trying = false;
        let wait = match away {
            // A receiver that says when is believed, within reason.
            Some(away) => away.min(LONGEST_AWAY),
            None => back_off(self.failures, chance, most),
        };
        if away.is_some() || self.failures >= BREAKS {
            self.closed_until = self.closed_until.max(Some(now + wait));
        }
        wait
    }

    fn alive(&mut self) {
        self.failures = 0;
        self.trying = false;
        self.closed_until = None;
        self.next_try = None;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const MOST: Duration = Duration::from_secs(60);

    fn goes(gauge: &Gauge, at: Instant) -> bool {
        matches!(gauge.state().judge(at), Judged::Go)
    }

    #[tokio::test]
    async fn after_five_failures_nobody_asks_until_one_has_tried() {
        let gauge = Gauge::new(100);
        // Given failures in a row, with waits that grow
        let begun = Instant::now();
        let waits: Vec<_> = (0..5)
            .map(|_| gauge.state().fail(begun, None, 1.0, MOST).as_millis())
            .collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(gauge.standing().flow, Flow::Waiting);
        assert!(gauge.admit().now_or_never().is_none());
        // when the whole back-off is over, then only one lane goes;
        let end = begun + Duration::from_secs(8);
        assert!(!goes(&gauge, end - Duration::from_millis(1)));
        assert!(goes(&gauge, end));
        assert_eq!(gauge.standing().flow, Flow::Trying);
        assert!(!goes(&gauge, end), "another lane tries as well");
        // and its success lets everybody go.
        gauge.delivered(Permit(None), Timestamp::EPOCH);
        let permits = [gauge.admit().now_or_never(), gauge.admit().now_or_never()];
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(gauge.standing().flow, Flow::Open);
    }

    #[tokio::test]
    async fn a_lane_that_is_stopped_while_it_tries_leaves_the_try_to_another() {
        let gauge = Gauge::new(100);
        for _ in 0..BREAKS {
            gauge.state().fail(Instant::now(), None, 0.0, MOST);
        }
        drop(gauge.admit().await);
        drop(gauge.admit().now_or_never().expect("another may try"));
    }

    #[test]
    fn a_receiver_that_says_when_is_believed_within_reason() {
        let gauge = Gauge::new(100);
        let away = |seconds| Some(Duration::from_secs(seconds));
        let now = Instant::now();
        assert_eq!(
            gauge.state().fail(now, away(7), 0.0, MOST),
            Duration::from_secs(7)
        );
        assert!(!goes(&gauge, now + Duration::from_secs(6)));
        assert!(goes(&gauge, now + Duration::from_secs(7)));
        assert_eq!(gauge.state().fail(now, away(1_000_000), 0.0, MOST), LONGEST_AWAY);
    }

    #[test]
    fn no_more_than_the_rate_goes_out() {
        let gauge = Gauge::new(10);
        let now = Instant::now();
        let gone = |at: Instant| (0..100).take_while(|_| goes(&gauge, at)).count();
        assert_eq!(gone(now), 10);
        assert_eq!(gone(now + Duration::from_millis(350)), 3);
        assert_eq!(gone(now + Duration::from_secs(60)), 10);
    }

    #[test]
    fn jitter_is_full_and_bounded() {
        assert_eq!(back_off(1, 0.0, MOST), Duration::from_millis(10));
        assert_eq!(back_off(3, 0.5, MOST), Duration::from_secs(1));
        assert_eq!(back_off(u32::MAX, 1.0, MOST), MOST);
    }
}
