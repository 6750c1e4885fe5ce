//! Notes nodes while others are still being installed.
//!
//! A fleet of a thousand nodes ends in bursts. Whoever comes while another writes leaves its node and waits; the next
//! one writes for all that are waiting.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use aami_model::code::{self, Code};

use super::targets;
use crate::cli::failure::Failure;
use crate::fleet::{Installed, Introduce, Introduction, Member, Place};

/// A file registers nobody: what was installed is noted here.
pub(super) struct Noting {
    place: Place,
    /// Nodes nobody wrote yet.
    waiting: Mutex<Vec<Installed>>,
    /// Names that are written. Whoever holds it is the one who writes.
    written: Mutex<BTreeSet<String>>,
}

impl Noting {
    pub(super) const fn new(place: Place) -> Self {
        Self {
            place,
            waiting: Mutex::new(Vec::new()),
            written: Mutex::new(BTreeSet::new()),
        }
    }
}

impl Introduce for Noting {
    fn introduce(&self, _: &Member) -> Result<Introduction, (Code, String)> {
        Ok(Introduction::Alone)
    }

    fn ready(&self) -> Result<(), Failure> {
        targets::ready(&self.place)
    }

    fn installed(&self, node: Installed) -> Result<(), (Code, String)> {
        let name = node.name.clone();
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().push(node);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.contains(&name) {
            return Ok(());
        }
        let nodes = std::mem::take(&mut *waiting());
        if let Err(failure) = targets::note(&self.place, &nodes) {
            // Each of them tries for itself, so each of them is told.
            waiting().extend(nodes);
            let mut sentence = failure.to_string();
            if let Some(source) = std::error::Error::source(&failure) {
                sentence = format!("{sentence}: {source}");
            }
            return Err((failure.code().unwrap_or(code::INTERNAL), sentence));
        }
        written.extend(nodes.into_iter().map(|node| node.name));
        Ok(())
    }
}
