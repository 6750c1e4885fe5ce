//! What a host said, as far as it is kept: its beginning and its end, within what one host and all together may take.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::digest::{Context, SHA256};

/// Bytes that all hosts together may still keep.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes as many as there are, at most `wanted`.
    fn take(&self, wanted: usize) -> usize {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left - left.min(wanted))
        });
        taken.unwrap_or_else(|left| left).min(wanted)
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The beginning and the end of a stream.
pub(super) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Whether anything came after `head`.
    closed: bool,
    total: u64,
    /// Over all of it, so that streams which differ in what is left out are told apart.
    digest: Context,
    /// How much of the beginning is kept, and as much of the end.
    half: usize,
    budget: Budget,
}

impl Kept {
    pub(super) fn new(most: usize, budget: Budget) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            closed: false,
            total: 0,
            digest: Context::new(&SHA256),
            half: most / 2,
            budget,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        self.digest.update(bytes);
        let mut rest = bytes;
        if !self.closed {
            let wanted = rest.len().min(self.half - self.head.len());
            let room = self.budget.take(wanted);
            let (begin, after) = rest.split_at(room);
            self.head.extend_from_slice(begin);
            self.closed = !after.is_empty();
            rest = after;
        }
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let wanted = rest.len().min(self.half - self.tail.len());
        let room = self.tail.len() + self.budget.take(wanted);
        let rest = &rest[rest.len().saturating_sub(room)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(room);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// Hands over what is kept; nothing is kept from now on.
    pub(super) fn taken(&mut self) -> Self {
        let nothing = Self::new(0, self.budget.clone());
        std::mem::replace(self, nothing)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.budget.give(self.size());
        self.head = Vec::new();
        self.tail = VecDeque::new();
        (self.closed, self.total) = (false, 0);
        self.digest = Context::new(&SHA256);
    }

    fn size(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// As a text; what is left out is told where it was.
    fn text(&self) -> (String, u64) {
        let left_out = self.total - self.size() as u64;
        let mut bytes = self.head.clone();
        if left_out > 0 {
            if bytes.last().is_some_and(|byte| *byte != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(format!("[{left_out} bytes left out]\n").as_bytes());
        }
        bytes.extend(&self.tail);
        (String::from_utf8_lossy(&bytes).into_owned(), left_out)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A text a host said. The same text of many hosts is there once.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// What is kept of it. Bytes that are no UTF-8 are replaced.
    pub text: Arc<str>,
    /// How many bytes are missing from its middle.
    pub left_out: u64,
    pub(super) digest: Digest,
}

impl Text {
    pub(super) fn nothing() -> Self {
        Self {
            text: Arc::default(),
            left_out: 0,
            digest: [0; 32],
        }
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// SHA-256 of all that was said, that is left out among it.
pub(super) type Digest = [u8; 32];

/// Every text once.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<(Digest, u64), Arc<str>>);

impl Texts {
    /// The text. What it took of the budget comes back if the same one is there already.
    pub(super) fn add(&mut self, mut kept: Kept) -> Text {
        let (text, left_out) = kept.text();
        let mut digest = [0; 32];
        digest.copy_from_slice(kept.digest.clone().finish().as_ref());
        let text = match self.0.get(&(digest, left_out)) {
            Some(known) => Arc::clone(known),
            None => {
                let text: Arc<str> = text.into();
                self.0.insert((digest, left_out), Arc::clone(&text));
                // It stays in memory, so what it took stays taken.
                kept.head = Vec::new();
                kept.tail = VecDeque::new();
                text
            }
        };
        Text {
            text,
            left_out,
            digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(most: usize, pieces: &[&[u8]]) -> (String, u64) {
        let mut kept = Kept::new(most, Budget::new(1_000));
        pieces.iter().for_each(|piece| kept.push(piece));
        kept.text()
    }

    #[test]
    fn little_is_kept_whole_and_much_at_both_ends() {
        assert_eq!(kept(10, &[b"abc", b"def", b"ghij"]), ("abcdefghij".into(), 0));
        assert_eq!(
            kept(10, &[b"abcdefghijk"]),
            ("abcde\n[1 bytes left out]\nghijk".into(), 1)
        );
        assert_eq!(
            kept(4, &[b"a\n", b"bcdef", b"ghijklm"]),
            ("a\n[10 bytes left out]\nlm".into(), 10)
        );
        assert_eq!(kept(0, &[b"abc"]), ("[3 bytes left out]\n".into(), 3));
        assert_eq!(kept(10, &[]), (String::new(), 0));
        assert_eq!(kept(10, &[b"\xff\xfe"]).0, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn all_together_keep_no_more_than_they_may() {
        let budget = Budget::new(100);
        let mut all: Vec<Kept> = (0..50).map(|_| Kept::new(20, budget.clone())).collect();
        for kept in &mut all {
            for _ in 0..100 {
                kept.push(b"0123456789abcdef");
            }
        }
        assert!(all.iter().map(Kept::size).sum::<usize>() <= 100);
        assert_eq!(all[0].text().0, "0123456789\n[1580 bytes left out]\n6789abcdef");
        assert_eq!(all[40].text().0, "[1600 bytes left out]\n");
        all.clear();
        assert_eq!(budget.take(1_000), 100, "all of it came back");
    }

    #[test]
    fn the_same_text_is_there_once() {
        let budget = Budget::new(100);
        let mut texts = Texts::default();
        for _ in 0..1_000 {
            let mut kept = Kept::new(20, budget.clone());
            kept.push(b"Linux");
            let text = texts.add(kept);
            assert_eq!((&*text.text, text.left_out), ("Linux", 0));
        }
        assert_eq!(budget.take(1_000), 95);
    }

    #[test]
    fn what_differs_in_the_part_left_out_is_not_the_same() {
        let mut texts = Texts::default();
        let mut add = |said: &[u8]| {
            let mut kept = Kept::new(4, Budget::new(100));
            kept.push(said);
            texts.add(kept)
        };
        let (one, other) = (add(b"ab1yz"), add(b"ab2yz"));
        assert_eq!(one.text, other.text);
        assert_ne!(one, other);
    }
}
