//! Opens connections; shares those to jump hosts among their targets.

use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::endings::Endings;
use crate::jumps::Jumps;
use crate::{Host, Identities, Settings, SshError, Trust};

/// Opens connections to hosts. Cheap to clone; clones share jump hosts, known keys and identities.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) trust: Trust,
    pub(crate) identities: Identities,
    pub(crate) jumps: Jumps,
    pub(crate) endings: Arc<Endings>,
}

impl Shared {
    /// How long connecting to a host may take, to the end of the key exchange.
    pub(crate) fn connect_timeout(&self, host: &Host) -> Duration {
        host.connect_timeout.unwrap_or(self.settings.connect_timeout)
    }
}

impl Client {
    /// A client that has no connection yet.
    pub fn new(settings: Settings, trust: Trust, identities: Identities) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                trust,
                identities,
                jumps: Jumps::default(),
                endings: Arc::default(),
            }),
        }
    }

    /// Its limits.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What it knows of host keys, and has learned.
    pub fn trust(&self) -> &Trust {
        &self.shared.trust
    }

    /// Connects and signs in.
    ///
    /// In: the host. Out: a connection that [`Connection::run`] runs commands over. Fails with the first thing that
    /// goes wrong; at a jump host with [`SshError::Jump`]. Nothing is tried twice here.
    ///
    /// Dropped half-way, it leaves nothing behind.
    pub async fn connect(&self, host: &Host) -> Result<Connection, SshError> {
        Connection::open(&self.shared, host).await
    }

    /// Waits until every command that was cut off, or whose time was up, has been ended on its host; for so long at
    /// most. Out: the hosts that did not say by then that they heard of it, sorted. There the command ends when its
    /// time is up.
    ///
    /// To be awaited before a runtime is shut down: whatever ends commands runs in tasks of it.
    pub async fn settle(&self, limit: Duration) -> Vec<String> {
        self.shared.endings.over(limit).await
    }
}
