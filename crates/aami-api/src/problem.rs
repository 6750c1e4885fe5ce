//! Refusals, as RFC 9457 `application/problem+json`.

use aami_model::Code;
use serde::{Deserialize, Serialize};

/// A refusal. `type`, `title`, `status` and `detail` are RFC 9457's; `code` is for programs, `id` for
/// people, `error` repeats the sentence for older clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The explain page, `/docs/explain/AAMI-P-0012`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The general sentence of the code.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What happened here, in one sentence.
    pub detail: String,
    /// The symbol, e.g. `PORT_IN_USE`.
    pub code: String,
    /// The number, e.g. `AAMI-P-0012`.
    pub id: String,
    /// `detail` again.
    pub error: String,
    /// What to do next.
    pub hint: String,
    /// The current state, where a precondition failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<serde_json::Value>,
    /// Finds the log line, where the fault is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A refusal with a sentence of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            kind: format!("/docs/explain/{}", code.id()),
            title: code.sentence.to_owned(),
            status: code.http,
            error: detail.clone(),
            detail,
            code: code.symbol.to_owned(),
            id: code.id(),
            hint: code.hint.to_owned(),
            current: None,
            request_id: None,
        }
    }

    /// A refusal for which the general sentence says enough.
    pub fn plain(code: Code) -> Self {
        Self::new(code, code.sentence)
    }
}
