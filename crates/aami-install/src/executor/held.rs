//! One lock over several things that are done to a host.

use super::{InstallError, Installer};
use crate::host::Host;
use crate::lock::Lock;

/// The right to change a host, held over more than one doing: between them nobody else gets it. Dropped, it is given back;
/// the kernel takes it from a process that dies.
#[derive(Debug)]
pub struct Held<'a> {
    host: &'a Host,
    lock: Option<Lock>,
    for_good: bool,
}

impl Held<'_> {
    /// For those who leave nothing behind: given back, the folder it lay in goes as well where that is empty.
    #[must_use]
    pub const fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let turn = Turn(self.lock.take());
        if self.for_good {
            turn.release_for_good(self.host);
        } else {
            turn.release(self.host);
        }
    }
}

/// An installer's turn at changing the host: by a lock of its own, or within one that is held already.
pub(super) struct Turn(Option<Lock>);

impl Turn {
    pub(super) fn release(self, host: &Host) {
        if let Some(lock) = self.0 {
            lock.release(host);
        }
    }

    pub(super) fn release_for_good(self, host: &Host) {
        if let Some(lock) = self.0 {
            lock.release_for_good(host);
        }
    }
}

impl<'a> Installer<'a> {
    /// Keeps everybody else from changing this host until the answer is dropped; [`Self::within`] it the host can be
    /// changed. Fails at once where somebody is at it.
    pub fn hold(&self) -> Result<Held<'a>, InstallError> {
        Ok(Held {
            host: self.host,
            lock: Some(self.lock()?),
            for_good: false,
        })
    }

    /// Within what is held already, and not by a lock of its own.
    #[must_use]
    pub const fn within(mut self, _: &'a Held<'_>) -> Self {
        self.is_within = true;
        self
    }

    pub(super) fn turn(&self) -> Result<Turn, InstallError> {
        let lock = if self.is_within { None } else { Some(self.lock()?) };
        Ok(Turn(lock))
    }
}
