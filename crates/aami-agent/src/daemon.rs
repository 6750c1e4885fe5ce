//! `aami-agent daemon`: the node stays connected, and says what happens on it.
//!
//! Five loops, each a thread; they share [`state::Shared`] and nothing else:
//!
//! | loop | listens to | gives |
//! |---|---|---|
//! | [`link`] | the control plane, the spool, the clock | heartbeats and reports up, commands down |
//! | [`watch`] | `/proc`, `/sys`, vendor tools, the files that rounds of checks leave | reports, resources |
//! | [`kernel`] | `/dev/kmsg` | Xids and SXids, folded and counted |
//! | [`command`] | the closed list of commands | each done once, with its result |
//! | [`rules`] | the control plane, where a Prometheus runs here | its alert rules in place, or why not |
//!
//! A node without a control plane has no uplink: then [`link`], [`command`] and [`rules`] do not run, nothing is kept to
//! be told, and what [`watch`] and [`kernel`] see is told by the [`metrics`] alone.
//!
//! [`connection`] and [`pause`] decide when to connect and how long to stay away; they are pure. What must not be lost
//! goes through the [`spool`]; everything else is replaced by what comes next. Every queue is bounded, every wait has
//! an end, and the watchdog is fed only while all loops move; a command may take an hour.
//!
//! This room installs nothing and runs no checks: the timer stays their only runner.

mod command;
mod connection;
mod discover;
mod identity;
mod kernel;
mod link;
mod memory;
mod metrics;
mod notify;
mod pause;
pub(crate) mod replace;
mod resources;
mod rules;
mod spool;
mod state;
mod update;
mod watch;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aami_install::Cancel;
use aami_plans::download::Proxies;
use aami_plans::node::Form;

pub(crate) use identity::Unusable;
pub(crate) use notify::Notify;
pub(crate) use rules::take_rules_back;

use identity::Identity;
use state::Shared;

/// How long the loops may take to say goodbye. A unit is killed later than that.
const GOODBYE: Duration = Duration::from_secs(4);
/// How often the loops are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What it runs with.
pub(crate) struct Options {
    /// What stands for `/`.
    pub(crate) root: PathBuf,
    /// Which form of a node.
    pub(crate) form: Form,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// Where its own metrics are served.
    pub(crate) metrics: SocketAddr,
    /// The way out.
    pub(crate) proxies: Proxies,
    /// The service manager, where there is one.
    pub(crate) notify: Notify,
    /// Says a line to whoever reads the log.
    pub(crate) say: fn(&str),
}

/// Runs until `cancel` is set; then says goodbye.
///
/// Fails when this machine is not enrolled, when its credential cannot be used, or when another daemon is at work.
pub(crate) fn run(options: Options, cancel: &Cancel) -> Result<(), Unusable> {
    let identity = identity::read(&options)?;
    let notify = options.notify.clone();
    let shared = Arc::new(Shared::open(&options, &identity)?);
    let whose = identity
        .uplink
        .as_ref()
        .map_or("no control plane", |uplink| uplink.road.server.as_str());
    shared.say(&format!(
        "aami-agent {} for {} of {whose}",
        aami_model::version::own(),
        identity.hostname,
    ));
    metrics::serve(&shared, options.metrics);
    let link = connect(&shared, identity)?;
    let kernel = {
        let shared = shared.clone();
        begin("kernel", move || kernel::run(&shared))?
    };
    let watched = shared.clone();
    begin("watch", move || watch::run(&watched))?;
    notify.ready();
    let mut fed = Instant::now();
    while !cancel.is_cancelled() {
        thread::park_timeout(LOOK);
        if fed.elapsed() >= notify.every() && shared.pulses.all_beat(shared.now()) {
            notify.alive();
            fed = Instant::now();
        }
    }
    notify.stopping();
    shared.stop();
    let deadline = Instant::now() + GOODBYE;
    // What looks may hang in a vendor's tool, and has nothing left to say.
    let has_ended = |link: &Option<JoinHandle<()>>| link.as_ref().is_none_or(JoinHandle::is_finished);
    while !(has_ended(&link) && kernel.is_finished()) && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(10));
    }
    shared.say("stopped");
    Ok(())
}

/// Begins to speak with the control plane, where there is one.
fn connect(shared: &Arc<Shared>, identity: Identity) -> Result<Option<JoinHandle<()>>, Unusable> {
    let desk = command::Desk::open(shared, &identity);
    let (Some(desk), Some(uplink)) = (desk, identity.uplink) else {
        return Ok(None);
    };
    if uplink.road.is_in_the_open() {
        shared.say("the connection is plain HTTP, as this node was enrolled: whoever is in between reads its credential");
    }
    let (rules, road, credential) = (shared.clone(), uplink.road.clone(), uplink.credential.clone());
    begin("rules", move || rules::run(&rules, &road, &credential))?;
    let shared = shared.clone();
    let talk = move || link::run(&shared, &uplink.road, &uplink.credential, &desk);
    begin("link", talk).map(Some)
}

/// Begins a loop, as a thread.
fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Unusable> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread
        .spawn(work)
        .map_err(|error| Unusable::Host(error.to_string()))
}
