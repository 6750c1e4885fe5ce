//! A bundle as it passes: one line on standard error that is drawn over itself, and Ctrl-C in between.

use std::io::Write as _;
use std::ops::ControlFlow;

use aami_install::Cancel;
use aami_plans::bundle::Entry;

use crate::cli::failure::Failure;
use crate::cli::signals::cancel_on_signals;
use crate::cli::table::harmless;

/// Who watches.
pub(crate) struct Watch {
    doing: &'static str,
    shows: bool,
    shown: String,
    cancel: Cancel,
}

impl Watch {
    /// Watches from now on; `shows` says whether a person sees it.
    pub(crate) fn new(doing: &'static str, shows: bool) -> Result<Self, Failure> {
        Ok(Self {
            doing,
            shows,
            shown: String::new(),
            cancel: cancel_on_signals()?,
        })
    }

    /// What reading, placing and writing a bundle tell.
    pub(crate) fn told(&mut self) -> impl FnMut(&Entry, u64, u64) -> ControlFlow<()> {
        |entry, done, all| {
            let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
            self.draw(format!("{} {percent:>3} %  {}", self.doing, entry.path));
            self.go_on()
        }
    }

    /// What a download tells.
    pub(crate) fn downloading(&mut self, what: &str) -> impl FnMut(u64, Option<u64>) -> ControlFlow<()> {
        move |done, all| {
            let percent = all.and_then(|all| done.saturating_mul(100).checked_div(all));
            let percent = percent.map_or_else(String::new, |percent| format!("{percent:>3} %  "));
            self.draw(format!("downloading {percent}{what}"));
            self.go_on()
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn draw(&mut self, line: String) {
        if !self.shows || line == self.shown {
            return;
        }
        // To the beginning of the line, and clear it (ECMA-48 EL). Nobody listens on a closed standard error.
        let _ = write!(std::io::stderr().lock(), "\r\x1b[K{}", harmless(&line));
        self.shown = line;
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if !self.shown.is_empty() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
            self.shown.clear();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}
