//! Why a use case says no.

use std::time::Duration;

use aami_model::{Code, code};
use aami_store::StoreError;
use serde_json::Value;

/// A refusal: a code, one sentence about this case, and what a caller may do with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) current: Option<Box<Value>>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            current: None,
            retry_after: None,
        }
    }

    /// Where the general sentence says enough.
    pub(crate) fn plain(code: Code) -> Self {
        Self::new(code, code.sentence)
    }

    /// The value under `field` breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(code::INVALID, format!("{field}: {rule}"))
    }

    /// There is no such `noun`, or the caller does not see it.
    pub(crate) fn not_found(noun: &str) -> Self {
        Self::new(code::NOT_FOUND, format!("there is no such {noun}"))
    }

    pub(crate) fn with_current(mut self, current: Value) -> Self {
        self.current = Some(Box::new(current));
        self
    }

    pub(crate) const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = error.code();
        if matches!(error, StoreError::Limit { .. } | StoreError::KeyTwice { .. }) {
            return Self::new(code, error.to_string());
        }
        // Where the engine lives is the operator's business: it goes to the log, not to the caller.
        tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "the store refused");
        Self::plain(code).with_retry_after(Duration::from_secs(1))
    }
}
