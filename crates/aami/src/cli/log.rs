//! Structured logs of the processes that stay: the control plane's, on standard error.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use aami_install::render::Colour;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::output::Colours;
use super::secret::written;
use super::surroundings::Surroundings;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Adds log lines to a file from now on, as JSON.
pub(crate) fn start_in_file(path: &Path, surroundings: &Surroundings) -> Result<(), Failure> {
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(written(path))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter(surroundings, "info")?)
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_target(false);
    // Set twice in one process, the first stands; only tests do that.
    let _ = logs.json().flatten_event(true).try_init();
    Ok(())
}

fn filter(surroundings: &Surroundings, usual: &str) -> Result<EnvFilter, Failure> {
    let wanted = surroundings.log.as_deref().unwrap_or(usual);
    EnvFilter::try_new(wanted)
        .map_err(|error| Failure::invalid(format!("AAMI_LOG={wanted:?} cannot be used: {error}")))
}

/// Sends log lines to standard error from now on. `AAMI_LOG` says which; `usual` where it does not.
pub(crate) fn start(
    form: Option<LogForm>,
    colours: &Colours,
    surroundings: &Surroundings,
    usual: &str,
) -> Result<(), Failure> {
    let filter = filter(surroundings, usual)?;
    let person = io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours.where_shown(surroundings, person) == Colour::Always)
        .with_target(false);
    // Set twice in one process, the first stands; only tests do that.
    let _ = match form {
        Some(LogForm::Text) => logs.try_init(),
        None if person => logs.try_init(),
        Some(LogForm::Json) | None => logs.json().flatten_event(true).try_init(),
    };
    Ok(())
}
