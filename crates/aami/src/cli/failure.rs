//! How a command fails: one sentence, a hint, a code, an exit code.

use std::path::PathBuf;

use aami_api::client::ClientError;
use aami_model::{Code, Exit, code};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The control plane could not be asked, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A condition found here.
    #[error("{sentence}")]
    Found {
        /// The condition.
        code: Code,
        /// What happened, in one sentence.
        sentence: String,
        /// What to do, where the code's own hint says too little.
        hint: Option<String>,
    },
    /// A condition that was found at several places, each of which is told.
    #[error("{sentence}")]
    Listed {
        /// The condition.
        code: Code,
        /// What happened, in one sentence.
        sentence: String,
        /// The places, a line each.
        places: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{} could not be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The generated Prometheus configuration.
    #[error(transparent)]
    Prometheus(#[from] aami_monitor::prometheus::ConfigurationError),
    /// A setting of the control plane.
    #[error(transparent)]
    Config(#[from] aami_server::config::ConfigError),
    /// The control plane did not start.
    #[error(transparent)]
    Start(#[from] aami_server::StartError),
    /// A program that is to be run could not be had.
    #[error(transparent)]
    Obtain(#[from] aami_plans::obtain::ObtainError),
    /// A release folder that is not to be used.
    #[error(transparent)]
    Release(#[from] aami_plans::release::ReleaseError),
    /// A bundle that is not to be used, or cannot be made.
    #[error(transparent)]
    Bundle(Box<aami_plans::bundle::BundleError>),
    /// Where numbers shall go cannot be used.
    #[error(transparent)]
    Telemetry(#[from] aami_plans::telemetry::TelemetryError),
    /// The same, for what was had.
    #[error(transparent)]
    Extract(#[from] aami_plans::extract::ExtractError),
    /// The server's plan cannot be made.
    #[error(transparent)]
    Stack(Box<aami_plans::stack::StackPlanError>),
    /// The server could not be taken back.
    #[error(transparent)]
    TakeBack(Box<aami_plans::stack::uninstall::TakeBackError>),
    /// The preflight came to no result.
    #[error(transparent)]
    Preflight(#[from] aami_plans::preflight::command::PreflightError),
    /// An installation could not begin.
    #[error(transparent)]
    Install(Box<aami_install::InstallError>),
    /// Threads and timers of this process could not be set up.
    #[error("this process could not be set up")]
    Runtime(#[source] std::io::Error),
    /// Standard output was closed; whoever read it has what they wanted.
    #[error("standard output was closed")]
    Closed,
    /// Standard output cannot be written.
    #[error("standard output cannot be written")]
    Output(#[source] std::io::Error),
}

impl From<aami_plans::bundle::BundleError> for Failure {
    fn from(error: aami_plans::bundle::BundleError) -> Self {
        Self::Bundle(Box::new(error))
    }
}

impl From<aami_plans::stack::StackPlanError> for Failure {
    fn from(error: aami_plans::stack::StackPlanError) -> Self {
        Self::Stack(Box::new(error))
    }
}

impl From<aami_plans::stack::uninstall::TakeBackError> for Failure {
    fn from(error: aami_plans::stack::uninstall::TakeBackError) -> Self {
        Self::TakeBack(Box::new(error))
    }
}

impl From<aami_install::InstallError> for Failure {
    fn from(error: aami_install::InstallError) -> Self {
        Self::Install(Box::new(error))
    }
}

impl Failure {
    /// A condition with a sentence of its own.
    pub(crate) fn found(code: Code, sentence: impl Into<String>) -> Self {
        Self::Found {
            code,
            sentence: sentence.into(),
            hint: None,
        }
    }

    /// The same with a hint that says more than the code's.
    pub(crate) fn found_with(code: Code, sentence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Found {
            code,
            sentence: sentence.into(),
            hint: Some(hint.into()),
        }
    }

    /// A word nobody knows, with the known one that is most like it, if one is like it, before the usual hint.
    pub(crate) fn unknown<'k>(
        code: Code,
        sentence: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
        hint: &str,
    ) -> Self {
        let meant = aami_config::nearest(word, known).map(|meant| format!("Did you mean `{meant}`? "));
        Self::found_with(code, sentence, format!("{}{hint}", meant.unwrap_or_default()))
    }

    /// A value on the command line that cannot be used.
    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self::found(code::INVALID, sentence)
    }

    /// The condition, where it has one.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Client(error) => Some(error.code()),
            Self::Found { code, .. } | Self::Listed { code, .. } => Some(*code),
            Self::Prometheus(_) => Some(code::INVALID),
            Self::Config(error) => Some(error.code()),
            Self::Start(error) => Some(error.code()),
            Self::Obtain(error) => Some(error.code()),
            Self::Telemetry(error) => Some(error.code()),
            Self::Extract(error) => Some(error.code()),
            Self::Release(error) => Some(error.code()),
            Self::Bundle(error) => Some(error.code()),
            Self::Stack(error) => Some(error.code()),
            Self::TakeBack(error) => Some(error.code()),
            Self::Install(error) => Some(error.code()),
            Self::Preflight(error) => Some(error.code()),
            Self::File { .. } | Self::Runtime(_) | Self::Closed | Self::Output(_) => None,
        }
    }

    /// The places it was found at, where there are several.
    pub(crate) fn places(&self) -> &[String] {
        match self {
            Self::Listed { places, .. } => places,
            _ => &[],
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Found { hint: Some(hint), .. } => Some(hint),
            // The control plane may be newer than this program and know better.
            Self::Client(ClientError::Refused(problem)) if !problem.hint.is_empty() => Some(&problem.hint),
            other => other.code().map(|code| code.hint),
        }
    }

    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Closed => Exit::Ok,
            other => other.code().map_or(Exit::Failed, |code| code.exit),
        }
    }
}
