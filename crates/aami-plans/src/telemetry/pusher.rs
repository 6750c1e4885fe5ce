//! The thread that tells one destination, at its own pace.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aami_install::Sink;
use aami_install::host::Clock;
use aami_install::render::{Origin, Sample};
use aami_model::run::RunEvent;

use super::Protocol;
use super::queue::Queue;
use super::sending::{Sending, Verdict};
use super::standing::Standing;

/// The most samples in one request.
const BATCH: usize = 500;
/// How long the first sample waits for others to travel with it.
const GATHER: Duration = Duration::from_millis(500);
/// How often a state that lasts is told again: Prometheus looks back five minutes and no further.
const AGAIN: Duration = Duration::from_secs(30);
/// The pause after a first and after many failures.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How many requests one refused batch may become while the samples nobody wants are looked for.
const MOST_REQUESTS: usize = 64;

/// What came of telling one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// How samples were written.
    pub protocol: Protocol,
    /// How many are kept there.
    pub kept: u64,
    /// How many it did not want, for example because they were too old.
    pub unwanted: u64,
    /// How many went because too many waited.
    pub dropped: u64,
    /// How many were still waiting at the end.
    pub left: u64,
    /// What went wrong last, if something did.
    pub trouble: Option<String>,
}

impl Delivered {
    /// Whether a person should hear of it: something was lost that is not merely too old, or nothing arrived.
    pub const fn deserves_a_word(&self) -> bool {
        self.left > 0 || self.dropped > 0 || (self.kept == 0 && self.unwanted > 0)
    }

    /// Whether everything was told.
    pub const fn is_complete(&self) -> bool {
        self.unwanted == 0 && self.dropped == 0 && self.left == 0
    }
}

/// What to tell a person; nothing of it stops anything.
impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.protocol.name();
        let lost = self.unwanted + self.dropped + self.left;
        write!(
            f,
            "{lost} of {} numbers of this run were not told by {name}",
            self.kept + lost
        )?;
        if let Some(trouble) = &self.trouble {
            write!(f, ": {trouble}")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    standing: Standing,
    closed: bool,
    ended: bool,
    /// The destination wants nothing of ours.
    never: bool,
    kept: u64,
    unwanted: u64,
    trouble: Option<String>,
}

struct Shared {
    origin: Origin,
    state: Mutex<State>,
    bell: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &RunEvent) {
        let mut state = self.lock();
        if state.never {
            return;
        }
        for sample in state.standing.take(event, &self.origin) {
            state.queue.add(sample);
        }
        drop(state);
        self.bell.notify_all();
    }
}

/// One destination and the thread that tells it.
pub(super) struct Pusher {
    shared: Arc<Shared>,
    protocol: Protocol,
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Reads a run's events for a pusher. It takes a moment's lock and sends nothing itself.
struct Reader(Arc<Shared>);

impl Sink for Reader {
    fn event(&mut self, event: &RunEvent) {
        self.0.take(event);
    }
}

impl Pusher {
    pub(super) fn start(sending: Sending, origin: Origin, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            origin,
            state: Mutex::default(),
            bell: Condvar::new(),
        });
        let protocol = sending.destination.protocol;
        let worker = shared.clone();
        std::thread::spawn(move || {
            let _ended = Ended(&worker);
            work(&worker, &sending, clock.as_ref());
        });
        Self { shared, protocol }
    }

    pub(super) fn take(&self, event: &RunEvent) {
        self.shared.take(event);
    }

    pub(super) fn sink(&self) -> impl Sink + use<> {
        Reader(self.shared.clone())
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.bell.notify_all();
    }

    /// Waits for the rest to be told, at most so long, and says what came of it. A request that hangs is left
    /// behind: it ends with its own deadline or with this process.
    pub(super) fn finish(self, patience: Duration) -> Delivered {
        self.close();
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .bell
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        Delivered {
            protocol: self.protocol,
            kept: state.kept,
            unwanted: state.unwanted,
            dropped: state.queue.dropped(),
            left: state.queue.len() as u64,
            trouble: state.trouble.clone(),
        }
    }
}

/// Without its owner a pusher ends, too.
impl Drop for Pusher {
    fn drop(&mut self) {
        self.close();
    }
}

/// Notes that the thread is through, also when it panicked.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.bell.notify_all();
    }
}

/// What there is to do next.
enum Next {
    Send(Vec<Sample>, u64),
    End,
}

fn work(shared: &Shared, sending: &Sending, clock: &dyn Clock) {
    let mut pause = Duration::ZERO;
    loop {
        let (batch, dropped) = match next(shared, clock, pause) {
            Next::Send(batch, dropped) => (batch, dropped),
            Next::End => return,
        };
        let told = tell(sending, &batch);
        let mut state = shared.lock();
        state.kept += told.kept;
        state.unwanted += told.unwanted;
        if told.why.is_some() {
            state.trouble = told.why;
        }
        let through = batch.len() - told.later;
        state.queue.take_off(&batch[..through], dropped);
        if told.never {
            state.never = true;
            state.unwanted += state.queue.clear() as u64;
            return;
        }
        pause = match (told.later, told.after) {
            (0, _) => Duration::ZERO,
            (_, Some(after)) => after.min(PAUSES.1),
            (_, None) => (pause * 2).clamp(PAUSES.0, PAUSES.1),
        };
        if state.closed && told.later > 0 && state.queue.len() == 0 {
            return;
        }
    }
}

/// Waits until there is something to tell: after a pause when the last request failed, after a moment in which
/// more may come when it did not, and at once when nothing more comes.
fn next(shared: &Shared, clock: &dyn Clock, pause: Duration) -> Next {
    let begun = Instant::now();
    let mut state = shared.lock();
    let mut first_seen = None;
    loop {
        let now = Instant::now();
        if state.queue.len() == 0 {
            if state.closed {
                return Next::End;
            }
            if state.standing.is_at_work() && now >= begun + AGAIN {
                for sample in state.standing.all(clock.now(), &shared.origin) {
                    state.queue.add(sample);
                }
                continue;
            }
        } else {
            let first = *first_seen.get_or_insert(now);
            // Near the end a failed request is repeated sooner: somebody waits.
            let (pause, gather) = if state.closed {
                (pause.min(PAUSES.0), Duration::ZERO)
            } else {
                (pause, GATHER)
            };
            if now >= begun + pause && now >= first + gather {
                let batch = state.queue.front(BATCH);
                return Next::Send(batch, state.queue.dropped());
            }
        }
        let wait = match first_seen {
            Some(_) => Duration::from_millis(50),
            None => (begun + AGAIN)
                .saturating_duration_since(now)
                .max(Duration::from_millis(50)),
        };
        state = shared
            .bell
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

/// What came of telling one batch.
#[derive(Debug, Default)]
struct Told {
    kept: u64,
    unwanted: u64,
    /// How many of its end have to be told later.
    later: usize,
    never: bool,
    after: Option<Duration>,
    why: Option<String>,
}

/// Tells one batch. Where something in it is not wanted (one sample that is too old spoils a request for
/// Prometheus) it is told in halves, until what is wanted is kept and what is not is known.
fn tell(sending: &Sending, batch: &[Sample]) -> Told {
    let mut told = Told::default();
    let mut parts = vec![batch];
    let mut requests = 0;
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        if requests == MOST_REQUESTS {
            told.unwanted += part.len() as u64;
            continue;
        }
        requests += 1;
        match sending.send(part) {
            Verdict::Kept { left_out, why } => {
                told.unwanted += left_out;
                told.kept += (part.len() as u64).saturating_sub(left_out);
                told.why = why.or(told.why);
            }
            Verdict::Unwanted { why } => {
                told.why = Some(why);
                if part.len() == 1 {
                    told.unwanted += 1;
                } else {
                    // The older half is told first, and so popped first.
                    let (older, younger) = part.split_at(part.len() / 2);
                    parts.extend([younger, older]);
                }
            }
            Verdict::Later { why, after } => {
                told.later = part.len() + parts.iter().map(|part| part.len()).sum::<usize>();
                (told.why, told.after) = (Some(why), after);
                return told;
            }
            Verdict::Never { why } => {
                told.unwanted += (part.len() + parts.iter().map(|part| part.len()).sum::<usize>()) as u64;
                (told.why, told.never) = (Some(why), true);
                return told;
            }
        }
    }
    told
}
