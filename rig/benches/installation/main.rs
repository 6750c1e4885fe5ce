//! What installing costs on real nodes, each figure beside the same work done by hand in the same run.
//!
//! `make bench` runs it with the agent as it is shipped and `aami` as a release. Nodes are containers with a systemd of
//! their own, a fresh one for each measurement; what is downloaded comes from a web server beside them. Needs root.
#![allow(clippy::print_stdout, reason = "a bench reports on the terminal")]

mod again;
mod bootstrap;
mod server;
mod ten;

#[path = "../../tests/it/site.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod site;
#[path = "../../tests/it/server_install/stage.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rig::{Net, Node};
use site::{Site, Typing as _};

fn main() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    let agent = std::fs::metadata(site.agent())?.len();
    row(
        "agent, static",
        &format!("{:.1} MB", agent as f64 / 1e6),
        "under 10 MB",
        agent < 10_000_000,
    );
    bootstrap::measure(&net, &site)?;
    ten::measure(&net, &site)?;
    server::measure(&net)
}

/// How long a line takes at a node's terminal.
fn timed(node: &Node, line: &str) -> Result<Duration> {
    let start = Instant::now();
    node.types_well(line)?;
    Ok(start.elapsed())
}

/// Ours beside the same work by hand.
struct Pair {
    ours: Duration,
    by_hand: Duration,
}

impl Pair {
    fn own(&self) -> Duration {
        self.ours.saturating_sub(self.by_hand)
    }

    /// The round in the middle, by our own time.
    fn median(mut all: Vec<Self>) -> Result<Self> {
        all.sort_by_key(Self::own);
        let middle = all.len() / 2;
        all.into_iter().nth(middle).context("no round")
    }

    fn row(&self, what: &str, limit: Duration) {
        let Self { ours, by_hand } = self;
        row(
            what,
            &format!("{:.2?} ({ours:.2?}, by hand {by_hand:.2?})", self.own()),
            &format!("under {limit:?}"),
            self.own() < limit,
        );
    }
}

fn row(what: &str, measured: &str, wanted: &str, holds: bool) {
    let verdict = if holds { "holds" } else { "DOES NOT HOLD" };
    println!("| {what} | {measured} | {wanted} | {verdict} |");
}
