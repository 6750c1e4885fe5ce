//! Nodes that stay connected, and people who are told: the agent as a real unit, the control plane as a process that
//! is killed and stopped, a service that gets what it tells.

mod faults;
mod kills;
mod scenarios;
pub(crate) mod stage;
mod told_to;
mod two_minutes;
mod watched;
