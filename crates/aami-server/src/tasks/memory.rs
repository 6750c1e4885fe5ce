//! Memory that nobody uses any more goes back to the system.
//!
//! The allocator (mimalloc 3) has two habits that keep what a storm needed, or a whole fleet that said much at once.
//! What one thread asked for and another let go of is found to be free only when the first collects, which it does once in
//! 10,000 requests for more than a kilobyte; and a page that is free is marked, and returned a second later, but only
//! when another page is let go of. Heartbeats do neither. So every few seconds each worker makes so many requests, and
//! then there is a page to let go of. It takes a few milliseconds; with another allocator it does nothing else.

use std::hint::black_box;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Requests that make a thread collect, in pieces between which others have their turn.
const PIECES: usize = 10;
const A_PIECE: usize = 1_020;
/// More than what is handed out without looking further.
const MEDIUM: usize = 2 * 1024;
/// More than pages hold that are kept ready for the next of their size. It is never written to, so it takes nothing.
const LARGE: usize = 1024 * 1024;

/// Has every worker collect what is free, and the allocator return it.
pub(super) async fn give_back() {
    let mut collecting = JoinSet::new();
    // Twice as many as there are workers: nobody can say which of them takes one up.
    for _ in 0..Handle::current().metrics().num_workers() * 2 {
        collecting.spawn(async {
            for _ in 0..PIECES {
                (0..A_PIECE).for_each(|_| ask_for(MEDIUM));
                tokio::task::yield_now().await;
            }
        });
    }
    while collecting.join_next().await.is_some() {}
    ask_for(LARGE);
}

fn ask_for(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes)));
}
