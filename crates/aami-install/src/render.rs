//! A run's events as text: the boxed screen for a terminal, plain lines, JSON lines, metrics.
//!
//! Four renderings of one stream. Pure: events in, texts out; the binaries print.

mod metrics;
mod plain;
mod progress;
mod screen;
mod text;

pub use metrics::{Family, Origin, Sample, exposition, families, samples, samples_of_state};
pub use plain::plain;
pub use progress::{Line, Progress, Stage, StepView};
pub use screen::screen;

use aami_model::run::RunEvent;

/// Whether terminal colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Yes.
    Always,
    /// No: not a terminal, or `NO_COLOR` is set.
    Never,
}

/// The event as one line of JSON, without the line end.
pub fn json(event: &RunEvent) -> String {
    serde_json::to_string(event).unwrap_or_default()
}
