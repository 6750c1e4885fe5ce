//! A hundred thousand agents in one process: no socket, but everything above it. The control plane's threads are told
//! from the agents' by their names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use aami_server::{Config, World};
use tokio::runtime::{Builder, Runtime};

use crate::enrol;
use crate::fleet::{Agents, BEAT};
use crate::machine::Machine;
use crate::report::row;
use crate::sockets::shown;
use crate::speech::{self, Speech};
use crate::{ROUNDS, kilobytes, plane, process, share};

/// Bytes that one direction of a stream holds.
const ROOM: usize = 4096;

pub(crate) fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap()
}

/// The processor time of this process's threads of one name, in hundredths of a second.
fn spent(name: &str) -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?.path();
            let is_it = std::fs::read_to_string(thread.join("comm")).ok()?.trim() == name;
            is_it.then(|| {
                Some(process::ticks(
                    &std::fs::read_to_string(thread.join("stat")).ok()?,
                ))
            })?
        })
        .sum()
}

/// Connects them, and measures what their heartbeats cost.
pub(crate) fn measure(count: usize) {
    let (server, load) = (runtime("plane"), runtime("load"));
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::for_data_dir(folder.path().join("data")).unwrap();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.open_rate = 1_000_000;
    let running = Arc::new(
        server
            .block_on(aami_server::start(config, World::system()))
            .unwrap(),
    );
    let address = running.address();
    let admin_key = std::fs::read_to_string(running.admin_key()).unwrap();
    let admin_key = admin_key.trim();
    load.block_on(async {
        let token = enrol::token(address, admin_key, count).await;
        let machines = (0..count).map(|n| Machine::new(n).without_exporters());
        enrol::register(address, &token, machines).await;
        let requests = Arc::new(
            (0..count)
                .map(|n| Speech::Aami.request(&Machine::new(n).credential()))
                .collect::<Vec<_>>(),
        );
        process::settle(std::process::id()).await;
        let before = process::memory(std::process::id());
        let open = {
            let (running, handle) = (running.clone(), server.handle().clone());
            move |n: usize| {
                let (ours, theirs) = tokio::io::duplex(ROOM);
                let last = u8::try_from(n % 250 + 1).unwrap();
                let peer = SocketAddr::from(([127, 0, 2, last], 1));
                handle.spawn(running.converse(theirs, peer));
                std::future::ready(Ok(ours))
            }
        };
        let (mut agents, came) = Agents::connect(Speech::Aami, &requests, 512, open).await;
        shown(
            &format!("{count} agents connected over in-memory streams, 512 at once"),
            &format!("{:.1} s", came.took.as_secs_f64()),
        );
        process::settle(std::process::id()).await;
        let revision = plane::revision(address, admin_key).await;
        let since = speech::now();
        let (begun, used) = (Instant::now(), spent("plane"));
        agents.beat(ROUNDS).await;
        let (took, used) = (begun.elapsed(), spent("plane") - used);
        let after = plane::revision(address, admin_key).await;
        let beats = count * ROUNDS;
        let every = BEAT.as_secs();
        shown(
            &format!("heartbeats of {count} agents every {every} s, share of one core"),
            &share(used, took),
        );
        row(
            &format!("store revisions made by {beats} heartbeats"),
            &(after - revision).to_string(),
            "0",
            after == revision,
        );
        assert_eq!(after, revision, "heartbeats write nothing");
        let heard = plane::heard(address, admin_key, since).await;
        row(
            "nodes whose heartbeats were heard",
            &heard.to_string(),
            &count.to_string(),
            heard == count,
        );
        let memory = process::memory(std::process::id()).saturating_sub(before);
        shown(
            "memory an agent, both ends of its stream among it",
            &kilobytes(memory, count),
        );
    });
    // The agents are gone with their runtime.
    drop(load);
    if let Ok(running) = Arc::try_unwrap(running) {
        server.block_on(running.stop());
    }
}
