//! What is done on many hosts, put together and begun.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Limits;
use super::brake::Braked;
use super::drive::Drive;
use super::event::Event;
use super::fault::Fault;
use super::journal::Journal;
use super::logs::Logs;
use super::output::{Keep, Output, Teller};
use super::report::Report;

/// One attempt on one host.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Which host: its place in the list of names.
    pub host: usize,
    /// Its name.
    pub name: Arc<str>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When the host's time is up. Work should end by itself by then, and tidy up; soon after it is cut off.
    pub until: Instant,
}

/// Something to be done on many hosts.
pub struct Fanout {
    pub(super) limits: Limits,
    pub(super) seed: u64,
    pub(super) keep: Keep,
    pub(super) teller: Teller,
    pub(super) logs: Option<Arc<dyn Logs>>,
    pub(super) brake: Option<Braked>,
    pub(super) journal: Option<Journal>,
}

impl Fanout {
    /// Within these limits. The seed decides how pauses differ: a random number, the same again in a test.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            seed,
            keep: Keep::default(),
            teller: Teller::default(),
            logs: None,
            brake: None,
            journal: None,
        }
    }

    /// Tells what happens. Whoever does not keep up slows everything down; whoever went away is not missed.
    #[must_use]
    pub fn events(mut self, events: mpsc::Sender<Event>) -> Self {
        self.teller.events = Some(events);
        self
    }

    /// Tells every line the hosts say as well.
    #[must_use]
    pub const fn lines(mut self) -> Self {
        self.teller.lines = true;
        self
    }

    /// How much of what hosts say is kept.
    #[must_use]
    pub const fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Writes everything each host says to a log of its own.
    #[must_use]
    pub fn logs(mut self, logs: Arc<dyn Logs>) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Stops when this is pulled.
    #[must_use]
    pub fn brake(mut self, brake: Braked) -> Self {
        self.brake = Some(brake);
        self
    }

    /// Notes there which hosts are done.
    #[must_use]
    pub fn journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Does `work` on each of these hosts. In: their names, each once, canaries first. Out: what became of every one
    /// of them. To be run within a Tokio runtime; `work` runs in tasks of its own, and again for each attempt.
    pub async fn run<F, W, T>(self, names: &[String], work: F) -> Report<T>
    where
        F: Fn(Turn, Output) -> W,
        W: Future<Output = Result<T, Fault>> + Send + 'static,
        T: Send + 'static,
    {
        Drive::new(self, names, work).finish().await
    }
}
