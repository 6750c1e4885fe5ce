//! A deadline that stands still while a person is asked.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{SshError, Waiting};

/// Nobody is waited for any longer than this.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// How long the other end may take, without the time that people took.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    limit: Duration,
    begun: Instant,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    before: Duration,
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            begun: Instant::now(),
            asked: Arc::default(),
        }
    }

    /// Waits for the other end.
    pub(super) async fn within<F: Future>(&self, future: F) -> Result<F::Output, SshError> {
        let mut future = pin!(future);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                output = &mut future => return Ok(output),
                () = sleep_until(deadline) => {
                    // Unless a person was asked meanwhile, which moved it.
                    if self.deadline() <= Instant::now() {
                        return Err(SshError::TimedOut { waiting: Waiting::Login, after: self.limit });
                    }
                }
            }
        }
    }

    /// Waits for a person; meanwhile the time of the other end stands still.
    pub(super) async fn asking<F: Future>(&self, future: F) -> F::Output {
        self.change(|asked| asked.since = Some(Instant::now()));
        let output = future.await;
        self.change(|asked| {
            if let Some(since) = asked.since.take() {
                asked.before += since.elapsed();
            }
        });
        output
    }

    fn deadline(&self) -> Instant {
        let mut asked = Duration::ZERO;
        self.change(|had| {
            asked = had.before + had.since.map_or(Duration::ZERO, |since| since.elapsed());
        });
        self.begun + self.limit + asked.min(LONGEST)
    }

    fn change(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_a_person_takes_is_not_the_hosts() {
        let patience = Patience::new(Duration::from_secs(10));
        let person = patience.clone();
        let answered = patience
            .within(async move {
                person.asking(tokio::time::sleep(Duration::from_secs(60))).await;
                tokio::time::sleep(Duration::from_secs(9)).await;
            })
            .await;
        assert!(answered.is_ok());

        let late = patience.within(tokio::time::sleep(Duration::from_secs(2))).await;
        assert!(matches!(
            late,
            Err(SshError::TimedOut {
                waiting: Waiting::Login,
                ..
            })
        ));
    }
}
