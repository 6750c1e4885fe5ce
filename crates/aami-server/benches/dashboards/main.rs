//! How long a status change takes to a thousand dashboards, beside a bare broadcast of the same bytes.
//!
//! `make bench` runs it in release. The control plane is a process of its own; the dashboards are real sockets over
//! loopback from here, on the same cores. A change is timed from the answer to the request that makes it, and from that
//! request itself: then its transaction is part of it. What each figure means stands in `docs/benchmarks.md`. `cargo bench -p aami-server --bench dashboards -- [DASHBOARDS]` measures with fewer.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod bare;
mod changes;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/client.rs"]
mod client;
#[path = "../fleet/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/report.rs"]
mod report;
mod screens;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/served.rs"]
mod served;

use std::time::{Duration, Instant};

use changes::{EVERY, change, keys, told};
use client::Connection;
use report::{mb, millis, row};
use screens::Screens;
use served::Served;

/// As in `aami`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DASHBOARDS: usize = 1_000;
/// How many nodes they see.
const NODES: usize = 5_000;
/// How many changes are timed.
const CHANGES: usize = 150;
/// How many changes come at once, as when an operator acts on many.
const BURST: usize = 500;
/// How many dashboards do not read at all.
const SLOW: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, folder, listen] = arguments.as_slice()
        && word == "serve"
    {
        served::serve(folder, listen);
        return;
    }
    let dashboards = arguments.iter().find_map(|word| word.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(dashboards.unwrap_or(DASHBOARDS)));
}

async fn measure(dashboards: usize) {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let nodes = declare(&served).await;
    served.settle().await;
    let keys = keys(&served, dashboards + SLOW).await;

    let without = served.memory();
    let begun = Instant::now();
    let screens = Screens::open(served.address, &keys, dashboards).await;
    let opened = begun.elapsed();
    let each = served.memory().saturating_sub(without) / dashboards as u64;
    row(
        &format!("{dashboards} dashboards, each with its snapshot of {NODES} nodes"),
        &format!(
            "in {:.1} s, {:.1} kB of memory each, the board included",
            opened.as_secs_f64(),
            mb(each) * 1e3
        ),
        "under 64 kB each",
        each < 64_000,
    );

    let spent = served.spent();
    let (asked, done) = change(&served, &screens, &nodes[..CHANGES], "inactive").await;
    let spent = (served.spent() - spent) * 10 / CHANGES as u64;
    row(
        &format!("a status change reaches {dashboards} dashboards"),
        &format!(
            "{} since it is done; {spent} ms of processor time each",
            told(&done)
        ),
        "p99 under 50 ms",
        done.percentile(0.99) < Duration::from_millis(50),
    );
    row("the same since it was asked for", &told(&asked), "-", true);

    let frame = screens.last_frame();
    let bare = bare::measure(dashboards, &frame, CHANGES, EVERY).await;
    row(
        "the same bytes by a bare broadcast, without a store",
        &told(&bare),
        "-",
        true,
    );

    let slow = Screens::open_deaf(served.address, &keys, SLOW).await;
    let (_, beside) = change(&served, &screens, &nodes[..CHANGES], "pending").await;
    row(
        &format!("the same beside {SLOW} that do not read"),
        &format!("{} since it is done", told(&beside)),
        "p99 under 50 ms",
        beside.percentile(0.99) < Duration::from_millis(50),
    );
    drop(slow);

    let before = served.memory();
    let (took, frames) = burst(&served, &screens, &nodes[CHANGES..CHANGES + BURST]).await;
    let grown = served.memory().saturating_sub(before);
    row(
        &format!("{BURST} changes as fast as they are made, until the last dashboard has the last"),
        &format!(
            "{} after the last was made, {} frames, {:.1} MB more memory",
            millis(took),
            frames,
            mb(grown)
        ),
        "under 1 s",
        took < Duration::from_secs(1),
    );
}

/// Declares the nodes; answers their ids.
async fn declare(served: &Served) -> Vec<String> {
    let mut parts = Vec::new();
    for part in 0..16 {
        let (address, key) = (served.address, served.admin_key.clone());
        parts.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut ids = Vec::new();
            for n in (part..NODES).step_by(16) {
                let body = format!(
                    r#"{{"hostname":"gpu-{n:05}.example.com","ip_address":"10.1.{}.{}"}}"#,
                    n / 250,
                    n % 250 + 1
                );
                let answer = connection.post(&key, "/api/v1/nodes", body).await;
                let node: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                ids.push(node["id"].as_str().unwrap().to_owned());
            }
            ids
        }));
    }
    let mut ids = Vec::new();
    for part in parts {
        ids.extend(part.await.unwrap());
    }
    ids
}

/// Changes many at once; answers how long after the last answer the last dashboard had the last of them.
async fn burst(served: &Served, screens: &Screens, nodes: &[String]) -> (Duration, usize) {
    screens.expect("inactive");
    let mut parts = Vec::new();
    for part in nodes.chunks(nodes.len().div_ceil(8)) {
        let (address, key, part) = (served.address, served.admin_key.clone(), part.to_vec());
        parts.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            for node in part {
                let path = format!("/api/v1/nodes/{node}/decommission");
                connection.post(&key, &path, "{}".to_owned()).await;
            }
        }));
    }
    for part in parts {
        part.await.unwrap();
    }
    let made = Instant::now();
    let sent: Vec<(String, Instant)> = nodes.iter().map(|node| (node.clone(), made)).collect();
    let all = screens.gather(&sent).await;
    (all.percentile(1.0), all.len())
}
