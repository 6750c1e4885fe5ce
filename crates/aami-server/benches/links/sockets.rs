//! Agents over real sockets: what each costs in memory, what heartbeats cost, a storm, and the same of the peer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::client::Connection;
use crate::fleet::{Agents, BEAT, Came};
use crate::machine::Machine;
use crate::peer::Peer;
use crate::report::{millis, row};
use crate::served::Served;
use crate::speech::{self, Speech};
use crate::{ROUNDS, each, enrol, kilobytes, news, open, plane, share, watched};

/// How many connect at once where it is no storm.
const TOGETHER: usize = 256;
/// How many agents report something for the webhook to be told of.
const REPORTS: usize = 1_000;
/// What an agent may say at once, an inventory for one.
const LARGE: usize = 64 * 1024;
const STORM: Duration = Duration::from_secs(30);
/// Within this it gives back what nobody uses any more, every ten seconds, and a second later what was free then.
const GIVEN_BACK: Duration = Duration::from_secs(25);
/// How long the control plane is stopped.
const HELD: Duration = Duration::from_secs(30);

/// What was measured of the control plane, for the peer to stand beside.
pub(crate) struct Ours {
    memory: f64,
    storm: Duration,
}

/// A control plane with a fleet that has enrolled, started anew so that nothing of the enrolment is left in memory.
struct Site {
    folder: TempDir,
    served: Served,
    requests: Arc<Vec<Vec<u8>>>,
}

impl Site {
    async fn with(agents: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = Served::start(folder.path());
        let token = enrol::token(served.address, &served.admin_key, agents).await;
        let machines = (0..agents).map(|n| Machine::new(n).without_exporters());
        enrol::register(served.address, &token, machines).await;
        let requests = requests(Speech::Aami, agents);
        let site = Self {
            folder,
            served,
            requests,
        };
        site.restarted(false).await.0
    }

    /// Starts the control plane anew where it was, at once if it is to look like a crash; answers how long it was away.
    async fn restarted(self, crash: bool) -> (Self, Duration) {
        let Self {
            folder,
            served,
            requests,
        } = self;
        let address = served.address.to_string();
        if crash {
            served.kill();
        } else {
            served.settle().await;
            drop(served);
        }
        let begun = Instant::now();
        let served = Served::start_at(folder.path(), &address);
        let site = Self {
            folder,
            served,
            requests,
        };
        (site, begun.elapsed())
    }

    /// Its memory once what it keeps for changes is full, whoever is connected.
    async fn used(&self) -> u64 {
        plane::relabel(self.served.address, &self.served.admin_key).await;
        self.rested().await
    }

    /// Its memory once it has nothing to do, and had the time to give back what it does not need.
    async fn rested(&self) -> u64 {
        self.served.settle().await;
        tokio::time::sleep(GIVEN_BACK).await;
        self.served.memory()
    }

    async fn plain(&self, together: usize) -> (Agents<TcpStream>, Came) {
        let address = self.served.address;
        Agents::connect(Speech::Aami, &self.requests, together, move |n| {
            open::tcp(n, address)
        })
        .await
    }

    async fn revision(&self) -> u64 {
        plane::revision(self.served.address, &self.served.admin_key).await
    }
}

fn requests(speech: Speech, agents: usize) -> Arc<Vec<Vec<u8>>> {
    let all = (0..agents).map(|n| speech.request(&Machine::new(n).credential()));
    Arc::new(all.collect())
}

/// The fleet over plain sockets.
pub(crate) async fn plain(agents: usize) -> Ours {
    let site = Site::with(agents).await;
    let before = site.used().await;
    let (mut sockets, came) = site.plain(TOGETHER).await;
    shown(
        &format!("{agents} agents connected, {TOGETHER} at once"),
        &seconds(came.took),
    );
    // What connecting told is copied to the history first: that is no heartbeat's doing.
    site.served.settle().await;
    let (revision, since) = (site.revision().await, speech::now());
    let (begun, spent) = (Instant::now(), site.served.spent());
    sockets.beat(ROUNDS).await;
    let used = site.served.spent() - spent;
    let every = BEAT.as_secs();
    shown(
        &format!("heartbeats of {agents} agents every {every} s, share of one core"),
        &share(used, begun.elapsed()),
    );
    let heard = plane::heard(site.served.address, &site.served.admin_key, since).await;
    row(
        "nodes online whose heartbeats were heard",
        &heard.to_string(),
        &agents.to_string(),
        heard == agents,
    );
    let written = site.revision().await - revision;
    let beats = agents * ROUNDS;
    row(
        &format!("store revisions made by {beats} heartbeats"),
        &written.to_string(),
        "0",
        written == 0,
    );
    assert_eq!(written, 0, "heartbeats write nothing");
    limited(
        "memory a plain socket",
        site.rested().await.saturating_sub(before),
        agents,
        8_000,
    );

    // Once in a while an agent says much at once; it must not cost for as long as it stays.
    let large = format!(r#"{{"type":"heartbeat","extra":"{}"}}"#, "x".repeat(LARGE));
    sockets.say(&speech::frame(&large)).await;
    sockets.beat(ROUNDS).await;
    limited(
        "the same, after each said 64 KiB at once",
        site.rested().await.saturating_sub(before),
        agents,
        8_000,
    );

    let mut reporting = sockets.part(REPORTS.min(agents / 2));
    let (_, latencies) = tokio::join!(sockets.beat(1), news::measure(&site.served, &mut reporting));
    let (half, most) = (latencies.percentile(50), latencies.percentile(99));
    row(
        "from a node's report to the webhook that is told of it",
        &format!("p50 {}, p99 {}", millis(half), millis(most)),
        "p99 under 500 ms",
        most < Duration::from_millis(500),
    );
    sockets.rejoin(reporting);

    let is_done = AtomicBool::new(false);
    let beating = async {
        while !is_done.load(Ordering::SeqCst) {
            sockets.beat(1).await;
        }
    };
    let watching = async {
        watched::measure(&site.served, agents).await;
        is_done.store(true, Ordering::SeqCst);
    };
    tokio::join!(beating, watching);
    held(&site, &mut sockets, agents).await;

    drop(sockets);
    let (site, _) = site.restarted(false).await;
    let before = site.used().await;
    let storm = storm(site, agents, before).await;
    Ours {
        memory: storm.0,
        storm: storm.1,
    }
}

/// Everybody is connected, and the control plane is held for a while; the agents go on saying that they are there.
async fn held(site: &Site, sockets: &mut Agents<TcpStream>, agents: usize) {
    let (address, key) = (site.served.address, &site.served.admin_key);
    let before = plane::said_gone(address, key).await;
    tokio::join!(site.served.hold(HELD), sockets.beat(1));
    let since = speech::now();
    sockets.beat(ROUNDS).await;
    let heard = plane::heard(address, key, since).await;
    let gone = plane::said_gone(address, key).await - before;
    row(
        &format!(
            "stopped for {} s: nodes called offline; online and heard afterwards",
            HELD.as_secs()
        ),
        &format!("{gone}; {heard}"),
        &format!("0; {agents}"),
        gone == 0 && heard == agents,
    );
    assert_eq!((gone, heard), (0, agents), "who is there is not said to be gone");
}

/// Everybody is connected, the control plane crashes, and everybody comes back the moment it listens again.
async fn storm(site: Site, agents: usize, before: u64) -> (f64, Duration) {
    let (sockets, _) = site.plain(TOGETHER).await;
    let (site, away) = site.restarted(true).await;
    drop(sockets);
    let (mut sockets, came) = site.plain(tokio::sync::Semaphore::MAX_PERMITS).await;
    let all = away + came.took;
    row(
        &format!("storm: {agents} agents come back at once after a crash"),
        &format!(
            "{} and {} for the start; {} attempts made again",
            seconds(came.took),
            seconds(away),
            came.again
        ),
        "under 30 s",
        all < STORM,
    );
    let since = speech::now();
    sockets.beat(ROUNDS).await;
    let (address, key) = (site.served.address, &site.served.admin_key);
    let heard = plane::heard(address, key, since).await;
    let gone = plane::said_gone(address, key).await;
    row(
        "nodes called offline on the way; online and heard afterwards",
        &format!("{gone}; {heard}"),
        &format!("0; {agents}"),
        gone == 0 && heard == agents,
    );
    let memory = site.used().await.saturating_sub(before);
    limited("memory a plain socket, after the storm", memory, agents, 8_000);
    (each(memory, agents), came.took)
}

/// Some of the fleet over TLS.
pub(crate) async fn encrypted(agents: usize) {
    let site = Site::with(agents).await;
    let before = site.used().await;
    let address = site.served.address;
    let ca = Connection::open(address).await.get("", "/ca.pem").await;
    let connector = open::connector(&ca);
    let open = move |n| open::tls(n, address, connector.clone());
    let (mut sockets, came) = Agents::connect(Speech::Aami, &site.requests, TOGETHER, open).await;
    shown(
        &format!("{agents} agents connected over TLS, {TOGETHER} at once"),
        &seconds(came.took),
    );
    sockets.beat(ROUNDS).await;
    limited(
        "memory a TLS socket",
        site.rested().await.saturating_sub(before),
        agents,
        24_000,
    );
    let large = format!(r#"{{"type":"heartbeat","extra":"{}"}}"#, "x".repeat(LARGE));
    sockets.say(&speech::frame(&large)).await;
    sockets.beat(ROUNDS).await;
    limited(
        "the same, after each said 64 KiB at once",
        site.rested().await.saturating_sub(before),
        agents,
        24_000,
    );
}

/// The same of the socket.io server.
pub(crate) async fn peer(agents: usize, ours: Option<&Ours>) {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    let all: Vec<String> = (0..agents).map(|n| Machine::new(n).credential()).collect();
    std::fs::write(&credentials, all.join("\n")).unwrap();
    let Some(mut peer) = Peer::start(&credentials, None) else {
        println!("socket.io was not fetched, not measured: scripts/fetch-socketio.sh");
        return;
    };
    let requests = requests(Speech::SocketIo, agents);
    let (before, _) = peer.memory();
    let (mut sockets, came) = connect(&peer, &requests, TOGETHER).await;
    shown(
        &format!("socket.io: {agents} agents connected, {TOGETHER} at once"),
        &seconds(came.took),
    );
    let (begun, spent) = (Instant::now(), peer.spent());
    sockets.beat(ROUNDS).await;
    shown(
        "socket.io: the same heartbeats, share of one core",
        &share(peer.spent() - spent, begun.elapsed()),
    );
    let (first, state) = peer.memory();
    assert_eq!(
        state,
        format!("{agents} {}", agents * ROUNDS),
        "what socket.io holds and heard"
    );
    shown(
        "socket.io: memory a plain socket",
        &kilobytes(first.saturating_sub(before), agents),
    );

    let (mut peer, away) = crashed(peer, &credentials);
    drop(sockets);
    let (before, _) = peer.memory();
    let (mut sockets, came) = connect(&peer, &requests, tokio::sync::Semaphore::MAX_PERMITS).await;
    shown(
        "socket.io: storm, with nothing kept",
        &format!(
            "{} and {} for the start; {} attempts made again",
            seconds(came.took),
            seconds(away),
            came.again
        ),
    );
    sockets.beat(ROUNDS).await;
    let memory = each(peer.memory().0.saturating_sub(before), agents);
    shown(
        "socket.io: memory a plain socket, after the storm",
        &format!("{:.2} kB", memory / 1e3),
    );
    if let Some(ours) = ours {
        let ratio = ours.memory / memory;
        row(
            "memory a plain socket against socket.io",
            &format!("ratio {ratio:.2}"),
            "at most 1.00",
            ratio <= 1.0,
        );
        let ratio = ours.storm.as_secs_f64() / came.took.as_secs_f64();
        shown(
            "storm against socket.io, which keeps nothing",
            &format!("ratio {ratio:.2}"),
        );
    }
}

fn crashed(peer: Peer, credentials: &Path) -> (Peer, Duration) {
    let address = peer.address;
    drop(peer);
    let begun = Instant::now();
    let peer = Peer::start(credentials, Some(address)).unwrap();
    (peer, begun.elapsed())
}

async fn connect(peer: &Peer, requests: &Arc<Vec<Vec<u8>>>, together: usize) -> (Agents<TcpStream>, Came) {
    let address: SocketAddr = peer.address;
    Agents::connect(Speech::SocketIo, requests, together, move |n| {
        open::tcp(n, address)
    })
    .await
}

/// A figure that nothing is asked of.
pub(crate) fn shown(what: &str, measured: &str) {
    println!("| {what} | {measured} | | |");
}

fn limited(what: &str, bytes: u64, count: usize, most: u64) {
    let wanted = format!("at most {} kB", most / 1000);
    row(
        what,
        &kilobytes(bytes, count),
        &wanted,
        bytes <= most * count as u64,
    );
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
