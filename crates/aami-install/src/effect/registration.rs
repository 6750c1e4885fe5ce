//! What reaches beyond the host, or cannot be taken back: each carries what brings it about.

use std::fmt;
use std::sync::Arc;

use super::{Scene, Standing};
use crate::host::Host;
use crate::path::HostPath;
use crate::receipt::{Before, Record, Recorded};
use crate::step::{StepError, Voice};

type Register = dyn Fn(&Host, &Voice<'_>) -> Result<String, StepError> + Send + Sync;
type Act = dyn Fn(&Host, &Voice<'_>) -> Result<(), StepError> + Send + Sync;

/// This host known to a control plane.
#[derive(Clone)]
pub struct Registration {
    /// The control plane's address.
    pub server: String,
    /// Where the credential lies that the node has afterwards, and that unregistering needs.
    pub credential: HostPath,
    register: Arc<Register>,
}

impl Registration {
    /// `register` makes the host known and answers the node's id. It may be called again after a
    /// crash and must then come to the same answer.
    pub fn new(
        server: impl Into<String>,
        credential: HostPath,
        register: impl Fn(&Host, &Voice<'_>) -> Result<String, StepError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            server: server.into(),
            credential,
            register: Arc::new(register),
        }
    }

    pub(super) fn detail(&self) -> String {
        format!("credential at {}", self.credential)
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::Registration {
            server: self.server.clone(),
            credential: self.credential.clone(),
            node: None,
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Standing {
        if is_done(scene.record) {
            Standing::Holds
        } else {
            Standing::due("not registered", Before::Absent)
        }
    }

    pub(super) fn apply(&self, host: &Host, voice: &Voice<'_>) -> Result<String, StepError> {
        (self.register)(host, voice)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Takes a registration back.
pub trait Unregister: Send + Sync {
    /// Makes the control plane at `server` forget `node`, with the credential at `credential`. Without an id it is not
    /// known whether the registration arrived, which is to be found out. That it knows no such node is success.
    fn unregister(
        &self,
        host: &Host,
        server: &str,
        node: Option<&str>,
        credential: &HostPath,
    ) -> Result<(), StepError>;
}

/// Something that cannot be taken back.
#[derive(Clone)]
pub struct Irreversible {
    /// In words, as it stands in the dry run and in the question for approval.
    pub what: String,
    /// The approval that must be among those given to the run.
    pub approval: String,
    act: Arc<Act>,
}

impl Irreversible {
    /// `act` does it; after a crash it may be called again.
    pub fn new(
        what: impl Into<String>,
        approval: impl Into<String>,
        act: impl Fn(&Host, &Voice<'_>) -> Result<(), StepError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            what: what.into(),
            approval: approval.into(),
            act: Arc::new(act),
        }
    }

    pub(super) fn detail(&self) -> String {
        format!("needs the approval {}", self.approval)
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::Irreversible {
            what: self.what.clone(),
            approval: self.approval.clone(),
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Standing {
        if is_done(scene.record) {
            Standing::Holds
        } else {
            Standing::due("not done", Before::Absent)
        }
    }

    pub(super) fn apply(&self, host: &Host, voice: &Voice<'_>) -> Result<(), StepError> {
        (self.act)(host, voice)
    }
}

impl fmt::Debug for Irreversible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Irreversible")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

fn is_done(record: Option<&Record>) -> bool {
    record.is_some_and(|record| record.done)
}
