//! Being told to stop: once to finish what has begun, twice to end at once.

use aami_model::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Ctrl-C and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes both over from now on.
    pub(crate) fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(Failure::Runtime);
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Does `work`, unless told to stop a second time.
    pub(crate) async fn finishing(&mut self, work: impl Future<Output = ()>) -> Exit {
        tokio::select! {
            () = work => Exit::Ok,
            () = self.stop() => Exit::Interrupted,
        }
    }
}
