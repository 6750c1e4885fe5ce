//! Cutting off what runs: everybody is told how far it came, and nobody is waited for who only draws.

use tokio::time::{Instant, timeout_at};

use super::{Drive, GRACE};
use crate::fanout::event::{Event, Outcome, Stop};
use crate::fanout::fault::Fault;
use crate::fanout::output::Output;
use crate::fanout::run::Turn;

impl<F, W, T> Drive<F, T>
where
    F: Fn(Turn, Output) -> W,
    W: Future<Output = Result<T, Fault>> + Send + 'static,
    T: Send + 'static,
{
    /// Cuts off what runs, and says of everything how far it came. Waits for nobody who draws.
    pub(super) async fn abort(&mut self) {
        self.schedule.stop(Stop::Told);
        // What has ended meanwhile, and was not heard yet, counts.
        self.tasks.abort_all();
        let enough = Instant::now() + GRACE;
        while let Ok(Some(ended)) = timeout_at(enough, self.tasks.join_next_with_id()).await {
            let Ok((id, result)) = ended else { continue };
            match (self.working.remove(&id), result) {
                (Some(host), Ok(answer)) => self.cut(host, Outcome::Ok, Some(answer)),
                (Some(host), Err(fault)) => self.cut(host, Outcome::Failed(fault), None),
                (None, _) => {}
            }
        }
        for host in 0..self.hosts.len() {
            let known = &self.hosts[host];
            if known.ended.is_none() {
                let outcome = if known.attempts == 0 {
                    Outcome::NotStarted(Stop::Told)
                } else {
                    Outcome::Interrupted
                };
                self.cut(host, outcome, None);
            }
        }
    }

    fn cut(&mut self, host: usize, outcome: Outcome, answer: Option<T>) {
        self.note(host, &outcome, answer);
        let mut last = self.close(host);
        last.push(Event::Ended { host, outcome });
        if let Some(events) = &self.teller.events {
            for event in last {
                // Where there is no room for it nobody is looking.
                let _ = events.try_send(event);
            }
        }
    }
}
