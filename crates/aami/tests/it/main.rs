//! The real `aami`, driven as people and scripts drive it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod acceptance;
mod agent;
mod alerts;
mod alerts_of_plane;
mod batches;
mod bundle;
mod checks;
mod config;
mod daemon;
mod diagnose;
mod diff;
mod dry_runs;
mod events;
mod explain;
mod file_fleet;
mod fleet;
mod maintenance;
mod node_tokens;
mod one_line;
mod plane;
mod preflight;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests of the control plane"
)]
#[path = "../../../aami-server/tests/it/receiver.rs"]
mod receiver;
mod runs;
mod secrets;
mod server_install;
mod status;
mod strangers;
mod terminal;
mod up;
#[allow(dead_code, reason = "shared with the tests of the rules")]
#[path = "../../../aami-monitor/tests/it/web.rs"]
mod web;
mod webhooks;
