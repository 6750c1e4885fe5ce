//! The nouns of AAMI: what a node, a token, a run or an event *is*, and which of their states may
//! follow which.
//!
//! Start at [`node_status`] (what can happen to a node), then [`node`] and [`run`]. Everything a
//! person can be told went wrong is in [`code`].
//!
//! This room is pure. No I/O, no async, no clock, no randomness: the present time and random bytes
//! come in as values. It depends on no other crate of the project, and every other one depends on it.

pub mod access;
pub mod address;
pub mod agent_config;
pub mod batch;
pub mod check;
pub mod code;
pub mod command;
pub mod event;
pub mod exporter;
pub mod finding;
pub mod group;
pub mod hostname;
pub mod id;
pub mod label;
pub mod machine;
pub mod node;
pub mod node_status;
pub mod nodeset;
pub mod prometheus;
pub mod rollout;
pub mod rule_file;
pub mod rules;
pub mod run;
pub mod secret;
pub mod silence;
pub mod task_status;
pub mod time;
pub mod token;
pub mod version;
pub mod webhook;

pub use code::{Area, Code, Exit};
pub use id::{
    BatchId, CheckId, CommandId, EventId, GroupId, KeyId, NodeId, OrgId, PrometheusId, RuleSetId, RunId,
    TaskId, TokenId, UserId, WebhookId,
};
pub use time::Timestamp;
