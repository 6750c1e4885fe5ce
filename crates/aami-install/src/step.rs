//! Steps: what a plan is made of.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use aami_model::Code;
use aami_model::code;
use aami_model::run::{RunEventKind, StepOutcome};

use crate::cancel::Cancel;
use crate::context::{StepContext, Survey};
use crate::effect::{Effect, EffectError};
use crate::host::Host;
use crate::stream::Stream;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is so already; nothing will be done.
    Holds,
    /// It is not so, and why. Also for steps that look at something in every run.
    Missing(String),
    /// It has no meaning on this host, and why.
    NotApplicable(String),
}

/// One step of a plan.
///
/// Most steps only say what must hold on the host, by [`Step::desired`]; probing, the dry run,
/// applying and resuming follow from that. A step that looks rather than changes overrides
/// [`Step::probe`] and [`Step::apply`].
pub trait Step: Send + Sync {
    /// Stable name, `[a-z0-9_]+`.
    fn id(&self) -> &str;

    /// What people read, e.g. `Installing node_exporter`.
    fn title(&self) -> String;

    /// The ids of the steps that must hold before this one begins. Steps that do not need each
    /// other run at the same time.
    fn needs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Every effect that must hold on this host when the step is done, in the order they are
    /// brought about, whether or not they hold already. Must not change anything.
    fn desired(&self, _survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok(Vec::new())
    }

    /// Is it already so? Must not change anything, and must not assume that the steps it needs hold.
    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        survey.probe(&self.desired(survey)?)
    }

    /// Makes it so. Called only when the probe said [`Probe::Missing`].
    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let effects = self.desired(&context.survey())?;
        context.perform(&effects)
    }
}

/// Why a step did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step's own reason.
    #[error(transparent)]
    Failed(Box<StepFailure>),
    /// An effect could not be brought about.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// The run was called off.
    #[error("the run was called off")]
    Interrupted,
}

/// A step's own reason for not coming to its end.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepFailure {
    /// The condition.
    pub code: Code,
    /// One sentence that names the thing.
    pub message: String,
    /// What to do next, where more is known than the code says.
    pub hint: Option<String>,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StepError {
    /// A failure with this code and sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(StepFailure {
            code,
            message: message.into(),
            hint: None,
            source: None,
        }))
    }

    /// With a hint of its own in place of the code's.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Failed(failure) = &mut self {
            failure.hint = Some(hint.into());
        }
        self
    }

    /// With its cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let Self::Failed(failure) = &mut self {
            failure.source = Some(cause.into());
        }
        self
    }

    /// The condition people are told about.
    pub fn code(&self) -> Code {
        match self {
            Self::Failed(failure) => failure.code,
            Self::Effect(error) => error.code(),
            Self::Interrupted => code::INTERRUPTED,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        let own = match self {
            Self::Failed(failure) | Self::Effect(EffectError::Called(failure)) => failure.hint.clone(),
            _ => None,
        };
        own.unwrap_or_else(|| self.code().hint.to_owned())
    }
}

/// How a step speaks while it works: notes and progress out, "stop" in.
pub struct Voice<'a> {
    host: &'a Host,
    stream: &'a Stream,
    cancel: &'a Cancel,
    step: &'a str,
    said: Mutex<Option<Duration>>,
}

impl<'a> Voice<'a> {
    pub(crate) const fn new(host: &'a Host, stream: &'a Stream, cancel: &'a Cancel, step: &'a str) -> Self {
        Self {
            host,
            stream,
            cancel,
            step,
            said: Mutex::new(None),
        }
    }

    pub(crate) const fn step(&self) -> &'a str {
        self.step
    }

    pub(crate) fn emit(&self, kind: RunEventKind) {
        self.stream.emit(self.host, kind);
    }

    /// One fact worth showing below the step.
    pub fn note(&self, message: impl Into<String>) {
        self.say(message.into(), false);
    }

    /// One fact that should worry the reader.
    pub fn warn(&self, message: impl Into<String>) {
        self.say(message.into(), true);
    }

    fn say(&self, message: String, warning: bool) {
        self.emit(RunEventKind::StepNote {
            step: self.step.to_owned(),
            message,
            warning,
        });
    }

    /// How far a long step is, 0.0 to 1.0. Call it as often as convenient: at most one event a
    /// second leaves.
    pub fn progress(&self, fraction: f64, message: &str) {
        let now = self.host.clock.elapsed();
        let mut said = self
            .said
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.is_some_and(|then| now.saturating_sub(then) < Duration::from_secs(1)) {
            return;
        }
        *said = Some(now);
        drop(said);
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.emit(RunEventKind::StepProgress {
            step: self.step.to_owned(),
            fraction,
            message: message.to_owned(),
        });
    }

    /// Whether the run was called off.
    pub(crate) fn is_called_off(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails with [`StepError::Interrupted`] once the run is called off. Long work asks often.
    pub fn check(&self) -> Result<(), StepError> {
        if self.cancel.is_cancelled() {
            Err(StepError::Interrupted)
        } else {
            Ok(())
        }
    }
}
