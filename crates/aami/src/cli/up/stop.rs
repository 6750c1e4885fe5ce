//! Being told to stop while waiting for something.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aami_model::Exit;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::cli::signals::Signals;

/// Ctrl-C and SIGTERM, for a thread that waits.
pub(crate) struct Stop {
    first: Mutex<Told>,
    second: Arc<Notify>,
}

struct Told {
    signal: Receiver<()>,
    already: bool,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn on(runtime: &Runtime, mut signals: Signals) -> Self {
        let (first, signal) = channel();
        let second = Arc::new(Notify::new());
        let again = second.clone();
        runtime.spawn(async move {
            signals.stop().await;
            // Nobody listens any more when everything has ended already.
            let _ = first.send(());
            signals.stop().await;
            again.notify_one();
        });
        Self {
            first: Mutex::new(Told {
                signal,
                already: false,
            }),
            second,
        }
    }

    /// Waits so long, or until told to stop; says whether that was it.
    pub(super) fn wait(&self, duration: Duration) -> bool {
        let mut told = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        told.already = told.already || told.signal.recv_timeout(duration).is_ok();
        told.already
    }

    /// Whether it was told to stop.
    pub(super) fn told(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Asks again and again until there is an answer, the time is over, or it is told to stop; then there is
    /// none.
    pub(super) fn until<T, E>(
        &self,
        patience: Duration,
        mut ask: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        const EVERY: Duration = Duration::from_millis(200);
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            if Instant::now() >= deadline || self.wait(EVERY) {
                return Ok(None);
            }
        }
    }

    /// Does `work`, unless told to stop a second time.
    pub(super) async fn finishing(&self, work: impl Future<Output = ()>) -> Exit {
        tokio::select! {
            () = work => Exit::Ok,
            () = self.second.notified() => Exit::Interrupted,
        }
    }
}
