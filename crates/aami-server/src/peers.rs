//! Control planes that share a store, among themselves: what is live at one is shown by all.
//!
//! State reaches every replica through the store. What is live stands nowhere: when a node was last heard, how busy it
//! is, how far the step of a run is. So each replica calls every other one ([`call`]) and is told ([`tell`]) all that
//! is live there, and from then on what changed, twice a second, latest wins. A pair has two sockets, one each way, and
//! one that breaks is opened again.
//!
//! Whom to call stands in `replicas/{id}` on a lease: the address, the SHA-256 of the certificate that is shown there, and
//! the key its [`badge`] is checked with. Whoever can write that is a replica.
//!
//! What it must not do: decide anything. Who is silent is judged by whoever holds a node's socket, and statuses come
//! from the store alone.

mod badge;
mod call;
mod frame;
mod pinned;
mod tell;

use aami_model::RunId;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub(crate) use badge::admit;
pub(crate) use call::keep;
pub(crate) use frame::NodeHeard;
pub(crate) use pinned::fingerprint;
pub(crate) use tell::open;

use crate::dashboards::Fraction;
use crate::world::World;

/// How many steps' progress may wait for the replicas that are told; what is more is told with the next.
const MOST_WAITING: usize = 1024;

/// How a replica is called by the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Calling {
    /// Where it answers, `https://host:port`.
    pub(crate) url: String,
    /// The SHA-256 of the certificate it shows, hexadecimal.
    pub(crate) certificate: String,
    /// The Ed25519 key its badge is checked with, hexadecimal.
    pub(crate) key: String,
}

/// What this replica is among the others.
pub(crate) struct Peers {
    /// Made at each start, as the replica's id is.
    key: SigningKey,
    /// How the others call it.
    pub(crate) calling: Calling,
    /// How far runs are that report here.
    progress: broadcast::Sender<(RunId, Fraction)>,
}

impl Peers {
    /// A replica that is called at `url` and shows the certificate with this SHA-256.
    pub(crate) fn new(world: &World, url: String, certificate: String) -> Self {
        let key = SigningKey::from_bytes(&world.random());
        Self {
            calling: Calling {
                url,
                certificate,
                key: data_encoding::HEXLOWER.encode(key.verifying_key().as_bytes()),
            },
            key,
            progress: broadcast::Sender::new(MOST_WAITING),
        }
    }

    /// Notes how far a run is that reports here.
    pub(crate) fn note(&self, run: &RunId, fraction: &Fraction) {
        // Nobody may be there.
        let _ = self.progress.send((run.clone(), fraction.clone()));
    }
}
