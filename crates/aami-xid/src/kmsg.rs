//! Records of `/dev/kmsg`: each read gives one, `priority,sequence,microseconds,flags;text`, with `KEY=value` lines below.
//!
//! [`Record::parse`] takes one apart, [`Follower`] reads them one after the other, across restarts of the program and
//! of the machine.

mod follower;

use std::time::Duration;

pub use follower::{Follower, Next, Position};

/// More of a record's text is not kept; the kernel's own limit is lower.
const LONGEST_TEXT: usize = 8192;
/// More `KEY=value` lines are not kept.
const MOST_PAIRS: usize = 16;
/// The semicolon stands within this many bytes.
const LONGEST_HEADER: usize = 256;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it, as in syslog: 0 is the kernel, and nobody else can be.
    pub facility: u32,
    /// How important the writer thinks it is, 0 to 7.
    pub level: u8,
    /// Its number; they ascend without gaps from the start of the machine.
    pub sequence: u64,
    /// How long after the start of the machine it was written.
    pub since_boot: Duration,
    /// Whether it continues the line of an earlier record.
    pub continues: bool,
    /// What it says. May hold line breaks and control characters.
    pub text: String,
    /// The properties below it, e.g. `DEVICE`.
    pub pairs: Vec<(String, String)>,
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// No semicolon, or nothing like a header before it.
    #[error("a record begins with priority, sequence number, time and flags, and a semicolon")]
    Header,
    /// A part of the header is no number.
    #[error("the {0} of a record is a number")]
    Number(&'static str),
}

impl Record {
    /// The record these bytes are. What follows it is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotARecord> {
        let within = &bytes[..bytes.len().min(LONGEST_HEADER)];
        let end = within
            .iter()
            .position(|byte| *byte == b';')
            .ok_or(NotARecord::Header)?;
        let header = std::str::from_utf8(&bytes[..end]).map_err(|_| NotARecord::Header)?;
        // Newer kernels add fields behind these four.
        let mut fields = header.split(',');
        let mut number = |what| {
            let field = fields.next().ok_or(NotARecord::Header)?;
            // `parse` takes a plus sign as well, the kernel writes none.
            let digits = field.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| field.parse::<u64>().ok())
                .flatten()
                .ok_or(NotARecord::Number(what))
        };
        let priority = number("priority")?;
        let sequence = number("sequence number")?;
        let micros = number("time")?;
        let flags = fields.next().ok_or(NotARecord::Header)?;

        let mut lines = bytes[end + 1..].split(|byte| *byte == b'\n');
        let text = unescaped(lines.next().unwrap_or_default());
        let pairs = lines
            .map_while(|line| line.strip_prefix(b" "))
            .take(MOST_PAIRS)
            .filter_map(pair);
        Ok(Self {
            facility: u32::try_from(priority >> 3).map_err(|_| NotARecord::Number("priority"))?,
            level: (priority & 7) as u8,
            sequence,
            since_boot: Duration::from_micros(micros),
            continues: flags.contains('+'),
            text,
            pairs: pairs.collect(),
        })
    }

    /// Whether the kernel wrote it. A process that writes to `/dev/kmsg` gets another facility, whatever it asks for.
    pub const fn is_of_the_kernel(&self) -> bool {
        self.facility == 0
    }
}

fn pair(line: &[u8]) -> Option<(String, String)> {
    let line = unescaped(line);
    let (key, value) = line.split_once('=')?;
    Some((key.to_owned(), value.to_owned()))
}

/// The text the kernel wrote as `\x0a` where it is not printable; what is no UTF-8 then is replaced.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len().min(LONGEST_TEXT));
    let mut rest = text;
    while let [first, more @ ..] = rest {
        if bytes.len() == LONGEST_TEXT {
            break;
        }
        match escape(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let bytes = b"6,1412,98123411,-,caller=T1;pci 0000:18:00.0: BAR 1: assigned\n SUBSYSTEM=pci\n DEVICE=+pci:0000:18:00.0\n";
        let record = Record::parse(bytes).unwrap();
        assert_eq!((record.facility, record.level, record.sequence), (0, 6, 1412));
        assert_eq!(record.since_boot, Duration::from_micros(98_123_411));
        assert_eq!(record.text, "pci 0000:18:00.0: BAR 1: assigned");
        assert_eq!(
            record.pairs[1],
            ("DEVICE".to_owned(), "+pci:0000:18:00.0".to_owned())
        );
        assert!(record.is_of_the_kernel() && !record.continues);
    }

    #[test]
    fn what_the_kernel_escaped_is_read_as_it_was_written() {
        let text = |body: &str| Record::parse(format!("4,1,1,-;{body}").as_bytes()).unwrap().text;
        assert_eq!(text(r"tab\x09escaped"), "tab\tescaped");
        assert_eq!(text(r"a\x5cx41"), r"a\x41");
        assert_eq!(text(r"\xc3\xa9 \xff \xg0 \x4"), "é \u{fffd} \\xg0 \\x4");
    }

    #[test]
    fn a_process_cannot_pass_for_the_kernel() {
        for (header, of_the_kernel) in [("7,1,1,-", true), ("12,1,1,-", false), ("8,1,1,-", false)] {
            let record = Record::parse(format!("{header};NVRM: x").as_bytes()).unwrap();
            assert_eq!(record.is_of_the_kernel(), of_the_kernel, "{header}");
        }
        assert!(Record::parse(b"4,1,1,+;rest of a line").unwrap().continues);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (bytes, why) in [
            (&b""[..], NotARecord::Header),
            (b";", NotARecord::Number("priority")),
            (b"1,2,3", NotARecord::Header),
            (b"1,2,3;", NotARecord::Header),
            (b"x,2,3,-;", NotARecord::Number("priority")),
            (b"1,+2,3,-;", NotARecord::Number("sequence number")),
            (b"1,2,99999999999999999999,-;", NotARecord::Number("time")),
            (b"18446744073709551615,2,3,-;", NotARecord::Number("priority")),
            (b"\xff,2,3,-;", NotARecord::Header),
        ] {
            assert_eq!(Record::parse(bytes), Err(why), "{bytes:?}");
        }
    }
}
