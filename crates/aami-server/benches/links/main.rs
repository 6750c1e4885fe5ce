//! What the sockets of a connected fleet cost the control plane, beside a socket.io server that holds the same ones.
//!
//! `make bench` runs it in release. Both servers are processes of their own; the agents are real sockets over loopback
//! from here, on the same cores, from several loopback addresses. What each figure means stands in
//! `docs/benchmarks.md`. `cargo bench -p aami-server --bench links -- [plain|tls|peer|streams]... [AGENTS]` measures
//! parts of it, or with fewer agents.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[allow(dead_code, reason = "shared with the bench `dashboards`")]
#[path = "../dashboards/changes.rs"]
mod changes;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/client.rs"]
mod client;
#[path = "../fleet/enrol.rs"]
mod enrol;
mod fleet;
#[path = "../fleet/machine.rs"]
mod machine;
mod news;
mod open;
mod peer;
mod plane;
#[path = "../fleet/process.rs"]
mod process;
#[allow(dead_code, unreachable_pub, reason = "shared with the integration tests")]
#[path = "../../tests/it/receiver.rs"]
mod receiver;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/report.rs"]
mod report;
#[allow(dead_code, reason = "shared with the bench `dashboards`")]
#[path = "../dashboards/screens.rs"]
mod screens;
#[allow(dead_code, reason = "shared with the bench `fleet`")]
#[path = "../fleet/served.rs"]
mod served;
mod sockets;
mod speech;
mod streams;
mod watched;

use std::time::Duration;

/// As in `aami`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The fleet.
const AGENTS: usize = 18_000;
/// How many of them are measured with TLS: each costs both ends a handshake on the same cores.
const ENCRYPTED: usize = 4_000;
/// How many there are where no sockets are needed.
const STREAMS: usize = 100_000;
/// How many heartbeats of each agent are measured.
const ROUNDS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, folder, listen] = arguments.as_slice()
        && word == "serve"
    {
        served::serve(folder, listen);
        return;
    }
    let words: Vec<&str> = arguments[1..]
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let number = words.iter().find_map(|word| word.parse::<usize>().ok());
    let parts: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| word.parse::<usize>().is_err())
        .collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);

    let most = allow_sockets();
    let agents = number.unwrap_or(AGENTS).min(most);
    if agents < number.unwrap_or(AGENTS) {
        println!("The limit of open files allows {agents} agents here; the figures are for so many.");
    }
    let runtime = streams::runtime("load");
    runtime.block_on(async {
        let ours = if wanted("plain") {
            Some(sockets::plain(agents).await)
        } else {
            None
        };
        if wanted("tls") {
            sockets::encrypted(agents.min(ENCRYPTED)).await;
        }
        if wanted("peer") {
            sockets::peer(agents, ours.as_ref()).await;
        }
    });
    drop(runtime);
    if wanted("streams") {
        streams::measure(number.unwrap_or(STREAMS));
    }
}

/// Raises the limit of open files, for this process and those it starts, as far as the system allows; answers how many
/// sockets that makes.
fn allow_sockets() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = AGENTS as u64 + 2_000;
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum.map_or(Some(needed), |most| Some(most.min(needed))),
        maximum: now.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        println!("The limit of open files stays as it is: {error}.");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(needed);
    // Each side needs a few files of its own.
    usize::try_from(allowed.saturating_sub(500)).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn each(bytes: u64, count: usize) -> f64 {
    bytes as f64 / count as f64
}

fn kilobytes(bytes: u64, count: usize) -> String {
    format!("{:.2} kB", each(bytes, count) / 1e3)
}

/// Processor time in hundredths of a second, as a share of one core.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn share(spent: u64, took: Duration) -> String {
    format!("{:.1} %", spent as f64 / took.as_secs_f64())
}
