//! The colours there are, for what is worth one: how grave something is.

use aami_install::render::Colour;
use aami_model::finding::Severity;

/// What a piece of text is painted in (ECMA-48 SGR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Green,
    Yellow,
    Red,
}

impl Paint {
    /// The colour of what is so grave; none for what is only worth knowing.
    pub(crate) const fn of(severity: Severity) -> Option<Self> {
        match severity {
            Severity::Critical => Some(Self::Red),
            Severity::Warning => Some(Self::Yellow),
            Severity::Info => None,
        }
    }
}

/// The text in its colour, where there are colours.
pub(crate) fn painted(text: &str, paint: Option<Paint>, colour: Colour) -> String {
    let number = match (paint, colour) {
        (None, _) | (_, Colour::Never) => return text.to_owned(),
        (Some(Paint::Red), Colour::Always) => 31,
        (Some(Paint::Green), Colour::Always) => 32,
        (Some(Paint::Yellow), Colour::Always) => 33,
    };
    format!("\x1b[{number}m{text}\x1b[0m")
}
