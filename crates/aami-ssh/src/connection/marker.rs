//! Finds where a command's own output begins, behind what start files of the login shell print.

use bytes::Bytes;

/// How much of what comes before is kept, to be able to say what it was.
const KEPT: usize = 1024;

/// Reads a stream up to a line `MARKER[ REST]`, and lets everything behind it through.
#[derive(Debug)]
pub(super) struct Finder {
    marker: Vec<u8>,
    /// The current line, as far as it may still hold the marker.
    line: Vec<u8>,
    /// The beginning of what came before.
    noise: Vec<u8>,
    /// The end of it.
    latest: Vec<u8>,
    found: bool,
}

/// A marker's line can be no longer than this behind the marker itself.
const REST: usize = 64;

/// What a piece of a stream held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing of the command's yet.
    Noise,
    /// The marker, with what stands behind it in its line; and the first of the command's output.
    Begins(String, Bytes),
    /// The command's.
    Output(Bytes),
}

impl Finder {
    pub(super) fn new(marker: &str) -> Self {
        Self {
            marker: marker.as_bytes().to_vec(),
            line: Vec::new(),
            noise: Vec::new(),
            latest: Vec::new(),
            found: false,
        }
    }

    pub(super) const fn found(&self) -> bool {
        self.found
    }

    /// What came before the marker, shortened.
    pub(super) fn noise(&self) -> &[u8] {
        &self.noise
    }

    /// The end of what came before the marker.
    pub(super) fn latest(&self) -> &[u8] {
        &self.latest
    }

    /// What is looked for.
    pub(super) fn marker(&self) -> &[u8] {
        &self.marker
    }

    /// Takes a piece of the stream.
    pub(super) fn feed(&mut self, data: Bytes) -> Piece {
        if self.found {
            return Piece::Output(data);
        }
        for (at, byte) in data.iter().enumerate() {
            if *byte != b'\n' {
                self.line.push(*byte);
                self.shorten();
                continue;
            }
            if let Some(rest) = self.rest() {
                self.found = true;
                self.line = Vec::new();
                return Piece::Begins(rest, data.slice(at + 1..));
            }
            self.line.push(b'\n');
            let line = std::mem::take(&mut self.line);
            self.keep(&line);
        }
        Piece::Noise
    }

    /// Ends the stream: what is left of the last line is noise as well.
    pub(super) fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.keep(&line);
    }

    /// What stands behind the marker, where the current line is its line.
    fn rest(&self) -> Option<String> {
        let rest = self.line.strip_prefix(self.marker.as_slice())?;
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        match rest.strip_prefix(b" ") {
            Some(rest) => String::from_utf8(rest.to_vec()).ok(),
            None if rest.is_empty() => Some(String::new()),
            None => None,
        }
    }

    /// A line that is longer than the marker's can be is let go, but for its beginning: then it can no longer be
    /// mistaken for it either.
    fn shorten(&mut self) {
        let longest = self.marker.len() + REST;
        if self.line.len() > longest + KEPT {
            let line = std::mem::take(&mut self.line);
            self.keep(&line);
            // A byte that no marker begins with stands for what was let go.
            self.line.push(0);
            self.line.extend_from_slice(&line[line.len() - 1..]);
        }
    }

    fn keep(&mut self, line: &[u8]) {
        let room = KEPT.saturating_sub(self.noise.len()).min(line.len());
        self.noise.extend_from_slice(&line[..room]);
        self.latest
            .extend_from_slice(&line[line.len().saturating_sub(KEPT)..]);
        let over = self.latest.len().saturating_sub(KEPT);
        self.latest.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKER: &str = "AAMI-0123456789abcdef";

    #[test]
    fn noise_is_told_from_output_wherever_the_stream_is_cut() {
        let text = format!("Welcome!\nYou have mail.\n{MARKER} g77\nout\n{MARKER} no\nend");
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            let mut finder = Finder::new(MARKER);
            let (mut begun, mut output) = (None, Vec::new());
            for part in [head, tail] {
                match finder.feed(Bytes::copy_from_slice(part.as_bytes())) {
                    Piece::Noise => {}
                    Piece::Begins(rest, first) => {
                        begun = Some(rest);
                        output.extend_from_slice(&first);
                    }
                    Piece::Output(more) => output.extend_from_slice(&more),
                }
            }
            assert_eq!(begun.as_deref(), Some("g77"), "cut at {cut}");
            assert_eq!(
                output,
                format!("out\n{MARKER} no\nend").as_bytes(),
                "cut at {cut}"
            );
            assert_eq!(finder.noise(), b"Welcome!\nYou have mail.\n");
        }
    }

    #[test]
    fn a_marker_that_is_quoted_in_a_line_is_none() {
        let mut finder = Finder::new(MARKER);
        let text = format!("+ sh -c {MARKER} g1\n{MARKER}x\n");
        assert_eq!(finder.feed(Bytes::from(text)), Piece::Noise);
        assert!(!finder.found());
    }

    #[test]
    fn noise_without_end_costs_nothing() {
        let mut finder = Finder::new(MARKER);
        for _ in 0..1000 {
            assert_eq!(finder.feed(Bytes::from(vec![b'x'; 10_000])), Piece::Noise);
        }
        assert!(finder.noise().len() <= KEPT);
        assert!(finder.line.capacity() < 64 * 1024);
        let begins = finder.feed(Bytes::from(format!("\n{MARKER} g1\nhello")));
        assert_eq!(
            begins,
            Piece::Begins("g1".to_owned(), Bytes::from_static(b"hello"))
        );
    }

    proptest! {
        #[test]
        fn nothing_a_stranger_sends_panics(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..20)) {
            let mut finder = Finder::new(MARKER);
            for part in parts {
                let _ = finder.feed(Bytes::from(part));
            }
            finder.end();
        }
    }
}
