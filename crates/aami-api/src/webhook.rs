//! Destinations of events: `/api/v1/webhooks`.

use aami_model::webhook::{MailTls, Target, Webhook};
use aami_model::{OrgId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};

/// What kind of destination it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Kind {
    /// POST to a URL, signed as Standard Webhooks says.
    #[default]
    Webhook,
    /// A Slack incoming webhook.
    Slack,
    /// Mail by SMTP.
    Email,
}

/// POST `/api/v1/webhooks`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateWebhook {
    /// What people call it; unique within the tenant.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where to post; for webhook and slack.
    pub url: String,
    /// Sent as `Authorization` with each request; for webhook. Kept sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The key to sign with, `whsec_...`; one is made where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// `host:port` of the mail server; for email.
    pub smtp_server: String,
    /// How the connection to it is encrypted.
    pub smtp_tls: MailTls,
    /// As whom to sign in to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_user: Option<String>,
    /// With which password. Kept sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_password: Option<String>,
    /// Who mail is from.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Types of events, e.g. `node.*`; all where empty.
    pub events: Vec<String>,
    /// The tenant whose events it gets; all the caller sees where absent and the caller sees all, else its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// Whether private and loopback addresses may be connected to.
    pub allow_private: bool,
    /// The only CA its certificate is believed from, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// At most so many requests a second, 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Whether it delivers; it does where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl std::fmt::Debug for CreateWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateWebhook")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// PATCH `/api/v1/webhooks/{id}`: what is given replaces. The kind stays.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchWebhook {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another URL; for webhook and slack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Another `Authorization`; empty removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Sign with another key from now on; the answer shows it.
    pub rotate_secret: bool,
    /// Another password for the mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_password: Option<String>,
    /// Other mailboxes, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// Other types of events, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Whether private and loopback addresses may be connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_private: Option<bool>,
    /// Another CA, PEM; empty means the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Another rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// On or off. What is told while it is off is delivered once it is on, as far as the history reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl std::fmt::Debug for PatchWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatchWebhook")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How delivering to a destination goes at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Flow {
    /// The last request was answered well, or there was none.
    #[default]
    Open,
    /// The last requests failed; nothing is sent until `next_try`.
    Waiting,
    /// One request tries whether it works again.
    Trying,
    /// Switched off.
    Disabled,
}

/// Where delivering stands. Known to the replica that delivers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Standing {
    /// How it goes.
    pub flow: Flow,
    /// Failures in a row.
    pub failures: u32,
    /// When the next request is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When something was last delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivered_at: Option<Timestamp>,
}

/// A destination as it is shown: never its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// The tenant whose events it gets; every tenant's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// What people call it.
    pub name: String,
    /// Where it goes.
    pub target: Target,
    /// Types of events; all where empty.
    pub events: Vec<String>,
    /// Whether private and loopback addresses may be connected to.
    pub allow_private: bool,
    /// Whether its certificate is believed from one CA only.
    pub own_ca: bool,
    /// At most so many requests a second.
    pub rate_per_second: u32,
    /// Whether it delivers.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Where delivering stands, where this replica delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Events up to this number were kept no longer when it was their turn: some may never have been delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_through: Option<u64>,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        Self {
            id: webhook.id.clone(),
            org: webhook.org.clone(),
            name: webhook.name.clone(),
            target: webhook.target.clone(),
            events: webhook.events.clone(),
            allow_private: webhook.allow_private,
            own_ca: webhook.ca.is_some(),
            rate_per_second: webhook.rate_per_second,
            enabled: webhook.enabled,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            standing: None,
            lost_through: None,
        }
    }
}

/// The answer to making a destination, or to rotating its key: the one time the key is shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreatedWebhook {
    /// The destination as it will be shown from now on.
    #[serde(flatten)]
    pub view: WebhookView,
    /// What its requests are signed with, `whsec_...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl std::fmt::Debug for CreatedWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedWebhook")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
