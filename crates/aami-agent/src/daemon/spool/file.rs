//! The spool's file: read as far as it is whole, appended to with a sync, replaced in one move.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aami_api::link::{LARGEST_UP, Up};
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::daemon::replace::replaced;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    spool: String,
    next: u64,
}

/// What stands in a file.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) next: u64,
    pub(super) kept: VecDeque<Kept>,
    /// How much of it is whole.
    pub(super) length: u64,
}

/// A file that was just written.
pub(super) struct Written {
    pub(super) file: File,
    pub(super) kept: VecDeque<Kept>,
    pub(super) length: u64,
}

/// Reads a file up to the first line that is torn; `None` where there is none, or its first line says nothing.
pub(super) fn read(path: &Path) -> io::Result<Option<Found>> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut line = Vec::new();
    let head: Option<Head> = match next_line(&mut reader, &mut line)? {
        true => serde_json::from_slice(&line).ok(),
        false => None,
    };
    let Some(head) = head else { return Ok(None) };
    let mut found = Found {
        id: head.spool,
        next: head.next.max(1),
        kept: VecDeque::new(),
        length: line.len() as u64 + 1,
    };
    while next_line(&mut reader, &mut line)? {
        let Ok(Up::Report(report)) = serde_json::from_slice(&line) else {
            break;
        };
        let last = found.kept.back().map_or(0, |kept: &Kept| kept.seq);
        if report.seq <= last {
            break;
        }
        found.kept.push_back(Kept {
            seq: report.seq,
            offset: found.length,
            length: line.len() as u64,
        });
        found.length += line.len() as u64 + 1;
        found.next = found.next.max(report.seq.saturating_add(1));
    }
    Ok(Some(found))
}

/// The next whole line without its end; none is longer than a frame.
fn next_line(reader: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader.take(LARGEST_UP as u64 + 1).read_until(b'\n', line)?;
    Ok(line.pop() == Some(b'\n'))
}

/// Opens a file to append after `length`; what is behind that was torn.
pub(super) fn for_appending(path: &Path, length: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.set_len(length)?;
    Ok(file)
}

/// Appends a line after `length` and syncs it. A failure leaves the file as long as it was.
pub(super) fn append(file: &mut File, length: u64, seq: u64, line: &str) -> io::Result<Kept> {
    let bytes = [line.as_bytes(), b"\n"].concat();
    let written = file.write_all_at(&bytes, length).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // Where not even that works, the next append writes over it, and a reader stops at a torn line.
        let _ = file.set_len(length);
        return Err(error);
    }
    Ok(Kept {
        seq,
        offset: length,
        length: line.len() as u64,
    })
}

/// One line.
pub(super) fn line(file: &File, kept: Kept) -> io::Result<String> {
    let mut bytes = vec![0; usize::try_from(kept.length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, kept.offset)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Replaces the file by one with `first` and the lines of `kept`, which stand in `old`.
pub(super) fn replace(
    path: &Path,
    id: &str,
    next: u64,
    first: Option<(u64, String)>,
    old: &File,
    kept: &VecDeque<Kept>,
) -> io::Result<Written> {
    let mut now = VecDeque::with_capacity(kept.len() + 1);
    let head = Head {
        spool: id.to_owned(),
        next,
    };
    let head = serde_json::to_string(&head).map_err(io::Error::other)?;
    let mut length = head.len() as u64 + 1;
    let file = replaced(path, |writer| {
        writeln!(writer, "{head}")?;
        let mut put = |seq: u64, text: &str| -> io::Result<()> {
            writeln!(writer, "{text}")?;
            now.push_back(Kept {
                seq,
                offset: length,
                length: text.len() as u64,
            });
            length += text.len() as u64 + 1;
            Ok(())
        };
        if let Some((seq, text)) = first {
            put(seq, &text)?;
        }
        for kept in kept {
            put(kept.seq, &line(old, *kept)?)?;
        }
        Ok(())
    })?;
    Ok(Written {
        file,
        kept: now,
        length,
    })
}
