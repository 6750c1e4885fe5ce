//! Starts processes that die with the test process.
//!
//! The kernel's parent-death signal is bound to the *thread* that forked: a node started by a helper thread would
//! be killed when that thread ends. So one thread, which lives as long as the process, starts them all.

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

type Order = (Command, SyncSender<std::io::Result<Child>>);

static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();

/// A command that runs `program` and is killed when this process ends, even by `kill -9`.
pub(crate) fn mortal(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Starts a command made by [`mortal`].
pub(crate) fn spawn(command: Command) -> std::io::Result<Child> {
    let keeper = KEEPER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Nobody waiting for the child means that the caller is gone, and so is the test.
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let gone = |_| std::io::Error::other("the thread that starts processes has ended");
    let (reply, answer) = sync_channel(1);
    keeper
        .send((command, reply))
        .map_err(|_| std::io::Error::other("the thread that starts processes has ended"))?;
    answer.recv().map_err(gone)?
}
