//! The real `aami`, driven as people and scripts drive it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod acceptance;
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
mod explain;
mod file_fleet;
mod fleet;
mod node_tokens;
mod plane;
mod runs;
mod secrets;
mod status;
mod server_install;
mod terminal;
mod up;
#[path = "../../../aami-monitor/tests/it/web.rs"]
mod web;
