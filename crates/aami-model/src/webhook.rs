//! Where events are delivered besides the event log: a webhook, a Slack channel, mailboxes.
//!
//! What is secret about a destination (the key it signs with, the URL of a Slack channel, a mail password) is
//! [`sealed`](Webhook::sealed): this room holds it as opaque text, and only the control plane's own key opens it.

use serde::{Deserialize, Serialize};

use crate::{OrgId, Timestamp, WebhookId};

/// At most this many destinations there are in all.
pub const MOST_WEBHOOKS: usize = 200;
/// At most this many patterns one has.
pub const MOST_PATTERNS: usize = 32;
/// At most this many mailboxes one has.
pub const MOST_MAILBOXES: usize = 32;
/// How many events a second one takes where nobody says otherwise.
pub const USUAL_RATE: u32 = 100;
/// The name of the destination that the configuration names; no other may have it.
pub const SERVICE: &str = "noti";

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum MailTls {
    /// It begins in clear and must become TLS before anything is said (port 587).
    #[default]
    Starttls,
    /// TLS from the first byte (port 465).
    Implicit,
}

/// Where it goes, as far as that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Target {
    /// POST to a URL, signed as Standard Webhooks says.
    Webhook {
        /// `https://...` or `http://...`.
        url: String,
    },
    /// A Slack incoming webhook; its URL is the secret, so only the host is shown.
    Slack {
        /// The host of the URL.
        host: String,
    },
    /// Mail by SMTP, always over TLS.
    Email {
        /// `host:port` of the mail server.
        server: String,
        /// How the connection is encrypted.
        tls: MailTls,
        /// Who it is from.
        from: String,
        /// To whom.
        to: Vec<String>,
        /// As whom to sign in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
}

/// A destination as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The tenant whose events it gets; every tenant's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// What people call it, unique within the tenant.
    pub name: String,
    /// Where it goes.
    pub target: Target,
    /// Which types of events it gets, e.g. `node.*`; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Whether private and loopback addresses may be connected to.
    #[serde(default)]
    pub allow_private: bool,
    /// The only CA its certificate is believed from, PEM; the system's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// At most so many requests a second.
    pub rate_per_second: u32,
    /// Whether anything is delivered.
    pub enabled: bool,
    /// Events up to this number were told before it was made.
    pub after: u64,
    /// Its secrets, encrypted, base64.
    pub sealed: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// Whether an event of this type and tenant goes there.
    pub fn wants(&self, kind: &str, org: &OrgId) -> bool {
        self.org.as_ref().is_none_or(|own| own == org)
            && (self.events.is_empty() || self.events.iter().any(|pattern| matches(pattern, kind)))
    }

    /// What it is called among those of all tenants, for metrics and logs.
    pub fn label(&self) -> String {
        match &self.org {
            Some(org) => format!("{org}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Whether a type of event fits a pattern: `*`, `node.*`, or the type itself.
pub fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(head) => kind.starts_with(head),
        None => pattern == kind,
    }
}

/// Whether a text is a type of event: two words of `a-z`, digits and `_` with a dot between, at most 64 characters.
pub fn is_kind(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.len() <= 64
        && text
            .split_once('.')
            .is_some_and(|(noun, verb)| word(noun) && word(verb))
}

/// Whether a text is a pattern of types of events.
pub fn is_pattern(text: &str) -> bool {
    text == "*"
        || is_kind(text)
        || text
            .strip_suffix('*')
            .is_some_and(|head| is_kind(&format!("{head}x")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_a_type_a_noun_or_everything() {
        for pattern in ["*", "node.*", "node.connected", "run.*", "node.install*"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in ["", "node", "node.", "*.connected", "Node.*", "node.*x", "a.b.c"] {
            assert!(!is_pattern(pattern), "{pattern:?}");
        }
        assert!(matches("*", "run.failed") && matches("node.*", "node.connected"));
        assert!(!matches("node.*", "run.failed") && !matches("node.connected", "node.connected_again"));
    }

    #[test]
    fn a_destination_of_one_tenant_gets_no_other_ones_events() {
        let mut webhook: Webhook = serde_json::from_value(serde_json::json!({
            "id": "w", "org": "red", "name": "w", "target": { "kind": "webhook", "url": "https://h/" },
            "rate_per_second": 1, "enabled": true, "after": 0, "sealed": "",
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        }))
        .unwrap();
        let (red, blue) = ("red".parse().unwrap(), "blue".parse().unwrap());
        assert!(webhook.wants("node.connected", &red) && !webhook.wants("node.connected", &blue));
        webhook.org = None;
        webhook.events = vec!["run.*".to_owned()];
        assert!(webhook.wants("run.failed", &blue) && !webhook.wants("node.connected", &blue));
    }
}
