//! The control plane as its users meet it: over HTTP, with real parts below.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

mod access;
mod checks;
mod crowd;
mod discovery;
mod hostile;
mod house;
mod installations;
mod lifecycle;
mod neighbours;
mod news;
mod register;
mod replicas;
mod script;
mod script_errands;
mod script_install;
mod script_roads;
mod upkeep;
mod wire;
