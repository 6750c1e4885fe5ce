//! The loop that is connected: it does what [`Connection`] decides, sends what waits, and waits itself for whichever
//! comes first of the socket, the bell and the clock. One thread reads and writes.

mod receipts;

use std::os::fd::AsFd as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aami_api::link::{ConnectionAck, Heartbeat, Hello, NodeConfig, PROTOCOL, Told, USUAL_HEARTBEAT, Up};
use aami_model::agent_config::AgentConfig;
use aami_model::secret::Secret;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::command::Desk;
use super::connection::{Action, Connection, Input};
use super::state::{Shared, random, start_id};
use super::update;
use super::wire::{NotOpened, Read, Road, Wire};
use receipts::Receipts;

/// Nodes of a site are switched on together.
const FIRST_SPREAD: Duration = Duration::from_secs(2);
/// Reports under way without being kept by the control plane.
const MOST_UNDER_WAY: u64 = 64;
/// Frames read in one turn, so that one who sends without end cannot keep it from its heartbeats.
const MOST_READ: usize = 64;
/// How long one turn waits at most: the watchdog looks at it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// A control plane that knows of so many more reports than there were is not believed.
const MOST_AHEAD: u64 = 1 << 40;
/// What this program was built for.
const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
/// Clocks that differ by less are called the same.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

struct Link<'a> {
    shared: &'a Shared,
    road: &'a Road,
    credential: &'a Secret,
    desk: &'a Desk,
    connection: Connection,
    wire: Option<Wire>,
    /// The last report that was sent over this connection, and the last that is kept.
    sent: u64,
    settled: u64,
    /// The results that were sent over this connection.
    results: Receipts,
    /// What was said last about the connection: the same is not said again.
    said: String,
    /// How often a heartbeat is wanted where no configuration says otherwise, in seconds.
    heartbeat: u32,
}

/// Runs until the daemon stops.
pub(super) fn run(shared: &Shared, road: &Road, credential: &Secret, desk: &Desk) {
    let connection = Connection::new(shared.now(), FIRST_SPREAD, &mut random);
    let mut link = Link {
        shared,
        road,
        credential,
        desk,
        connection,
        wire: None,
        sent: 0,
        settled: 0,
        results: Receipts::default(),
        said: String::new(),
        heartbeat: USUAL_HEARTBEAT,
    };
    while !shared.is_stopping() {
        shared.pulses.link.beat(shared.now());
        link.turn();
    }
    if let Some(wire) = link.wire.take() {
        let reason = "the agent was stopped".to_owned();
        wire.close(Some(&Up::Bye { reason }), GOODBYE);
    }
}

impl Link<'_> {
    fn turn(&mut self) {
        self.happened(Input::Time);
        self.read();
        if self.connection.is_live()
            && let Err(why) = self.send()
        {
            self.lost(&why);
        }
        self.wait();
    }

    /// Tells the connection what happened, and does what it answers.
    fn happened(&mut self, input: Input) {
        for action in self.connection.take(input, self.shared.now(), &mut random) {
            if let Err(why) = self.act(action) {
                self.lost(&why);
                break;
            }
        }
        let is_live = self.connection.is_live();
        self.shared.vitals.is_connected.store(is_live, Ordering::Relaxed);
        let is_refused = self.connection.is_refused();
        self.shared.vitals.is_refused.store(is_refused, Ordering::Relaxed);
    }

    fn lost(&mut self, why: &str) {
        self.note(why);
        self.happened(Input::Lost);
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Open => {
                self.open();
                Ok(())
            }
            Action::Greet => self.say(&Up::Hello(self.hello())),
            Action::Live(ack) => self.live(&ack),
            Action::Heartbeat => {
                self.say(&self.beat())?;
                let number = self.results.ping();
                self.wire.as_mut().map_or(Ok(()), |wire| wire.ping(number))
            }
            Action::Settle(seq) => {
                self.settle(seq.min(self.sent));
                Ok(())
            }
            Action::Take(order) => {
                self.desk.take(order);
                Ok(())
            }
            Action::Configure(config) => {
                self.configure(config);
                Ok(())
            }
            Action::Close(why) => {
                if !why.is_empty() {
                    self.note(&why);
                }
                if let Some(wire) = self.wire.take() {
                    wire.close(None, Duration::from_millis(200));
                }
                self.shared.forget_outgoing();
                Ok(())
            }
        }
    }

    fn open(&mut self) {
        match Wire::open(self.road, self.credential) {
            Ok(wire) => {
                self.wire = Some(wire);
                self.happened(Input::Opened);
            }
            Err(error) => {
                self.note(&error.to_string());
                let refused = matches!(error, NotOpened::Refused(_));
                self.happened(Input::NotOpened { refused });
            }
        }
    }

    fn hello(&self) -> Hello {
        let document = self
            .shared
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sha256 = document.as_ref().map(|document| document.sha256.clone());
        drop(document);
        let noted = self.shared.memory.noted();
        let revision = noted.config.revision.clone();
        Hello {
            protocol: PROTOCOL,
            agent_version: aami_model::version::own().to_owned(),
            arch: ARCH.to_owned(),
            boot_id: start_id(),
            spool: self.shared.spool().id().to_owned(),
            inventory_sha256: sha256.or_else(|| noted.inventory.clone()).unwrap_or_default(),
            config_revision: Some(revision).filter(|revision| !revision.is_empty()),
            time: self.shared.wall(),
        }
    }

    fn live(&mut self, ack: &ConnectionAck) -> Result<(), String> {
        self.note(&format!("connected to {} as {}", self.road.server, ack.node_id));
        self.shared.vitals.connections.fetch_add(1, Ordering::Relaxed);
        self.heartbeat = ack.heartbeat_seconds;
        if let Some(seconds) = self.shared.memory.noted().config.heartbeat_seconds {
            self.connection.beat_every(seconds);
        }
        update::stand(self.shared);
        let skew = {
            let (here, there) = (self.shared.wall(), ack.time);
            if here > there {
                here.since(there)
            } else {
                there.since(here)
            }
        };
        if skew > CLOCK_SKEW {
            self.shared.say(&format!(
                "this machine's clock and the control plane's differ by {} s",
                skew.as_secs()
            ));
        }
        self.settled = 0;
        self.settle(ack.received);
        self.sent = self.settled;
        if ack.wants_inventory {
            self.shared.wish(|wishes| wishes.inventory = true);
        }
        self.results = Receipts::default();
        // What ended while nobody heard.
        for up in self.desk.untold() {
            self.shared.tell(up);
        }
        self.say(&self.beat())
    }

    fn beat(&self) -> Up {
        Up::Heartbeat(Heartbeat {
            time: Some(self.shared.wall()),
            resources: self.shared.take_resources(),
        })
    }

    fn settle(&mut self, seq: u64) {
        if seq > self.settled.saturating_add(MOST_AHEAD) {
            self.note("the control plane knows of reports that were never made");
            return;
        }
        self.settled = self.settled.max(seq);
        if let Err(error) = self.shared.spool().settle(seq) {
            self.shared
                .say(&format!("the spool cannot be written anew: {error}"));
        }
    }

    fn configure(&mut self, config: NodeConfig) {
        let refused = fault(&config);
        let revision: String = config.revision.chars().take(100).collect();
        if refused.is_none() {
            // What a configuration no longer says is as it was before there was one.
            let seconds = config.heartbeat_seconds.unwrap_or(self.heartbeat);
            self.connection.beat_every(seconds);
            if let Err(error) = self.shared.memory.change(|noted| noted.config = config) {
                self.shared
                    .say(&format!("the configuration cannot be kept: {error}"));
            }
        }
        let _ = self
            .shared
            .report(self.shared.wall(), Told::Configured { revision, refused });
    }

    fn say(&mut self, up: &Up) -> Result<(), String> {
        self.wire.as_mut().map_or(Ok(()), |wire| wire.say(up))
    }

    /// A line for the log, unless it is the one that stands there last.
    fn note(&mut self, line: &str) {
        if self.said != line {
            self.shared.say(line);
            line.clone_into(&mut self.said);
        }
    }

    fn read(&mut self) {
        for _ in 0..MOST_READ {
            let Some(wire) = &mut self.wire else { return };
            match wire.read() {
                Ok(Read::Frame(down)) => self.happened(Input::Heard(down)),
                Ok(Read::Alive) => self.happened(Input::Alive),
                Ok(Read::Answered(number)) => {
                    for id in self.results.answered(number) {
                        self.desk.told(&id);
                    }
                    self.happened(Input::Alive);
                }
                Ok(Read::Nothing) => return,
                Err(why) => return self.lost(&why),
            }
        }
    }

    /// Sends what waits, as long as the socket takes it.
    fn send(&mut self) -> Result<(), String> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        // Also the answer to a ping, which reading has put there.
        wire.flush()?;
        while !wire.is_waiting() {
            let Some(up) = self.shared.next_outgoing() else {
                break;
            };
            wire.say(&up)?;
            if let Up::Result(result) = &up {
                self.results.sent(&result.command_id);
            }
        }
        if self.results.wants_ping() {
            wire.ping(self.results.ping())?;
        }
        while !wire.is_waiting() && self.sent.saturating_sub(self.settled) < MOST_UNDER_WAY {
            let Some((seq, line)) = self.shared.spool().after(self.sent) else {
                break;
            };
            match line {
                Ok(line) => wire.send(line)?,
                Err(error) => self.shared.say(&format!("report {seq} cannot be read: {error}")),
            }
            self.sent = seq;
        }
        Ok(())
    }

    fn wait(&self) {
        let due = self.connection.due(self.shared.now()).min(LONGEST_WAIT);
        let timeout = Timespec {
            tv_sec: i64::try_from(due.as_secs()).unwrap_or(0),
            tv_nsec: due.subsec_nanos().into(),
        };
        let mut waits = vec![PollFd::new(self.shared.bell(), PollFlags::IN)];
        if let Some(wire) = &self.wire {
            let mut events = PollFlags::IN;
            if wire.is_waiting() {
                events |= PollFlags::OUT;
            }
            waits.push(PollFd::from_borrowed_fd(wire.as_fd(), events));
        }
        // An interruption is a turn like any other.
        let _ = poll(&mut waits, Some(&timeout));
        self.shared.hear();
    }
}

/// Why a configuration is not taken.
fn fault(config: &NodeConfig) -> Option<String> {
    if !(1..=100).contains(&config.revision.len()) {
        return Some("revision must be 1 to 100 characters".to_owned());
    }
    let behaviour = AgentConfig {
        heartbeat_seconds: config.heartbeat_seconds,
        resources_seconds: config.resources_seconds,
        discover: config.discover,
    };
    // How long this node may be silent is the control plane's to know.
    behaviour.check(u32::MAX).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_taken_whole_or_not_at_all() {
        let good = NodeConfig {
            revision: "r1".to_owned(),
            heartbeat_seconds: Some(30),
            ..NodeConfig::default()
        };
        assert_eq!(fault(&good), None);
        for bad in [
            NodeConfig {
                heartbeat_seconds: Some(0),
                ..good.clone()
            },
            NodeConfig {
                resources_seconds: Some(u32::MAX),
                ..good.clone()
            },
            NodeConfig {
                revision: String::new(),
                ..good
            },
        ] {
            assert!(fault(&bad).is_some(), "{bad:?}");
        }
    }
}
