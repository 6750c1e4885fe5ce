//! How a command fails: one sentence, a hint, a code; the code says how the program ends.

use std::fmt;

use aami_api::client::ClientError;
use aami_install::{InstallError, StepError};
use aami_inventory::InventoryError;
use aami_model::{Code, code};
use aami_plans::node::NodePlanError;
use aami_plans::node::check::CheckRoundError;
use aami_plans::preflight::command::PreflightError;
use aami_plans::telemetry::TelemetryError;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The condition.
    pub(crate) code: Code,
    /// What happened, in one sentence.
    pub(crate) sentence: String,
    /// What to do next.
    pub(crate) hint: String,
}

impl Failure {
    /// A condition with a sentence of its own.
    pub(crate) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            hint: code.hint.to_owned(),
        }
    }

    /// A value on the command line that cannot be used.
    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(code::INVALID, sentence).with_hint("See `aami-agent bootstrap --help`.")
    }

    /// With another hint than the code's.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A file that cannot be read.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(code::INVALID, format!("{}: {error}", path.display())).with_hint("Check its path and mode.")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        match error {
            // The control plane may be newer than this program and know better.
            ClientError::Refused(problem) if !problem.hint.is_empty() => failure.with_hint(problem.hint),
            _ => failure,
        }
    }
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<NodePlanError> for Failure {
    fn from(error: NodePlanError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<CheckRoundError> for Failure {
    fn from(error: CheckRoundError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let hint = error.hint();
        Self::new(error.code(), error.to_string()).with_hint(hint)
    }
}

impl From<PreflightError> for Failure {
    fn from(error: PreflightError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
