//! What a fleet costs the control plane, each figure beside a peer measured in the same run.
//!
//! `make bench` runs it in release. The control plane runs as a process of its own (this program again,
//! told to serve), so that its memory is its own; requests come over loopback from here, on the same
//! cores. Absolute figures mean little on a shared machine: the ratios are the result.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod client;
mod engine;
mod enrol;
mod machine;
mod nginx;
mod process;
mod report;
mod served;

use std::time::{Duration, Instant};

use client::Connection;
use engine::Engine;
use enrol::CLIENTS;
use machine::Machine;
use report::{mb, median, millis, row};
use served::Served;

/// As in `aami`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The fleet everything else is measured on.
const FLEET: usize = 100_000;
/// How many registrations of a round are timed against the engine, and how many rounds there are.
const TIMED: usize = 8_000;
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, folder, listen] = arguments.as_slice()
        && word == "serve"
    {
        served::serve(folder, listen);
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let idle = served.memory();
    row(
        "control plane idle",
        &format!("{:.0} MB", mb(idle)),
        "under 40 MB",
        idle < 40_000_000,
    );

    let token = enrol::token(served.address, &served.admin_key, FLEET).await;
    let engine = Engine::start().await;
    // In turn, so that both see the same machine.
    let (mut rates, mut engines, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let ours = register(&served, &token, round * TIMED, TIMED).await;
        served.settle().await;
        let theirs = engine.register(round * TIMED, TIMED, CLIENTS).await;
        rates.push(ours);
        engines.push(theirs);
        ratios.push(ours / theirs);
    }
    let (rate, alone, ratio) = (median(rates), median(engines), median(ratios));
    row(
        "registrations, one token, 64 clients",
        &format!("{rate:.0}/s"),
        "at least 2000/s",
        rate >= 2000.0,
    );
    row(
        "the same keys, SQLite engine alone",
        &format!("{alone:.0}/s (ratio {ratio:.2})"),
        "ratio at least 0.60",
        ratio >= 0.6,
    );

    register(&served, &token, ROUNDS * TIMED, FLEET - ROUNDS * TIMED).await;
    let memory = served.memory();
    row(
        "control plane with 100,000 nodes",
        &format!("{:.0} MB", mb(memory)),
        "under 600 MB",
        memory < 600_000_000,
    );

    // Discovery: the first answer builds everything, the next is ready, one changed node renders one shard.
    let mut connection = Connection::open(served.address).await;
    let (first, flat) = timed(&mut connection, &served, "/api/v1/sd/prometheus").await;
    row(
        "discovery, until the first answer begins",
        &millis(first),
        "under 1 s",
        first < Duration::from_secs(1),
    );
    let (ready, _) = timed(&mut connection, &served, "/api/v1/sd/prometheus").await;
    served.relabel(&mut connection).await;
    let (changed, _) = timed(&mut connection, &served, "/api/v1/sd/prometheus").await;
    row(
        "discovery, until it begins after one node changed",
        &format!("{} (ready answer {})", millis(changed), millis(ready)),
        "under a tenth of the first",
        changed < first / 10,
    );
    let (_, grouped) = timed(&mut connection, &served, "/api/v1/sd/prometheus?shape=grouped").await;
    row(
        "discovery, grouped",
        &format!(
            "{:.2} MB (flat {:.1} MB)",
            mb(grouped.len() as u64),
            mb(flat.len() as u64)
        ),
        "under 3 MB",
        grouped.len() < 3_000_000,
    );

    for (name, path, body) in [
        (
            "discovery flat, against nginx with the same bytes",
            "/api/v1/sd/prometheus",
            flat,
        ),
        (
            "discovery grouped, against nginx with the same bytes",
            "/api/v1/sd/prometheus?shape=grouped",
            grouped,
        ),
    ] {
        let peer = nginx::Nginx::start(&body);
        // In turn, so that both see the same machine.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            ours.push(gets(&served, served.address, path).await);
            theirs.push(gets(&served, peer.address, "/list.json").await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        row(
            name,
            &format!("{ours:.0}/s to {theirs:.0}/s (ratio {:.2})", ours / theirs),
            "ratio at least 0.90",
            ours / theirs >= 0.9,
        );
    }
}

/// Registers machines `from..from + count`; answers how many a second.
async fn register(served: &Served, token: &str, from: usize, count: usize) -> f64 {
    enrol::register(served.address, token, (from..from + count).map(Machine::new)).await
}

async fn timed(connection: &mut Connection, served: &Served, path: &str) -> (Duration, Vec<u8>) {
    connection.first_byte(&served.admin_key, path).await
}

/// Fetches again and again over four connections for two seconds; answers how many a second.
async fn gets(served: &Served, address: std::net::SocketAddr, path: &str) -> f64 {
    let start = Instant::now();
    let time = Duration::from_secs(2);
    let fetchers = (0..4).map(|_| {
        let (key, path) = (served.admin_key.clone(), path.to_owned());
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut count = 0_u32;
            while start.elapsed() < time {
                connection.skim(&key, &path).await;
                count += 1;
            }
            count
        })
    });
    let mut total = 0;
    for fetcher in fetchers.collect::<Vec<_>>() {
        total += fetcher.await.unwrap();
    }
    f64::from(total) / start.elapsed().as_secs_f64()
}
