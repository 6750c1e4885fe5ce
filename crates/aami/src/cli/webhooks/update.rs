//! `aami webhooks update`.

use std::path::PathBuf;

use aami_api::webhook::{CreatedWebhook, PatchWebhook};
use aami_model::Exit;
use aami_model::webhook::Target;
use clap::Args;
use http::Method;

use super::create::shown;
use super::read;
use crate::cli::dry::{Change, Dry, fitting};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::secret::Secrecy;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;

/// Change a destination
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  aami webhooks update pager --event 'node.*' --event batch.completed
  aami webhooks update pager --enabled false
  aami webhooks update pager --rotate-secret --save-to pager.secret
  aami webhooks update pager --url https://hooks.example.com/aami2 --dry-run")]
pub(crate) struct Update {
    /// Name or id
    webhook: String,
    /// Another name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// Another URL
    #[arg(long, group = "change", conflicts_with = "url_file")]
    url: Option<String>,
    /// A file with another URL
    #[arg(long, value_name = "FILE", group = "change")]
    url_file: Option<PathBuf>,
    /// A file with what to send as Authorization; an empty one ends it
    #[arg(long, value_name = "FILE", group = "change")]
    authorization_file: Option<PathBuf>,
    /// Sign with another key; the former one signs as well for a day
    #[arg(long, group = "change")]
    rotate_secret: bool,
    /// A file with another password for the mail server
    #[arg(long, value_name = "FILE", group = "change")]
    smtp_password_file: Option<PathBuf>,
    /// Other mailboxes, all of them; may be repeated
    #[arg(long, value_name = "MAILBOX", group = "change")]
    to: Vec<String>,
    /// Other types of events, all of them; may be repeated, '*' for all
    #[arg(long = "event", value_name = "TYPE", group = "change")]
    events: Vec<String>,
    /// Whether it may be at a private or loopback address
    #[arg(long, value_name = "true|false", group = "change")]
    allow_private: Option<bool>,
    /// A file with another CA, PEM; an empty one means the system's
    #[arg(long, value_name = "FILE", group = "change")]
    ca_file: Option<PathBuf>,
    /// At most so many requests a second
    #[arg(long, value_name = "N", group = "change")]
    rate: Option<u32>,
    /// Whether it delivers; what is told meanwhile is delivered afterwards
    #[arg(long, value_name = "true|false", group = "change")]
    enabled: Option<bool>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    dry: Dry,
}

fn maybe(path: Option<&PathBuf>) -> Result<Option<String>, Failure> {
    path.map(|path| read(path)).transpose()
}

impl Update {
    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let webhook = find::webhook(session, &self.webhook)?;
        let hides_url = matches!(webhook.target, Target::Slack { .. }) || self.url_file.is_some();
        let patch = PatchWebhook {
            name: self.name,
            url: maybe(self.url_file.as_ref())?.or(self.url),
            authorization: maybe(self.authorization_file.as_ref())?,
            rotate_secret: self.rotate_secret,
            smtp_password: maybe(self.smtp_password_file.as_ref())?,
            to: Some(self.to).filter(|to| !to.is_empty()),
            events: Some(self.events).filter(|events| !events.is_empty()),
            allow_private: self.allow_private,
            ca: maybe(self.ca_file.as_ref())?,
            rate_per_second: self.rate,
            enabled: self.enabled,
        };
        let path = format!("/api/v1/webhooks/{}", webhook.id);
        let change = Change::new(Method::PATCH, path, &patch).hiding(if hides_url { &["url"] } else { &[] });
        if self.dry.dry_run {
            if let Some(name) = patch.name.as_deref().filter(|name| *name != webhook.name) {
                fitting(name)?;
                find::no_webhook(session, name)?;
            }
            let mut line = format!("{} ({}) would be changed", webhook.name, webhook.id);
            if patch.rotate_secret {
                let kept = (self.secrecy).would_place(&session.screen, surroundings, "webhooks")?;
                line.push_str(&format!(", and its new key {kept}"));
            }
            return change.tell(session, &webhook.id, line);
        }
        let place = match patch.rotate_secret {
            true => self.secrecy.place(&session.screen, surroundings, "webhooks")?,
            false => None,
        };
        let changed: CreatedWebhook = change.send(session)?;
        shown(session, &self.secrecy, place, &changed)
    }
}
