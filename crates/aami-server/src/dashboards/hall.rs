//! Who is let in, who is here, and who is sent away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aami_api::dashboard::What;
use aami_model::access::Caller;
use aami_model::{Code, code};
use tokio_util::sync::CancellationToken;

use crate::app::Refusal;
use crate::http::Bucket;

/// How many dashboards are held here, and how many of one key.
const MOST: usize = 5_000;
const MOST_OF_ONE: usize = 2_000;
/// How many connections of one key are granted at once, and each second.
const BURST: f64 = 200.0;
const A_SECOND: f64 = 50.0;
/// How many tickets, each of which is kept in the store for half a minute: so one key has at most 500 that open something.
const TICKETS_BURST: f64 = 200.0;
const TICKETS_A_SECOND: f64 = 10.0;
/// How many keys are remembered beyond those that are here.
const MOST_KEYS: usize = 10_000;

/// Why a connection is ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its key is no longer good, or sees something else now.
    Revoked,
    /// The control plane stops.
    Draining {
        /// Over how many seconds to spread the return.
        spread_seconds: u32,
    },
    /// It says more than it may.
    Flooding,
    /// It says what is no frame.
    Malformed,
    /// What it says is too large.
    TooLarge,
    /// It does not take what it is sent, or does not answer.
    Silent,
}

impl Ending {
    /// The code it counts as.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Revoked => code::UNAUTHENTICATED,
            Self::Draining { .. } => code::SHUTTING_DOWN,
            Self::Flooding => code::RATE_LIMITED,
            Self::Malformed => code::MALFORMED,
            Self::TooLarge => code::TOO_LARGE,
            Self::Silent => code::TIMED_OUT,
        }
    }

    /// What the dashboard is told.
    pub(super) fn what(self) -> What {
        match self {
            Self::Draining { spread_seconds } => What::Drain { spread_seconds },
            Self::Revoked | Self::Flooding | Self::Malformed | Self::TooLarge | Self::Silent => What::Error {
                code: self.code().symbol.to_owned(),
                message: self.code().sentence.to_owned(),
                retry: matches!(self, Self::Silent | Self::Flooding),
            },
        }
    }
}

/// Everybody who is here.
#[derive(Default)]
pub(crate) struct Hall {
    seats: Mutex<Seats>,
    open: AtomicUsize,
    pub(super) closing: CancellationToken,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Arc<Seat>>,
    keys: HashMap<String, Share>,
}

/// What one key has.
struct Share {
    open: usize,
    attempts: Bucket,
    tickets: Bucket,
}

impl Share {
    fn is_idle(&self, now: Instant) -> bool {
        self.open == 0
            && self.attempts.is_full(A_SECOND, BURST, now)
            && self.tickets.is_full(TICKETS_A_SECOND, TICKETS_BURST, now)
    }
}

/// One connection, as the hall sees it.
pub(crate) struct Seat {
    number: u64,
    pub(crate) caller: Caller,
    ending: Mutex<Option<Ending>>,
    /// Cancelled when it is to end.
    pub(super) over: CancellationToken,
}

impl Seat {
    /// Ends it; the first reason stays.
    pub(super) fn end(&self, ending: Ending) {
        let mut held = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert(ending);
        drop(held);
        self.over.cancel();
    }

    /// Why it is to end, if it is.
    pub(super) fn ended(&self) -> Option<Ending> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is taken, for as long as this is held; dropped after everything else that its task holds.
pub(crate) struct Seated {
    pub(super) seat: Arc<Seat>,
    hall: Arc<Hall>,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.hall.leave(&self.seat);
    }
}

impl Hall {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are here.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Whether a key may ask for one more ticket at this moment.
    pub(crate) fn may_ask(&self, caller: &Caller) -> Result<(), Refusal> {
        self.take(caller, |share, now| {
            share.tickets.take(TICKETS_A_SECOND, TICKETS_BURST, now)
        })
    }

    /// Whether a key may open one more connection at this moment.
    fn may_try(&self, caller: &Caller) -> Result<(), Refusal> {
        self.take(caller, |share, now| share.attempts.take(A_SECOND, BURST, now))
    }

    fn take(
        &self,
        caller: &Caller,
        one: impl FnOnce(&mut Share, Instant) -> Result<(), Duration>,
    ) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut seats = self.seats();
        if seats.keys.len() >= MOST_KEYS {
            seats.keys.retain(|_, share| !share.is_idle(now));
        }
        let share = seats.keys.entry(caller.id.clone()).or_insert_with(|| Share {
            open: 0,
            attempts: Bucket::full(BURST, now),
            tickets: Bucket::full(TICKETS_BURST, now),
        });
        one(share, now).map_err(|after| Refusal::plain(code::RATE_LIMITED).with_retry_after(after))
    }

    /// Gives a caller a seat, where there is one.
    pub(crate) fn enter(self: &Arc<Self>, caller: Caller) -> Result<Seated, Refusal> {
        if self.closing.is_cancelled() {
            return Err(Refusal::plain(code::SHUTTING_DOWN).with_retry_after(Duration::from_secs(1)));
        }
        self.may_try(&caller)?;
        let mut seats = self.seats();
        let of_one = seats.keys.get(&caller.id).map_or(0, |share| share.open);
        if seats.taken.len() >= MOST || of_one >= MOST_OF_ONE {
            return Err(Refusal::new(
                code::RATE_LIMITED,
                "as many dashboards are connected as are held here",
            )
            .with_retry_after(Duration::from_secs(10)));
        }
        seats.next += 1;
        let seat = Arc::new(Seat {
            number: seats.next,
            ending: Mutex::new(None),
            over: CancellationToken::new(),
            caller,
        });
        seats.taken.insert(seat.number, seat.clone());
        if let Some(share) = seats.keys.get_mut(&seat.caller.id) {
            share.open += 1;
        }
        self.open.store(seats.taken.len(), Ordering::Release);
        drop(seats);
        Ok(Seated {
            seat,
            hall: self.clone(),
        })
    }

    fn leave(&self, seat: &Seat) {
        let mut seats = self.seats();
        seats.taken.remove(&seat.number);
        if let Some(share) = seats.keys.get_mut(&seat.caller.id) {
            share.open = share.open.saturating_sub(1);
        }
        self.open.store(seats.taken.len(), Ordering::Release);
    }

    /// Ends the connections of those who may not look any more.
    pub(super) fn judge(&self, still: impl Fn(&Caller) -> bool) {
        for seat in self.seats().taken.values() {
            if !still(&seat.caller) {
                seat.end(Ending::Revoked);
            }
        }
    }

    /// Ends every connection, as a control plane that stops does, and lets nobody in any more.
    pub(super) fn drain(&self, spread_seconds: u32) {
        self.closing.cancel();
        for seat in self.seats().taken.values() {
            seat.end(Ending::Draining { spread_seconds });
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_model::access::Role;

    use super::*;

    fn caller(id: &str) -> Caller {
        Caller {
            id: id.to_owned(),
            role: Some(Role::Viewer),
            ..Caller::system()
        }
    }

    #[test]
    fn one_key_opens_no_more_than_its_share_and_takes_nothing_from_others() {
        let hall = Arc::new(Hall::default());
        let mut held = Vec::new();
        let refused = loop {
            match hall.enter(caller("key:a")) {
                Ok(seated) => held.push(seated),
                Err(refusal) => break refusal,
            }
            assert!(held.len() < 1_000);
        };
        assert_eq!(refused.code, code::RATE_LIMITED);
        assert!(refused.retry_after.is_some());
        assert!(held.len() >= 200 && hall.open() == held.len());
        let other = hall.enter(caller("key:b")).unwrap();
        held.clear();
        assert_eq!(hall.open(), 1);
        drop(other);
        assert_eq!(hall.open(), 0);
    }

    #[test]
    fn one_key_gets_tickets_for_its_share_and_they_cost_it_no_connection() {
        let hall = Arc::new(Hall::default());
        let begun = Instant::now();
        let mut granted = 0;
        let refusal = loop {
            match hall.may_ask(&caller("key:a")) {
                Ok(()) => granted += 1,
                Err(refusal) => break refusal,
            }
            let most = 200.0 + 10.0 * begun.elapsed().as_secs_f64();
            assert!(f64::from(granted) <= most, "{granted} in {:?}", begun.elapsed());
        };
        assert_eq!(refusal.code, code::RATE_LIMITED);
        assert!(refusal.retry_after.is_some() && granted >= 200);
        hall.may_ask(&caller("key:b")).unwrap();
        hall.enter(caller("key:a")).unwrap();
    }

    #[test]
    fn those_whose_key_is_gone_are_sent_away_and_a_stop_sends_all() {
        let hall = Arc::new(Hall::default());
        let enter = |id: &str| hall.enter(caller(id)).unwrap();
        let (a, b) = (enter("key:a"), enter("key:b"));
        hall.judge(|caller| caller.id == "key:b");
        assert_eq!((a.seat.ended(), b.seat.ended()), (Some(Ending::Revoked), None));
        hall.drain(7);
        assert_eq!(a.seat.ended(), Some(Ending::Revoked), "the first reason stays");
        assert_eq!(b.seat.ended(), Some(Ending::Draining { spread_seconds: 7 }));
        let late = hall.enter(caller("key:c"));
        assert_eq!(late.err().map(|refusal| refusal.code), Some(code::SHUTTING_DOWN));
    }
}
