//! How an installation is shown: JSON lines for programs, the boxed screen for a person at a terminal, plain
//! lines for everything else.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use aami_install::render::{self, Colour, Progress};
use aami_install::{Installer, Sink};
use aami_model::run::RunEvent;
use serde::Serialize;
use serde_json::json;

pub(super) use crate::cli::signals::cancel_on_signals;
use crate::cli::table::harmless;

/// How events are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) json: bool,
    pub(super) verbose: bool,
    /// Only what went wrong; what there is afterwards is said by whoever installed it.
    pub(super) quiet: bool,
    pub(super) colour: Colour,
}

/// One line on standard output. A closed pipe ends nothing: whoever read it has what they wanted.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line on standard error.
pub(super) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
}

/// One line of JSON on standard output.
pub(super) fn json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        line(&text);
    }
}

/// Whether a person reads standard output.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Something a person should know that stops nothing.
pub(super) fn warn(sentence: &str, is_json: bool) {
    if is_json {
        json(&json!({ "type": "warning", "message": sentence }));
    } else {
        aside(&format!("warning: {sentence}"));
    }
}

/// Adds the reader that fits whoever reads; `summary` is what stands on the screen at the end.
pub(super) fn attach<'a>(
    installer: Installer<'a>,
    title: &str,
    how: How,
    summary: impl Fn() -> Vec<String> + Send + 'static,
) -> Installer<'a> {
    if how.json {
        return installer.sink(|event: &RunEvent| line(&render::json(event)));
    }
    if how.quiet {
        return installer;
    }
    if how.verbose || !is_terminal() {
        let mut progress = Progress::new();
        return installer.sink(move |event: &RunEvent| {
            progress.take(event);
            if let Some(text) = render::plain(&progress, event) {
                line(&text);
            }
        });
    }
    installer.sink(Live {
        progress: Progress::new(),
        title: title.to_owned(),
        summary: Box::new(summary),
        colour: how.colour,
        shown: 0,
    })
}

/// The screen that is drawn again over itself with every event.
struct Live {
    progress: Progress,
    title: String,
    summary: Box<dyn Fn() -> Vec<String> + Send>,
    colour: Colour,
    /// How many lines of it stand on the terminal now.
    shown: usize,
}

impl Sink for Live {
    fn event(&mut self, event: &RunEvent) {
        self.progress.take(event);
        let summary = match self.progress.ended {
            Some(_) => (self.summary)(),
            None => Vec::new(),
        };
        // A terminal that does not say its size has the one that all of them once had.
        let size = rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .filter(|size| size.ws_row > 0 && size.ws_col > 0);
        let (rows, columns) = size.map_or((24_usize, 80_usize), |size| {
            (size.ws_row.into(), size.ws_col.into())
        });
        let text = render::screen(&self.progress, &self.title, &summary, columns, self.colour);
        let lines: Vec<&str> = text.lines().collect();
        // What does not fit on the terminal could not be drawn over; the end shows all of it.
        let fits = if self.progress.ended.is_some() {
            lines.len()
        } else {
            rows.saturating_sub(1).max(1)
        };
        let visible = &lines[lines.len().saturating_sub(fits)..];
        let mut screen = String::new();
        if self.shown > 0 {
            // Up to where the last one began, and clear from there (ECMA-48 CUU, ED).
            let _ = write!(screen, "\x1b[{}A\x1b[J", self.shown);
        }
        for line in visible {
            screen.push_str(line);
            screen.push('\n');
        }
        self.shown = visible.len();
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(screen.as_bytes()).and_then(|()| stdout.flush());
    }
}
