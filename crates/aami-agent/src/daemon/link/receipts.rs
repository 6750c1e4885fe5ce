//! Results that were sent, until it is known that the control plane has them.
//!
//! No frame acknowledges a result. But the control plane reads one frame after the other, and reads on only when a
//! result is durable: its answer to a ping that was sent behind a result says that it has it. What a socket has taken
//! says nothing.

use std::collections::VecDeque;

use aami_model::CommandId;

/// More are not followed: they are told again over the next connection.
const MOST: usize = 128;

/// Those of one connection.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// How many pings were sent; each carries its number.
    pings: u64,
    /// Each with the number of the ping behind it.
    sent: VecDeque<(u64, CommandId)>,
}

impl Receipts {
    /// A result was sent.
    pub(super) fn sent(&mut self, id: &CommandId) {
        if self.sent.len() >= MOST {
            self.sent.pop_front();
        }
        self.sent.push_back((self.pings + 1, id.clone()));
    }

    /// Whether the last ping went out before a result that was sent.
    pub(super) fn wants_ping(&self) -> bool {
        self.sent.back().is_some_and(|(ping, _)| *ping > self.pings)
    }

    /// The number of the next ping, which is sent now.
    pub(super) const fn ping(&mut self) -> u64 {
        self.pings += 1;
        self.pings
    }

    /// What the control plane has, once it answered this ping. A number that was never sent says nothing.
    pub(super) fn answered(&mut self, number: u64) -> Vec<CommandId> {
        let known = self
            .sent
            .partition_point(|(ping, _)| number <= self.pings && *ping <= number);
        self.sent.drain(..known).map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CommandId {
        text.parse().unwrap()
    }

    #[test]
    fn a_result_is_there_once_a_ping_behind_it_was_answered() {
        let mut receipts = Receipts::default();
        let before = receipts.ping();
        receipts.sent(&id("c1"));
        assert!(receipts.wants_ping());
        let behind = receipts.ping();
        assert!(!receipts.wants_ping());
        receipts.sent(&id("c2"));
        assert_eq!(receipts.answered(before), []);
        assert_eq!(receipts.answered(behind), [id("c1")]);
        assert_eq!(receipts.answered(behind), []);
        assert_eq!(receipts.answered(u64::MAX), [], "no such ping was sent");
        let last = receipts.ping();
        assert_eq!(receipts.answered(last), [id("c2")]);
    }

    #[test]
    fn those_that_are_followed_are_bounded() {
        let mut receipts = Receipts::default();
        for at in 0..=MOST {
            receipts.sent(&id(&format!("c{at}")));
        }
        let ping = receipts.ping();
        let known = receipts.answered(ping);
        assert_eq!((known.len(), &known[0]), (MOST, &id("c1")));
    }
}
