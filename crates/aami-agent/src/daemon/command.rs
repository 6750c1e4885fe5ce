//! Commands of the control plane: a closed list, each done once.
//!
//! A command is noted on disk before it is accepted, and its result before it is told. So one that comes again, after
//! a reconnection or a restart, is answered and not done again; one that a restart interrupted is told to be so. One
//! at a time is done; a few wait, and what is more is refused.

mod conceal;
mod diagnose;
mod journal;
mod unit;
mod work;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use aami_api::link::{CommandResult, Order, Up};
use aami_model::{Code, CommandId, code};
use aami_plans::node::Form;

use super::identity::Identity;
use super::state::Shared;
use super::update;
pub(super) use conceal::concealed;
use journal::{Journal, Known};

/// No command takes longer, whatever its order says.
pub(super) const LONGEST_COMMAND: Duration = Duration::from_secs(3600);
/// More commands do not wait.
const MOST_WAITING: usize = 8;
/// How long one turn waits for a command: the watchdog looks at it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What commands have to know of the node.
#[derive(Debug, Clone)]
struct Node {
    form: Form,
    cluster: String,
    root: PathBuf,
    server: String,
    hostname: String,
}

/// Takes commands.
pub(super) struct Desk {
    shared: Arc<Shared>,
    journal: Arc<Mutex<Journal>>,
    orders: SyncSender<Order>,
}

impl Desk {
    /// Opens the desk, with what it was doing when the last process ended; none where nobody gives commands.
    pub(super) fn open(shared: &Arc<Shared>, identity: &Identity) -> Option<Self> {
        let server = identity.uplink.as_ref()?.road.server.clone();
        // An update replaces this very process: whoever comes up next goes on with it.
        let update = update::under_way(shared);
        let journal = Journal::open(&shared.own("commands.json"), |id| {
            let interrupted = code::COMMAND_INTERRUPTED;
            (update.as_ref() != Some(id)).then(|| failed(id, interrupted, interrupted.sentence))
        });
        let journal = Arc::new(Mutex::new(journal));
        let (orders, taken) = sync_channel(MOST_WAITING);
        let node = Node {
            form: identity.form,
            cluster: identity.cluster.clone(),
            root: shared.root.clone(),
            server,
            hostname: identity.hostname.clone(),
        };
        let (shared_too, journal_too) = (shared.clone(), journal.clone());
        let work = move || run(&shared_too, &journal_too, &node, &taken);
        if let Err(error) = thread::Builder::new().name("command".to_owned()).spawn(work) {
            // Every command is refused as one too many.
            shared.say(&format!("commands cannot be taken: {error}"));
        }
        Some(Self {
            shared: shared.clone(),
            journal,
            orders,
        })
    }

    /// Takes a command, or answers one that was taken before.
    pub(super) fn take(&self, order: Order) {
        let id = order.command_id.clone();
        let mut journal = lock(&self.journal);
        match journal.find(&id) {
            Some(Known::Taken) => return self.shared.tell(Up::Accepted { command_id: id }),
            Some(Known::Ended(result)) => return self.shared.tell(Up::Result(result)),
            None => {}
        }
        if let Err(error) = journal.take(&id) {
            // What cannot be noted might be done twice.
            let why = format!("the command cannot be noted: {error}");
            return self
                .shared
                .tell(Up::Result(failed(&id, code::COMMAND_FAILED, &why)));
        }
        match self.orders.try_send(order) {
            Ok(()) => self.shared.tell(Up::Accepted { command_id: id }),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                let result = failed(&id, code::COMMAND_BUSY, code::COMMAND_BUSY.sentence);
                let _ = journal.end(result.clone());
                self.shared.tell(Up::Result(result));
            }
        }
    }

    /// The results that no connection has carried yet.
    pub(super) fn untold(&self) -> Vec<Up> {
        lock(&self.journal).untold().into_iter().map(Up::Result).collect()
    }

    /// A result went out.
    pub(super) fn told(&self, id: &CommandId) {
        lock(&self.journal).told(id);
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(shared: &Shared, journal: &Mutex<Journal>, node: &Node, orders: &Receiver<Order>) {
    if let Some(id) = update::under_way(shared) {
        let is_awaited = lock(journal).find(&id) == Some(Known::Taken);
        if !is_awaited {
            update::forget(shared);
        } else if let Some(result) = update::await_outcome(shared, &id, &unit::Updates::of(node, None)) {
            end(shared, journal, result);
        }
    }
    loop {
        shared.pulses.command.beat(shared.now());
        let order = match orders.recv_timeout(LONGEST_WAIT) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        shared.say(&format!("command {}: {}", order.command_id, order.command.name()));
        if let Some(result) = work::done(shared, node, &order) {
            end(shared, journal, result);
        }
    }
}

/// Notes how a command ended, and tells it.
fn end(shared: &Shared, journal: &Mutex<Journal>, result: CommandResult) {
    let id = &result.command_id;
    if let Err(error) = lock(journal).end(result.clone()) {
        shared.say(&format!("the result of {id} cannot be noted: {error}"));
    }
    shared.tell(Up::Result(result));
}

fn failed(id: &CommandId, code: Code, why: &str) -> CommandResult {
    CommandResult {
        command_id: id.clone(),
        ok: false,
        code: Some(code.symbol.to_owned()),
        message: why.to_owned(),
        output: String::new(),
    }
}
