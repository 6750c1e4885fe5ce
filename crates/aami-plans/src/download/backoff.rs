//! Waiting before a second try.

use std::time::Duration;

/// How long to wait between attempts: twice as long each time, up to a limit, and never in step with
/// a thousand other nodes.
#[derive(Clone, Copy)]
pub struct Backoff {
    /// The longest first pause.
    pub first: Duration,
    /// No pause is longer, whatever the server asks for.
    pub most: Duration,
    /// A random number from 0 to 1.
    pub random: fn() -> f64,
    /// Waits.
    pub sleep: fn(Duration),
}

impl Backoff {
    pub(super) fn pause(&self, attempt: u32, asked: Option<Duration>) {
        let doubled = self.first.saturating_mul(1 << attempt.min(16));
        let spread = 0.5 + 0.5 * (self.random)().clamp(0.0, 1.0);
        let own = doubled.min(self.most).mul_f64(spread);
        (self.sleep)(asked.map_or(own, |asked| asked.max(own)).min(self.most));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static SLEPT: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

    #[test]
    fn pauses_double_up_to_a_limit_and_honour_what_was_asked() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(1),
            random: || 1.0,
            sleep: |pause| SLEPT.lock().unwrap().push(pause),
        };
        for attempt in [0, 1, 2, 30] {
            backoff.pause(attempt, None);
        }
        backoff.pause(0, Some(Duration::from_millis(700)));
        backoff.pause(0, Some(Duration::from_secs(3600)));
        let millis: Vec<u128> = SLEPT.lock().unwrap().iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [100, 200, 400, 1000, 700, 1000]);
    }
}
