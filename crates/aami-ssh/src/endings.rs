//! Who is still being told that what was cut off there has to end, and who could not be told.
//!
//! A command is ended over its connection, in a task of its own: whoever waited for it may be gone by then.
//! [`Client::settle`](crate::Client::settle) waits for these tasks, so that a program does not end before they did
//! their work.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// All commands of a client that are being ended.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    under_way: HashMap<u64, Under>,
    untold: BTreeSet<String>,
}

/// One that is being ended.
#[derive(Debug)]
struct Under {
    host: String,
    told: bool,
}

/// A command that is being ended, until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    endings: Arc<Endings>,
    number: u64,
}

impl Endings {
    /// A command on this host has to end.
    pub(crate) fn begin(self: &Arc<Self>, host: &str) -> Ticket {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let under = Under {
            host: host.to_owned(),
            told: false,
        };
        state.under_way.insert(number, under);
        drop(state);
        Ticket {
            endings: Arc::clone(self),
            number,
        }
    }

    /// Waits until nothing is being ended any more, for so long at most. Out: the hosts that did not say by then that
    /// they heard of it, sorted; each is named once.
    pub(crate) async fn over(&self, limit: Duration) -> Vec<String> {
        let all = async {
            loop {
                let changed = self.changed.notified();
                if self.state().under_way.is_empty() {
                    return;
                }
                changed.await;
            }
        };
        // What is not over by then is told as it stands.
        let _ = timeout(limit, all).await;
        let mut state = self.state();
        let mut untold = std::mem::take(&mut state.untold);
        let late = state.under_way.values().filter(|under| !under.told);
        untold.extend(late.map(|under| under.host.clone()));
        untold.into_iter().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The host has heard of it; from here on it ends the command by itself.
    pub(crate) fn told(&self) {
        if let Some(under) = self.endings.state().under_way.get_mut(&self.number) {
            under.told = true;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.endings.state();
        if let Some(under) = state.under_way.remove(&self.number)
            && !under.told
        {
            state.untold.insert(under.host);
        }
        drop(state);
        self.endings.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_did_not_hear_in_time_is_named_once_and_who_did_is_not() {
        let endings = Arc::new(Endings::default());
        assert!(endings.over(Duration::from_secs(5)).await.is_empty());
        // Given one that was told and is not over, one that never answers, twice, and one that broke off,
        let told = endings.begin("gpu1");
        told.told();
        let (_silent, _again) = (endings.begin("gpu2"), endings.begin("gpu2"));
        drop(endings.begin("gpu3"));
        // when the time is up, the last two are named;
        let untold = endings.over(Duration::from_secs(5)).await;
        assert_eq!(untold, ["gpu2", "gpu3"]);
        drop(told);
        assert_eq!(endings.over(Duration::ZERO).await, ["gpu2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_it_takes() {
        let endings = Arc::new(Endings::default());
        let ticket = endings.begin("gpu1");
        ticket.told();
        let waiting = endings.clone();
        let waiting = tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let untold = waiting.over(Duration::from_secs(3600)).await;
            (untold, begun.elapsed())
        });
        tokio::task::yield_now().await;
        drop(ticket);
        let (untold, took) = waiting.await.unwrap();
        assert!(untold.is_empty());
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
