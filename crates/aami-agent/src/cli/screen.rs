//! What people and programs see. Nothing else in this program prints.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use aami_install::render::{self, Colour, Progress};
use aami_install::{Installer, Sink};
use aami_model::code;
use aami_model::run::RunEvent;
use aami_plans::node::Session;
use clap::error::ErrorKind;
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;

/// The longest line of a complaint that repeats what was typed, in characters.
const LONGEST_LINE: usize = 300;

/// One line on standard output. A closed pipe ends nothing: whoever read it has what they wanted.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line on standard error.
pub(crate) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One line of JSON on standard output.
pub(crate) fn json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        line(&text);
    }
}

/// Whether a person reads standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// How a command failed: sentence, hint, code.
pub(crate) fn complain(failure: &Failure, is_json: bool) {
    let Failure { code, sentence, hint } = failure;
    if is_json {
        json(&json!({
            "type": "error", "code": code.symbol, "id": code.id(), "message": sentence, "hint": hint,
            "exit": code.exit.number(),
        }));
        return;
    }
    aside(&format!(
        "error: {sentence}\n  hint: {hint}\n  code: {} ({})",
        code.symbol,
        code.id()
    ));
}

/// What clap found wrong with a command line, or the help that was asked for. A value that is shown again is whatever
/// somebody passed on: of a long one or one that no terminal should see only the beginning is shown, made harmless.
pub(crate) fn refuse(error: &clap::Error) {
    let plain = error.render().to_string();
    let is_harmless = |line: &str| line.chars().count() <= LONGEST_LINE && !line.contains(char::is_control);
    if !error.use_stderr() || plain.lines().all(is_harmless) {
        // A closed pipe is no reason to say more.
        let _ = error.print();
    } else {
        for line in plain.lines() {
            let shown: String = line
                .chars()
                .filter(|c| !c.is_control())
                .take(LONGEST_LINE)
                .collect();
            aside(&shown);
        }
    }
    // Whoever typed no command at all is shown what there is.
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        aside(&format!(
            "code: {} ({})",
            code::INVALID.symbol,
            code::INVALID.id()
        ));
    }
}

/// Something a person should know that stops nothing.
pub(crate) fn warn(sentence: &str, is_json: bool) {
    if is_json {
        json(&json!({ "type": "warning", "message": sentence }));
    } else {
        aside(&format!("warning: {sentence}"));
    }
}

/// Adds the reader that fits whoever reads: JSON lines for programs, the boxed screen for a person at a
/// terminal, plain lines for everything else and for those who want to see each line.
pub(crate) fn attach<'a>(
    installer: Installer<'a>,
    session: &Arc<Session>,
    title: &str,
    how: How,
) -> Installer<'a> {
    if how.json {
        return installer.sink(|event: &RunEvent| line(&render::json(event)));
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
        session: session.clone(),
        colour: if how.colour { Colour::Always } else { Colour::Never },
        shown: 0,
    })
}

/// How events are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) json: bool,
    pub(crate) verbose: bool,
    pub(crate) colour: bool,
}

/// The screen that is drawn again over itself with every event.
struct Live {
    progress: Progress,
    title: String,
    session: Arc<Session>,
    colour: Colour,
    /// How many lines of it stand on the terminal now.
    shown: usize,
}

impl Sink for Live {
    fn event(&mut self, event: &RunEvent) {
        self.progress.take(event);
        let summary = match self.progress.ended {
            Some(_) => super::bootstrap::summary_lines(&self.session),
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
