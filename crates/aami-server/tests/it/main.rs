//! The control plane as its users meet it: over HTTP, with real parts below.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

mod access;
mod checks;
mod crowd;
mod deliveries;
mod deliveries_faults;
mod deliveries_alone;
mod discovery;
mod hostile;
mod house;
mod installations;
mod lifecycle;
mod link;
mod link_clock;
mod link_hostile;
mod link_replicas;
mod link_reports;
mod link_storm;
mod link_weight;
mod neighbours;
mod news;
mod node_tokens;
mod process;
mod receiver;
mod register;
mod replicas;
mod script;
mod script_errands;
mod script_install;
mod script_node;
mod script_roads;
mod upkeep;
mod webhook_guards;
mod webhooks;
mod wire;
