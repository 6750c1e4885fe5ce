//! What the operator wants of exporters, kept from run to run.

use std::collections::BTreeSet;

use aami_install::{Effect, Host, Owner, StepError};
use aami_model::code;
use serde::{Deserialize, Serialize};

use super::super::session::Session;
use super::super::{Form, Purpose, installed};
use super::Extra;

/// Names that are programs, units or notes of our own.
const RESERVED: [&str; 9] = [
    "aami-agent",
    "aami_agent",
    "agent",
    "checks",
    "exporters",
    "node-exporter",
    "node_exporter",
    "registration",
    "server",
];

/// What the operator wants beside what the hardware asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    /// To be there whatever the hardware.
    pub(crate) also: BTreeSet<String>,
    /// Not to be there whatever the hardware.
    pub(crate) without: BTreeSet<String>,
}

impl Wish {
    /// As it was last kept on this host.
    pub(crate) fn kept(session: &Session, host: &Host) -> Self {
        installed::read(host, &session.layout, installed::EXPORTERS).unwrap_or_default()
    }

    /// As it holds in this run.
    pub(super) fn now(session: &Session, host: &Host) -> Result<Self, StepError> {
        let kept = Self::kept(session, host);
        match &session.options.purpose {
            Purpose::Exporters { change, .. } => {
                let name = change.settled(session, host)?;
                Ok(change.apply(&name, kept))
            }
            Purpose::Install | Purpose::Look(_) | Purpose::Update(_) => Ok(kept),
        }
    }

    /// What keeps it; nothing where there is none.
    pub(crate) fn effects(session: &Session, host: &Host) -> Result<Vec<Effect>, StepError> {
        let (wish, kept) = (Self::now(session, host)?, Self::kept(session, host));
        if wish == Self::default() && kept == Self::default() {
            return Ok(Vec::new());
        }
        let owner = (session.options.form == Form::Host).then(Owner::root);
        Ok(installed::effects(&session.layout, installed::EXPORTERS, &wish, owner.as_ref())?.into())
    }
}

/// One change of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This one shall be there.
    Add(String),
    /// This one shall not.
    Remove(String),
}

impl Change {
    /// The exporter's name, as it was given.
    fn given(&self) -> &str {
        match self {
            Self::Add(name) | Self::Remove(name) => name,
        }
    }

    /// The exporter's name as the catalogue or this host has it: as it was given, where there is one of that name;
    /// otherwise one that is spelled with `_` where `-` was given, as our own are.
    pub(crate) fn settled(&self, session: &Session, host: &Host) -> Result<String, StepError> {
        let given = self.given();
        is_free(given)?;
        if !given.contains('-') {
            return Ok(given.to_owned());
        }
        let is_there = match self {
            Self::Add(_) => session.catalogue()?.knows(given),
            Self::Remove(_) => {
                Wish::kept(session, host).also.contains(given)
                    || Extra::installed(session, host).contains(&Extra::named(given))
            }
        };
        let name = if is_there {
            given.to_owned()
        } else {
            given.replace('-', "_")
        };
        Ok(name)
    }

    fn apply(&self, name: &str, mut wish: Wish) -> Wish {
        match self {
            Self::Add(_) => {
                wish.without.remove(name);
                wish.also.insert(name.to_owned());
            }
            Self::Remove(_) => {
                wish.also.remove(name);
                wish.without.insert(name.to_owned());
            }
        }
        wish
    }
}

/// Whether an exporter beside node_exporter may have this name.
pub(super) fn is_free(name: &str) -> Result<(), StepError> {
    if !RESERVED.contains(&name) {
        return Ok(());
    }
    let message = format!("no exporter of a site's own can be called {name}: that is a name of AAMI's");
    Err(StepError::new(code::INVALID, message).with_hint("Give it another name in the catalogue."))
}
