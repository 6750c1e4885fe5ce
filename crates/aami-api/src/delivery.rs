//! Deliveries: each attempt to tell a destination of an event, and what was answered.

use aami_model::{EventId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum DeliveryResult {
    /// It was taken.
    Delivered,
    /// It was not, and is tried again at `next_try`.
    Failed,
    /// It was not, and is not tried again unless somebody asks (a dead letter).
    Dead,
}

impl DeliveryResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dead];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.name() == name)
    }
}

/// The event a delivery is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveredEvent {
    /// Its id, which the receiver sees as `webhook-id`.
    pub id: EventId,
    /// Its number; 0 for a test, which is no event.
    pub seq: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub subject: String,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its number; what `/deliveries/{id}/replay` takes.
    pub id: u64,
    /// The destination's id; `noti` for the one the configuration names.
    pub webhook: String,
    /// The destination's name at that time.
    pub name: String,
    /// The destination's tenant; absent where it gets every tenant's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// The event.
    pub event: DeliveredEvent,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How it ended.
    pub result: DeliveryResult,
    /// The HTTP status, or the code of the mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// What went wrong, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// The dead letter that this was a replay of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<u64>,
}
