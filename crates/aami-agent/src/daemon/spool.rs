//! Reports that the control plane has not kept yet, on disk: they outlive the connection, the process and the
//! machine's power.
//!
//! One file. Its first line names the numbering, each other line is a report as it goes over the wire. A report is
//! appended and synced before anybody counts on it; a line that a power cut tore is dropped when the file is opened.
//! Reports that are kept elsewhere go from the front in memory, and from the file when it is written anew, so the
//! file is bounded: where it would be too long, the oldest reports make room, and one that says how many they were
//! stands at their last number.

mod file;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aami_api::link::{LARGEST_UP, Report, Told, Up};
use aami_model::Timestamp;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In bytes on disk.
    pub(super) bytes: u64,
    /// In number.
    pub(super) reports: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 8 * 1024 * 1024,
            reports: 4096,
        }
    }
}

/// Where one report lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    seq: u64,
    offset: u64,
    /// Without the end of the line.
    length: u64,
}

/// The reports that wait.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    id: String,
    next: u64,
    kept: VecDeque<Kept>,
    /// The file's length.
    length: u64,
    limits: Limits,
}

impl Spool {
    /// Opens the spool at `path`; `fresh` names the numbering where there is none yet or it cannot be read.
    ///
    /// Fails when the file can be neither read nor made.
    pub(super) fn open(path: &Path, limits: Limits, fresh: &str) -> io::Result<Self> {
        let found = file::read(path)?;
        let (id, next, kept, length) = match found {
            Some(found) => (found.id, found.next, found.kept, found.length),
            None => (fresh.to_owned(), 1, VecDeque::new(), 0),
        };
        let mut spool = Self {
            path: path.to_owned(),
            file: File::open("/dev/null")?,
            id,
            next,
            kept,
            length,
            limits,
        };
        if length == 0 {
            spool.write_anew(None)?;
        } else {
            spool.file = file::for_appending(path, length)?;
        }
        Ok(spool)
    }

    /// The name of its numbering.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// How many reports wait.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many bytes they take on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.length + 1).sum()
    }

    /// Keeps a report and answers its number. When this returns, it is on the disk.
    ///
    /// Fails when it is too long for a frame, or when the disk refuses; then nothing has changed.
    pub(super) fn push(&mut self, at: Timestamp, what: Told) -> io::Result<u64> {
        let seq = self.next;
        let line = line_of(seq, at, what)?;
        if line.len() > LARGEST_UP {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the report is longer than a frame may be",
            ));
        }
        self.make_room(line.len() as u64 + 1, at)?;
        let kept = file::append(&mut self.file, self.length, seq, &line)?;
        self.length += kept.length + 1;
        self.kept.push_back(kept);
        self.next = seq + 1;
        Ok(seq)
    }

    /// Forgets the reports up to a number: they are kept elsewhere now.
    pub(super) fn settle(&mut self, received: u64) -> io::Result<()> {
        while self.kept.front().is_some_and(|kept| kept.seq <= received) {
            self.kept.pop_front();
        }
        // A spool that was restored from a copy counts on where the original ended.
        let is_behind = self.next <= received;
        self.next = self.next.max(received.saturating_add(1));
        let dead = self.length.saturating_sub(self.bytes());
        if is_behind || dead > self.limits.bytes / 4 {
            self.write_anew(None)?;
        }
        Ok(())
    }

    /// Whether a report was not kept elsewhere yet.
    pub(super) fn waits(&self, seq: u64) -> bool {
        self.kept.binary_search_by_key(&seq, |kept| kept.seq).is_ok()
    }

    /// The first report after a number, as it goes over the wire.
    pub(super) fn after(&self, seq: u64) -> Option<(u64, io::Result<String>)> {
        let at = self.kept.partition_point(|kept| kept.seq <= seq);
        let kept = self.kept.get(at)?;
        Some((kept.seq, file::line(&self.file, *kept)))
    }

    /// Drops the oldest so that a quarter of the room is free, where there is none.
    fn make_room(&mut self, wanted: u64, at: Timestamp) -> io::Result<()> {
        let Limits { bytes, reports } = self.limits;
        let mut live = self.bytes();
        if self.kept.len() < reports && live + wanted <= bytes {
            if self.length + wanted > bytes * 2 {
                return self.write_anew(None);
            }
            return Ok(());
        }
        let before = self.kept.clone();
        let (mut count, mut last) = (0, None);
        while let Some(oldest) = self.kept.front().copied() {
            if live + wanted <= bytes / 4 * 3 && self.kept.len() < reports / 4 * 3 {
                break;
            }
            count += self.lost_by(oldest);
            live -= oldest.length + 1;
            last = Some(oldest.seq);
            self.kept.pop_front();
        }
        let lost = match last {
            Some(seq) => Some((seq, line_of(seq, at, Told::Lost { count })?)),
            None => None,
        };
        let written = self.write_anew(lost);
        if written.is_err() {
            self.kept = before;
        }
        written
    }

    /// How many reports are lost with this one: itself, or those that it says were.
    fn lost_by(&self, kept: Kept) -> u64 {
        let told = file::line(&self.file, kept).ok();
        match told.and_then(|line| serde_json::from_str(&line).ok()) {
            Some(Up::Report(Report {
                what: Told::Lost { count },
                ..
            })) => count,
            _ => 1,
        }
    }

    /// Writes the file with what waits and nothing else, `first` before it.
    fn write_anew(&mut self, first: Option<(u64, String)>) -> io::Result<()> {
        let written = file::replace(&self.path, &self.id, self.next, first, &self.file, &self.kept)?;
        (self.file, self.kept, self.length) = (written.file, written.kept, written.length);
        Ok(())
    }
}

fn line_of(seq: u64, at: Timestamp, what: Told) -> io::Result<String> {
    serde_json::to_string(&Up::Report(Report { seq, at, what })).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
