//! Being told to stop: once to finish what has begun, twice to end at once.

use aami_install::Cancel;
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

/// A flag that Ctrl-C and SIGTERM set; a second one ends the program at once.
pub(crate) fn cancel_on_signals() -> Result<Cancel, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let cancel = Cancel::new();
    let flag = cancel.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            signals.stop().await;
            flag.cancel();
            signals.stop().await;
            super::ask::give_up();
            // Whatever is under way is recorded already, as after a crash.
            #[expect(clippy::exit, reason = "the second Ctrl-C means now")]
            std::process::exit(i32::from(Exit::Interrupted.number()));
        });
    });
    Ok(cancel)
}
