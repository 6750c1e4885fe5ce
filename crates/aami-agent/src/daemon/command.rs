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
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use aami_api::link::{CommandResult, Order, Up};
use aami_model::{Code, CommandId, code};
use aami_plans::node::Form;

use super::identity::Identity;
use super::state::Shared;
use journal::{Journal, Known};

/// More commands do not wait.
const MOST_WAITING: usize = 8;

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
    /// Opens the desk, with what it was doing when the last process ended.
    pub(super) fn open(shared: &Arc<Shared>, identity: &Identity) -> Self {
        let journal = Journal::open(&shared.own("commands.json"), |id| {
            failed(id, code::COMMAND_INTERRUPTED, code::COMMAND_INTERRUPTED.sentence)
        });
        let journal = Arc::new(Mutex::new(journal));
        let (orders, taken) = sync_channel(MOST_WAITING);
        let node = Node {
            form: identity.form,
            cluster: identity.cluster.clone(),
            root: shared.root.clone(),
            server: identity.road.server.clone(),
            hostname: identity.hostname.clone(),
        };
        let (shared_too, journal_too) = (shared.clone(), journal.clone());
        let work = move || run(&shared_too, &journal_too, &node, &taken);
        if let Err(error) = thread::Builder::new().name("command".to_owned()).spawn(work) {
            // Every command is refused as one too many.
            shared.say(&format!("commands cannot be taken: {error}"));
        }
        Self {
            shared: shared.clone(),
            journal,
            orders,
        }
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
    while let Ok(order) = orders.recv() {
        shared.say(&format!("command {}: {}", order.command_id, order.command.name()));
        let result = work::done(shared, node, &order);
        if let Err(error) = lock(journal).end(result.clone()) {
            shared.say(&format!(
                "the result of {} cannot be noted: {error}",
                order.command_id
            ));
        }
        shared.tell(Up::Result(result));
    }
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
