//! The file on this side of a transfer: a part that grows, and the whole it becomes once judged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aami_install::PART;
use sha2::{Digest as _, Sha256};

use super::{DownloadError, Progress, Verified, Wanted, recognise};
use crate::components::Sha256Sum;

/// A file on its way: what is here of it, and the sum so far.
pub(super) struct Transfer<'a> {
    file: File,
    path: &'a Path,
    wanted: &'a Wanted<'a>,
    pub(super) size: u64,
    sum: Sha256,
    /// The first bytes, until they were judged.
    start: Option<Vec<u8>>,
}

impl<'a> Transfer<'a> {
    pub(super) fn open(path: &'a Path, wanted: &'a Wanted<'a>) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut sum = Sha256::new();
        let size = absorb(&mut file, &mut sum)?;
        let mut transfer = Self {
            file,
            path,
            wanted,
            size,
            sum,
            start: (size == 0).then(Vec::new),
        };
        if size > wanted.largest {
            transfer.restart()?;
        }
        Ok(transfer)
    }

    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.size = 0;
        self.sum = Sha256::new();
        self.start = Some(Vec::new());
        Ok(())
    }

    pub(super) fn receive(
        &mut self,
        mut from: impl io::Read,
        total: Option<u64>,
        url: &str,
        progress: Progress<'_>,
    ) -> Result<(), DownloadError> {
        let mut buffer = vec![0_u8; 128 * 1024];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broke_off(url, total, error.to_string())),
            };
            if self.size + n as u64 > self.wanted.largest {
                let _ = self.restart();
                return Err(DownloadError::TooLarge {
                    url: url.to_owned(),
                    largest: self.wanted.largest,
                });
            }
            self.judge_start(&buffer[..n], false, url)?;
            self.file
                .write_all(&buffer[..n])
                .map_err(|source| DownloadError::Storage {
                    path: self.path.to_owned(),
                    source,
                })?;
            self.sum.update(&buffer[..n]);
            self.size += n as u64;
            if progress(self.size, total).is_break() {
                return Err(DownloadError::CalledOff);
            }
        }
        self.judge_start(&[], true, url)?;
        if total.is_some_and(|total| self.size < total) {
            return Err(self.broke_off(url, total, "the connection was closed".to_owned()));
        }
        Ok(())
    }

    /// Judges the first bytes once there are enough of them, or no more will come.
    fn judge_start(&mut self, more: &[u8], is_end: bool, url: &str) -> Result<(), DownloadError> {
        let Some(start) = &mut self.start else {
            return Ok(());
        };
        let missing = recognise::ENOUGH.saturating_sub(start.len());
        start.extend_from_slice(&more[..more.len().min(missing)]);
        if start.len() < recognise::ENOUGH && !is_end {
            return Ok(());
        }
        let judged = recognise::judge(start, self.wanted.format, url);
        self.start = None;
        if judged.is_err() {
            let _ = self.restart();
        }
        judged
    }

    fn broke_off(&self, url: &str, of: Option<u64>, why: String) -> DownloadError {
        DownloadError::BrokeOff {
            url: url.to_owned(),
            got: self.size,
            of,
            why,
        }
    }

    pub(super) fn finish(self) -> io::Result<(Sha256Sum, u64)> {
        self.file.sync_all()?;
        Ok((Sha256Sum(self.sum.finalize().into()), self.size))
    }
}

/// The two names a file has in the folder: while it is a part, and once it is whole and judged.
pub(super) struct Partial {
    pub(super) partial: PathBuf,
    whole: PathBuf,
    sha256: Sha256Sum,
}

impl Partial {
    pub(super) fn at(folder: &Path, sha256: Sha256Sum) -> Self {
        Self {
            partial: folder.join(format!("{sha256}{PART}")),
            whole: folder.join(sha256.to_string()),
            sha256,
        }
    }

    pub(super) fn len(&self) -> u64 {
        fs::metadata(&self.partial).map_or(0, |data| data.len())
    }

    /// The whole file of an earlier call, judged again.
    pub(super) fn whole(&self) -> Option<Verified> {
        let (actual, size) = sum_of(&self.whole).ok()?;
        if actual != self.sha256 {
            let _ = fs::remove_file(&self.whole);
            return None;
        }
        Some(Verified {
            path: self.whole.clone(),
            size,
            sha256: actual,
        })
    }

    /// Keeps the part as the whole, provided that it has the sum; otherwise it is removed.
    pub(super) fn keep(&self, origin: &str, actual: Sha256Sum, size: u64) -> Result<Verified, DownloadError> {
        if actual != self.sha256 {
            let _ = fs::remove_file(&self.partial);
            return Err(DownloadError::Checksum {
                origin: origin.to_owned(),
                expected: self.sha256,
                actual,
            });
        }
        fs::rename(&self.partial, &self.whole).map_err(|source| DownloadError::Storage {
            path: self.whole.clone(),
            source,
        })?;
        Ok(Verified {
            path: self.whole.clone(),
            size,
            sha256: actual,
        })
    }
}

/// The sum and size of a file.
pub(super) fn sum_of(path: &Path) -> io::Result<(Sha256Sum, u64)> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let size = absorb(&mut file, &mut sum)?;
    Ok((Sha256Sum(sum.finalize().into()), size))
}

fn absorb(file: &mut File, sum: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0_u8; 128 * 1024];
    let mut size = 0_u64;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            n => {
                sum.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}
