//! Being told to stop: once, what runs is finished and nothing new begins; twice, everything ends at once.

use tokio::sync::watch;

/// How far the brake is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pull {
    /// Not at all.
    No,
    /// No host is begun any more; those that run are finished.
    Drain,
    /// What runs is cut off.
    Abort,
}

/// The end that is pulled.
#[derive(Debug)]
pub struct Brake(watch::Sender<Pull>);

/// The end that stops.
#[derive(Debug, Clone)]
pub struct Braked(watch::Receiver<Pull>);

/// A brake and what it stops.
pub fn brake() -> (Brake, Braked) {
    let (sender, receiver) = watch::channel(Pull::No);
    (Brake(sender), Braked(receiver))
}

impl Brake {
    /// Pulls it one step further. Out: how far it is pulled now.
    pub fn pull(&self) -> Pull {
        self.0.send_modify(|pull| {
            *pull = match pull {
                Pull::No => Pull::Drain,
                Pull::Drain | Pull::Abort => Pull::Abort,
            }
        });
        *self.0.borrow()
    }
}

impl Braked {
    /// How far it is pulled.
    pub fn pulled(&self) -> Pull {
        *self.0.borrow()
    }

    /// Waits until it is pulled at least so far; for ever, once nobody is left who could.
    pub async fn reached(&mut self, least: Pull) {
        if self.0.wait_for(|pull| *pull >= least).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
