//! A page in the text format of Prometheus, read as it comes in: nothing of it stays but what was asked for.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeSet;

/// No line of a sound page is longer.
const LONGEST_LINE: usize = 1024 * 1024;
/// How much of a bad line is shown.
const SHOWN: usize = 80;
/// The series by which node_exporter tells the time of its host.
const TIME: &str = "node_time_seconds";

/// A line that Prometheus would refuse the whole page for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    /// Its number, from 1.
    pub(crate) line: u64,
    /// Its beginning.
    pub(crate) text: String,
}

/// What was seen of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// How many samples.
    pub(crate) samples: u64,
    /// How many of them bear a name that begins as this exporter's do.
    pub(crate) own: u64,
    /// Which of the series that were asked for.
    pub(crate) found: BTreeSet<String>,
    /// The time of the host, in seconds since 1970.
    pub(crate) time: Option<f64>,
    /// The first bad line.
    pub(crate) bad: Option<Bad>,
}

/// Reads a page piece by piece.
pub(crate) struct Reader<'a> {
    wanted: &'a BTreeSet<String>,
    prefix: &'a str,
    seen: Seen,
    line: Vec<u8>,
    number: u64,
}

impl<'a> Reader<'a> {
    /// Looks for these series, and for names that begin so.
    pub(crate) const fn new(wanted: &'a BTreeSet<String>, prefix: &'a str) -> Self {
        Self {
            wanted,
            prefix,
            seen: Seen {
                samples: 0,
                own: 0,
                found: BTreeSet::new(),
                time: None,
                bad: None,
            },
            line: Vec::new(),
            number: 0,
        }
    }

    /// Takes the next piece. Answers whether there is any sense in reading on.
    pub(crate) fn take(&mut self, piece: &[u8]) -> bool {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                self.end_line();
            }
            if self.seen.bad.is_some() {
                return false;
            }
        }
        true
    }

    /// The page is at its end.
    pub(crate) fn end(mut self) -> Seen {
        if !self.line.is_empty() && self.seen.bad.is_none() {
            self.end_line();
        }
        self.seen
    }

    fn end_line(&mut self) {
        self.number += 1;
        let bytes = std::mem::take(&mut self.line);
        let is_too_long = bytes.len() > LONGEST_LINE;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if !is_too_long && (text.is_empty() || text.starts_with('#')) {
            return;
        }
        let Some((name, value)) = sample(text).filter(|_| !is_too_long) else {
            self.seen.bad = Some(Bad {
                line: self.number,
                text: text.chars().filter(|c| !c.is_control()).take(SHOWN).collect(),
            });
            return;
        };
        self.seen.samples += 1;
        if name.starts_with(self.prefix) {
            self.seen.own += 1;
        }
        if name == TIME {
            self.seen.time = Some(value);
        }
        if self.wanted.contains(name) && !self.seen.found.contains(name) {
            self.seen.found.insert(name.to_owned());
        }
    }
}

/// The name and the value of a sample; none where the line is none.
fn sample(line: &str) -> Option<(&str, f64)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = line.find(|c: char| !is_name(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    // Newer ones may put the name between the braces, in quotes.
    if name.starts_with(|c: char| c.is_ascii_digit()) || (name.is_empty() && !rest.starts_with('{')) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('{') {
        Some(labels) => &labels[end_of_labels(labels)?..],
        None => rest,
    };
    let mut words = rest.split_ascii_whitespace();
    let value = number(words.next()?)?;
    // What may follow is a time, or an exemplar.
    let is_time = |word: &str| word.starts_with('#') || word.parse::<f64>().is_ok();
    words.next().is_none_or(is_time).then_some((name, value))
}

fn number(word: &str) -> Option<f64> {
    match word.parse::<f64>() {
        Ok(value) => Some(value),
        Err(_) => word.strip_prefix('+').and_then(|rest| rest.parse().ok()),
    }
}

/// Behind the brace that closes the labels.
fn end_of_labels(labels: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Seen {
        let wanted = BTreeSet::from(["DCGM_FI_DEV_GPU_TEMP".to_owned(), "up".to_owned()]);
        let mut reader = Reader::new(&wanted, "DCGM_FI_");
        for piece in pieces {
            if !reader.take(piece) {
                break;
            }
        }
        reader.end()
    }

    #[test]
    fn a_page_is_read_in_whatever_pieces_it_comes() {
        let page = b"# HELP DCGM_FI_DEV_GPU_TEMP t\n# TYPE DCGM_FI_DEV_GPU_TEMP gauge\n\
                     DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",m=\"a}\\\" \"} 41 1700000000000\n\
                     node_time_seconds 1.7e+09\nx{} NaN\ny +Inf # {a=\"b\"} 1\n\nlast 1";
        let whole = read(&[page]);
        assert_eq!(
            (whole.samples, whole.own, whole.time, whole.bad.clone()),
            (5, 1, Some(1.7e9), None)
        );
        assert_eq!(whole.found.iter().collect::<Vec<_>>(), ["DCGM_FI_DEV_GPU_TEMP"]);
        for at in 0..page.len() {
            assert_eq!(read(&[&page[..at], &page[at..]]), whole, "{at}");
        }
    }

    #[test]
    fn the_first_bad_line_is_named() {
        for (page, line) in [
            ("<html><body>Sign in</body></html>", 1),
            ("up 1\nup one\n", 2),
            ("up 1\n\nup{a=\"b 1\n", 3),
            ("SSH-2.0-OpenSSH_9.2p1\r\n", 1),
            ("1up 1\n", 1),
            ("up\n", 1),
            ("up 1 when\n", 1),
        ] {
            let bad = read(&[page.as_bytes()]).bad;
            assert_eq!(bad.map(|bad| bad.line), Some(line), "{page}");
        }
        // A line without an end does not grow for ever, and control characters go nowhere.
        let long = vec![b'a'; LONGEST_LINE + 2];
        assert!(read(&[&long]).bad.is_some());
        assert_eq!(read(&[b"\x1b[2J\n"]).bad.unwrap().text, "[2J");
    }

    proptest! {
        #[test]
        fn no_page_makes_it_stumble(page in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
            let at = at.min(page.len());
            prop_assert_eq!(read(&[&page]).bad.is_some(), read(&[&page[..at], &page[at..]]).bad.is_some());
        }
    }
}
