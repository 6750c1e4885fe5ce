//! The one numbered stream of a run's events, and the sinks that read it.
//!
//! Events are numbered and kept in one place; each sink reads them from a thread of its own, at its
//! own pace, so none can hold up the install. A sink that falls more than [`KEPT`] events behind is
//! told how many it missed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aami_model::run::{RunEvent, RunEventKind};

use crate::checkpoint::Act;
use crate::host::{Clock, Host};
use crate::path::HostPath;

/// How many events are kept for slow sinks and for the log. A bootstrap has about a hundred.
pub const KEPT: usize = 8192;

/// Somebody who wants to see a run's events.
pub trait Sink: Send {
    /// The next event.
    fn event(&mut self, event: &RunEvent);

    /// This many events were lost to this sink, because it is too slow.
    fn missed(&mut self, _events: u64) {}
}

impl<F: FnMut(&RunEvent) + Send> Sink for F {
    fn event(&mut self, event: &RunEvent) {
        self(event);
    }
}

/// A log larger than this is set aside as `log.1` before a run adds to it.
const LOG_LIMIT: u64 = 4 << 20;

#[derive(Default)]
struct Inner {
    kept: VecDeque<Arc<RunEvent>>,
    /// The number of the newest event; 0 before the first.
    last: u64,
    closed: bool,
    reading: usize,
    log: Option<File>,
}

/// The stream of one run.
pub(crate) struct Stream {
    inner: Arc<(Mutex<Inner>, Condvar)>,
    clock: Arc<dyn Clock>,
}

fn locked(inner: &(Mutex<Inner>, Condvar)) -> MutexGuard<'_, Inner> {
    inner.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// A stream with a thread for each of `sinks`.
    pub(crate) fn new(clock: Arc<dyn Clock>, sinks: Vec<Box<dyn Sink>>) -> Self {
        let inner = Arc::new((Mutex::new(Inner::default()), Condvar::new()));
        locked(&inner).reading = sinks.len();
        for sink in sinks {
            let inner = inner.clone();
            std::thread::spawn(move || {
                let _done = Done(&inner);
                read(&inner, sink);
            });
        }
        Self { inner, clock }
    }

    /// Adds an event.
    pub(crate) fn emit(&self, host: &Host, kind: RunEventKind) {
        let mut inner = locked(&self.inner);
        inner.last += 1;
        let event = Arc::new(RunEvent {
            seq: inner.last,
            at: self.clock.now(),
            kind,
        });
        append(host, &mut inner.log, std::slice::from_ref(&event));
        inner.kept.push_back(event);
        if inner.kept.len() > KEPT {
            inner.kept.pop_front();
        }
        self.inner.1.notify_all();
    }

    /// From now on every event also goes to the log at `path`, after those so far. That the log
    /// cannot be written never fails a run.
    pub(crate) fn log_to(&self, host: &Host, path: &HostPath) {
        let root = &host.root;
        let mut inner = locked(&self.inner);
        if inner.log.is_some() {
            return;
        }
        let size = root
            .open_file(path)
            .ok()
            .flatten()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |meta| meta.len());
        if size > LOG_LIMIT {
            let old = path.beside("", ".1");
            let _ = root.remove(&old).and_then(|()| root.set_aside(path, &old));
        }
        inner.log = root.open_append(path).ok();
        let so_far: Vec<_> = inner.kept.iter().cloned().collect();
        append(host, &mut inner.log, &so_far);
    }

    /// Ends the stream and waits for the sinks to read the rest, at most this long.
    pub(crate) fn close(&self, patience: Duration) {
        let mut inner = locked(&self.inner);
        inner.closed = true;
        inner.log = None;
        self.inner.1.notify_all();
        let waited = self
            .inner
            .1
            .wait_timeout_while(inner, patience, |inner| inner.reading > 0);
        drop(waited);
    }
}

/// Notes that a sink is through, also when it panicked.
struct Done<'a>(&'a (Mutex<Inner>, Condvar));

impl Drop for Done<'_> {
    fn drop(&mut self) {
        locked(self.0).reading -= 1;
        self.0.1.notify_all();
    }
}

fn read(inner: &(Mutex<Inner>, Condvar), mut sink: Box<dyn Sink>) {
    let mut seen = 0;
    loop {
        let mut now = locked(inner);
        while now.last == seen && !now.closed {
            now = inner.1.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        let oldest = now.kept.front().map_or(0, |event| event.seq);
        let missed = oldest.saturating_sub(seen + 1);
        let fresh: Vec<_> = now
            .kept
            .iter()
            .filter(|event| event.seq > seen)
            .cloned()
            .collect();
        let closed = now.closed;
        drop(now);
        if missed > 0 {
            sink.missed(missed);
        }
        for event in &fresh {
            sink.event(event);
            seen = event.seq;
        }
        if closed && fresh.is_empty() {
            return;
        }
    }
}

fn append(host: &Host, log: &mut Option<File>, events: &[Arc<RunEvent>]) {
    let Some(file) = log else { return };
    let mut lines = Vec::new();
    for event in events {
        if serde_json::to_writer(&mut lines, event.as_ref()).is_ok() {
            lines.push(b'\n');
        }
    }
    if host.root.checkpoint(Act::Append, "log").is_err() || file.write_all(&lines).is_err() {
        *log = None;
    }
}
