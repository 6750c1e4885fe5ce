//! What is said between the parts of AAMI: requests, responses and problems, as JSON over HTTP.
//!
//! One file per noun, the same names as the routes. [`client`] (feature `client`) is the blocking
//! client that both binaries use. Nothing here decides anything: rules live in `aami-model`, use cases
//! in `aami-server`.
//!
//! JSON is `snake_case`. Readers ignore members they do not know, so that a newer node can talk to an
//! older control plane and the other way round.

pub mod batch;
pub mod check;
pub mod command;
pub mod dashboard;
pub mod date;
pub mod delivery;
pub mod detached;
pub mod discovery;
pub mod event;
pub mod group;
pub mod health;
pub mod key;
pub mod link;
pub mod node;
pub mod node_token;
pub mod notice;
pub mod page;
pub mod problem;
pub mod prometheus;
pub mod register;
pub mod rollout;
pub mod rules;
pub mod run;
pub mod token;
pub mod url;
pub mod webhook;

#[cfg(feature = "client")]
pub mod client;

/// Header: the opaque `(epoch, revision)` an answer reflects or a write was committed at.
pub const REVISION: &str = "aami-revision";
/// Header: the revision a read must have seen at least.
pub const MIN_REVISION: &str = "aami-min-revision";
/// Header: `behind` when an answer comes from a transaction the view has not reached yet.
pub const VIEW: &str = "aami-view";
/// Header: the signature over a registration by the key it names.
pub const PROOF: &str = "aami-proof";
/// Header: the same by the node's former key.
pub const PROOF_OLD: &str = "aami-proof-old";
/// What precedes the body in the bytes a registration's signature covers.
pub const PROOF_CONTEXT: &[u8] = b"aami-register-1\n";
/// The media type of problems (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
