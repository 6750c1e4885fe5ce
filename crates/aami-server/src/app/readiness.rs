//! Whether the store answers, asked at most once a second however many want to know.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long an answer is good.
const GOOD: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last answer. Who asks while the store is being asked waits for that one.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// Whether `ask` succeeded, now or within the last second.
    pub(crate) async fn check<T, E: std::fmt::Display>(
        &self,
        ask: impl Future<Output = Result<T, E>>,
    ) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < GOOD
        {
            return ready;
        }
        let ready = match tokio::time::timeout(PATIENCE, ask).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the store does not answer");
                false
            }
        };
        *last = Some((Instant::now(), ready));
        ready
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_crowd_asks_the_store_once() {
        let readiness = Readiness::default();
        let asked = AtomicUsize::new(0);
        let ask = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(())
        };
        let answers = futures::future::join_all((0..100).map(|_| readiness.check(ask()))).await;
        assert!(answers.iter().all(|ready| *ready));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_store_that_comes_back_is_seen_within_a_second() {
        let readiness = Readiness::default();
        let refuse = async { Err::<(), _>(std::io::Error::other("gone")) };
        assert!(!readiness.check(refuse).await);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !readiness.check(async { Ok::<_, std::io::Error>(()) }).await {
            assert!(Instant::now() < deadline, "the old answer stays");
            tokio::task::yield_now().await;
        }
    }
}
