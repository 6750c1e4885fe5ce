//! What is shown, and where: data on standard output, everything else on standard error.
//!
//! Nothing here decides what to show. Text that came from elsewhere never reaches a terminal with its
//! control characters.

use std::io::{self, IsTerminal as _, Write};

use aami_install::render::Colour;
use aami_model::Timestamp;
use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;
use super::table::{Table, harmless};

/// The form in which data is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// JSON, as the API has it
    Json,
    /// The same as YAML
    Yaml,
}

impl Format {
    /// Whether programs read it.
    pub(crate) const fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// Standard output and standard error.
pub(crate) struct Screen {
    format: Format,
    out: Box<dyn Write>,
    error: Box<dyn Write>,
    on_terminal: bool,
    quiet: bool,
    colour: Colour,
    now: Timestamp,
}

impl Screen {
    /// This process' own.
    pub(crate) fn new(format: Format) -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            format,
            out: Box::new(io::stdout()),
            error: Box::new(io::stderr()),
            on_terminal: io::stdout().is_terminal(),
            quiet: false,
            colour: Colour::Never,
            now: Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Without remarks, where nothing beside the data is wanted.
    pub(crate) fn quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }

    /// With colours, where there are any: see [`super::output`].
    pub(crate) fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    /// Whether what is shown may have colours.
    pub(crate) const fn colour(&self) -> Colour {
        self.colour
    }

    /// Whether remarks are left out.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The form asked for.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether a person reads standard output.
    pub(crate) const fn on_terminal(&self) -> bool {
        self.on_terminal
    }

    /// When this command began.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Shows data: as it is to programs, as `table` to people.
    pub(crate) fn show<T: Serialize + ?Sized>(
        &mut self,
        data: &T,
        table: impl FnOnce(bool) -> Table,
    ) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => table(false).in_colour(self.colour),
            Format::Wide => table(true).in_colour(self.colour),
            Format::Json => to_json(data)?,
            Format::Yaml => to_yaml(data)?,
        };
        self.write(&text)
    }

    /// Shows one thing of a stream: a JSON line or a YAML document to programs, `line` to people.
    pub(crate) fn show_one<T: Serialize + ?Sized>(&mut self, data: &T, line: &str) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table | Format::Wide => format!("{}\n", harmless(line)),
            Format::Json => format!("{}\n", serde_json::to_string(data).map_err(unwritable)?),
            Format::Yaml => format!("---\n{}", to_yaml(data)?),
        };
        self.write(&text)
    }

    /// Writes text as it is to standard output.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Output(error),
        })
    }

    /// Says something beside the data, unless nothing beside it is wanted.
    pub(crate) fn note(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        // Nobody listens on a closed standard error; the data is what counts.
        let _ = writeln!(self.error, "{}", harmless(text));
    }
}

fn to_json<T: Serialize + ?Sized>(data: &T) -> Result<String, Failure> {
    Ok(format!(
        "{}\n",
        serde_json::to_string_pretty(data).map_err(unwritable)?
    ))
}

fn to_yaml<T: Serialize + ?Sized>(data: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(&data).map_err(unwritable)
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Output(io::Error::other(error))
}

/// Tells a failure on standard error.
pub(crate) fn complain(failure: &Failure, format: Format) {
    if !matches!(failure, Failure::Closed) {
        let text = if format == Format::Json {
            complaint_json(failure)
        } else {
            complaint(failure)
        };
        // There is nowhere left to complain about this.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The failure for people.
pub(crate) fn complaint(failure: &Failure) -> String {
    let sentence = failure.to_string();
    let mut text = format!("error: {}\n", harmless(&sentence));
    for place in failure.places() {
        text.push_str(&format!("       {}\n", harmless(place)));
    }
    let mut said = sentence;
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let why = error.to_string();
        if !said.contains(&why) {
            text.push_str(&format!("cause: {}\n", harmless(&why)));
            said = why;
        }
        cause = error.source();
    }
    if let Some(hint) = failure.hint() {
        text.push_str(&format!(" hint: {}\n", harmless(hint)));
    }
    if let Some(code) = failure.code() {
        text.push_str(&format!(
            " code: {id} {symbol} (`aami explain {id}` says more)\n",
            id = code.id(),
            symbol = code.symbol
        ));
    }
    text
}

fn complaint_json(failure: &Failure) -> String {
    let code = failure.code();
    let mut json = serde_json::json!({
        "error": failure.to_string(),
        "code": code.map(|code| code.symbol),
        "id": code.map(|code| code.id()),
        "hint": failure.hint(),
    });
    if !failure.places().is_empty() {
        json["places"] = failure.places().into();
    }
    format!("{json}\n")
}
