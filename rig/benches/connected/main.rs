//! What staying connected costs a node, and how soon people are told: measured on real nodes.
//!
//! `make bench` runs it with the agent as it is shipped and `aami` as a release. Needs root.
#![allow(clippy::print_stdout, reason = "a bench reports on the terminal")]

mod frugal;
mod told;

#[path = "../../tests/it/site.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod site;
#[path = "../../tests/it/connected/stage.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod stage;

use anyhow::Result;
use rig::Net;

fn main() -> Result<()> {
    let net = Net::new()?;
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    told::measure(&net)?;
    frugal::measure(&net)
}

fn row(what: &str, measured: &str, wanted: &str, holds: bool) {
    let verdict = if holds { "holds" } else { "DOES NOT HOLD" };
    println!("| {what} | {measured} | {wanted} | {verdict} |");
}
