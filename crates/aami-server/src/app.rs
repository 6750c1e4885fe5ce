//! The use cases: what the control plane does, without HTTP and without an engine.
//!
//! One file per noun. Reads look into the [view](crate::view); writes go through [`commit`], which
//! turns them into one store transaction with its events and its audit entry. Every function takes the
//! [`Caller`] and shows only what that caller sees.

pub(crate) mod access;
pub(crate) mod address;
pub(crate) mod alerts;
pub(crate) mod batches;
pub(crate) mod bundles;
pub(crate) mod checks;
pub(crate) mod commands;
pub(crate) mod commit;
pub(crate) mod connections;
pub(crate) mod deliveries;
pub(crate) mod discovery;
mod each;
pub(crate) mod events;
pub(crate) mod events_in;
pub(crate) mod exporters;
pub(crate) mod found;
pub(crate) mod group_config;
pub(crate) mod groups;
pub(crate) mod installations;
pub(crate) mod inventories;
pub(crate) mod keys;
pub(crate) mod loadings;
pub(crate) mod node_tokens;
pub(crate) mod nodes;
pub(crate) mod prometheuses;
pub(crate) mod readiness;
pub(crate) mod refusal;
pub(crate) mod register;
pub(crate) mod reports;
pub(crate) mod rollout;
pub(crate) mod rules;
pub(crate) mod runs;
pub(crate) mod scraped;
pub(crate) mod silences;
pub(crate) mod status;
pub(crate) mod tickets;
pub(crate) mod tokens;
pub(crate) mod verify;
pub(crate) mod webhooks;

use std::sync::Arc;
use std::time::Instant;

use aami_model::access::Caller;
use aami_store::history::History;
use aami_store::{Key, Revision, Store};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::live::Live;
use crate::view::View;
use crate::world::World;

pub(crate) use refusal::Refusal;

/// Everything the use cases stand on.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) history: Arc<dyn History>,
    pub(crate) view: Arc<View>,
    pub(crate) discovery: Arc<discovery::Discovery>,
    pub(crate) live: Arc<Live>,
    /// Who looks on at this moment, and what they see.
    pub(crate) dashboards: crate::dashboards::Dashboards,
    /// The others that share the store, and what they are told.
    pub(crate) peers: crate::peers::Peers,
    /// Which replica this is, among those that share the store; another one after each start.
    pub(crate) replica: String,
    pub(crate) verifier: verify::Queue,
    /// Who is told of events, and how that goes.
    pub(crate) notify: crate::notify::Desk,
    /// Those it asks: Alertmanager and Prometheus.
    pub(crate) services: crate::services::Services,
    /// What each Prometheus should have loaded.
    pub(crate) bundles: bundles::Bundles,
    /// When nodes without an agent were last scraped.
    pub(crate) scraped: scraped::Scraped,
    /// How many bytes more may be held of what those send who are not signed in.
    pub(crate) strangers_room: Arc<Semaphore>,
    pub(crate) counters: crate::metrics::Counters,
    /// Of what nodes download.
    pub(crate) checksums: crate::http::Checksums,
    /// Where this control plane is reached, and by which key it is known.
    pub(crate) reach: crate::reach::Reach,
    pub(crate) started: Instant,
    pub(crate) readiness: readiness::Readiness,
}

/// Who asks, and under which conditions the change may be made.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) caller: Caller,
    /// Change only what is still at this revision (`If-Match`).
    pub(crate) if_match: Option<Revision>,
    /// Make the change at most once under this key.
    pub(crate) idempotency: Option<Idempotency>,
    /// Make the change only while this key is at this revision: work that others may take over or call off compares it.
    pub(crate) fence: Option<(Key, Revision)>,
    /// Change a node only while it fits this: whoever selected it may have done so a while ago.
    pub(crate) fitting: Option<Arc<nodes::Filter>>,
}

impl Asking {
    /// Without conditions.
    pub(crate) const fn by(caller: Caller) -> Self {
        Self {
            caller,
            if_match: None,
            idempotency: None,
            fence: None,
            fitting: None,
        }
    }

    /// Refuses when the thing is at another revision than the caller saw.
    pub(crate) fn check_match<T: serde::Serialize>(
        &self,
        revision: Revision,
        current: &T,
    ) -> Result<(), Refusal> {
        match self.if_match {
            Some(seen) if seen != revision => Err(Refusal::plain(aami_model::code::PRECONDITION_FAILED)
                .with_current(serde_json::to_value(current).unwrap_or_default())),
            _ => Ok(()),
        }
    }
}

/// An `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    pub(crate) key: String,
    /// SHA-256 over method, path and body.
    pub(crate) request_hash: String,
}
