//! `aami webhooks create`.

use std::path::{Path, PathBuf};

use aami_api::webhook::{CreateWebhook, CreatedWebhook, Kind, WebhookView};
use aami_model::webhook::MailTls;
use aami_model::{Exit, OrgId};
use clap::{Args, ValueEnum};
use http::Method;
use serde::Serialize;

use super::read;
use super::show::table;
use crate::cli::dry::{Change, Dry, fitting};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::secret::{Place, Secrecy};
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Sort {
    /// POST to a URL, signed as Standard Webhooks says
    #[default]
    Webhook,
    /// A Slack incoming webhook
    Slack,
    /// Mail by SMTP
    Email,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Encryption {
    /// STARTTLS, port 587
    #[default]
    Starttls,
    /// TLS from the first byte, port 465
    Implicit,
}

/// Make a destination of events
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks create --name pager --url https://hooks.example.com/aami --event 'node.*'
  aami webhooks create --name ops --kind slack --url-file /root/slack-url --event node.disconnected
  aami webhooks create --name mail --kind email --smtp-server mail.example.com:587 --smtp-user aami \\
      --smtp-password-file /root/mail-password --from aami@example.com --to ops@example.com
  aami webhooks create --name pager --url https://hooks.example.com/aami --dry-run")]
pub(crate) struct Create {
    /// What to call it
    #[arg(long)]
    name: String,
    /// What it is
    #[arg(long, value_enum, default_value_t)]
    kind: Sort,
    /// Where to post
    #[arg(long, conflicts_with = "url_file")]
    url: Option<String>,
    /// A file with the URL, - for standard input: a Slack channel's URL is a secret
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// A file with what to send as Authorization, e.g. `Bearer ...`
    #[arg(long, value_name = "FILE")]
    authorization_file: Option<PathBuf>,
    /// A file with the key to sign with, whsec_... [one is made]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The mail server, HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    smtp_server: Option<String>,
    /// How the connection to it is encrypted
    #[arg(long, value_enum, default_value_t)]
    smtp_tls: Encryption,
    /// As whom to sign in to it
    #[arg(long, value_name = "USER", requires = "smtp_password_file")]
    smtp_user: Option<String>,
    /// A file with the password
    #[arg(long, value_name = "FILE", requires = "smtp_user")]
    smtp_password_file: Option<PathBuf>,
    /// Who mail is from
    #[arg(long, value_name = "MAILBOX")]
    from: Option<String>,
    /// To whom; may be repeated
    #[arg(long, value_name = "MAILBOX")]
    to: Vec<String>,
    /// A type of events, e.g. node.connected or 'node.*'; may be repeated [all]
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// The organisation whose events it gets [all that your own key sees]
    #[arg(long)]
    org: Option<OrgId>,
    /// Let it be at a private or loopback address
    #[arg(long)]
    allow_private: bool,
    /// Believe its certificate only from this CA, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// At most so many requests a second
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    dry: Dry,
}

/// What programs get: where the key is instead of the key.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    view: &'a WebhookView,
    secret_file: &'a Path,
}

fn maybe(path: Option<&PathBuf>) -> Result<Option<String>, Failure> {
    path.map(|path| read(path)).transpose()
}

impl Create {
    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let signs = matches!(self.kind, Sort::Webhook) && self.secret_file.is_none();
        // A Slack channel's URL is a secret, and what lies in a file may be.
        let hides_url = matches!(self.kind, Sort::Slack) || self.url_file.is_some();
        let given = self.secret_file.is_some();
        let wanted = CreateWebhook {
            name: self.name,
            kind: match self.kind {
                Sort::Webhook => Kind::Webhook,
                Sort::Slack => Kind::Slack,
                Sort::Email => Kind::Email,
            },
            url: match maybe(self.url_file.as_ref())? {
                Some(url) => url,
                None => self.url.unwrap_or_default(),
            },
            authorization: maybe(self.authorization_file.as_ref())?,
            secret: maybe(self.secret_file.as_ref())?,
            smtp_server: self.smtp_server.unwrap_or_default(),
            smtp_tls: match self.smtp_tls {
                Encryption::Starttls => MailTls::Starttls,
                Encryption::Implicit => MailTls::Implicit,
            },
            smtp_user: self.smtp_user,
            smtp_password: maybe(self.smtp_password_file.as_ref())?,
            from: self.from.unwrap_or_default(),
            to: self.to,
            events: self.events,
            org: self.org,
            allow_private: self.allow_private,
            ca: maybe(self.ca_file.as_ref())?,
            rate_per_second: self.rate,
            enabled: None,
        };
        let change = Change::new(Method::POST, "/api/v1/webhooks", &wanted).hiding(if hides_url {
            &["url"]
        } else {
            &[]
        });
        if self.dry.dry_run {
            let name = &wanted.name;
            fitting(name)?;
            find::no_webhook(session, name)?;
            let mut line = format!("destination {name} would be made");
            if signs {
                let kept = (self.secrecy).would_place(&session.screen, surroundings, "webhooks")?;
                line.push_str(&format!(", and its key {kept}"));
            }
            return change.tell(session, name, line);
        }
        let place = match signs {
            true => self.secrecy.place(&session.screen, surroundings, "webhooks")?,
            false => None,
        };
        let mut created: CreatedWebhook = change.send(session)?;
        if given {
            // Who gave it has it.
            created.secret = None;
        }
        shown(session, &self.secrecy, place, &created)
    }
}

/// Shows a destination, and its key as secrets are shown.
pub(super) fn shown(
    session: &mut Session,
    secrecy: &Secrecy,
    place: Option<Place>,
    created: &CreatedWebhook,
) -> Result<Exit, Failure> {
    let view = &created.view;
    let screen = &mut session.screen;
    let saved = match (place, &created.secret) {
        (Some(place), Some(secret)) => Some(place.save(view.id.as_str(), secret)?),
        _ => None,
    };
    match (&created.secret, saved) {
        (Some(_), Some(file)) if !secrecy.shown(screen) => {
            let kept = Kept {
                view,
                secret_file: &file,
            };
            screen.show(&kept, |_| table(view))?;
            screen.note(&format!(
                "aami: the key it is signed with is in {}",
                file.display()
            ));
        }
        (Some(secret), _) if !screen.format().is_for_programs() => {
            screen.show(view, |_| table(view))?;
            screen.write(&format!(
                "\nRequests are signed with\n\n  {secret}\n\nIt is shown this once.\n"
            ))?;
        }
        _ => screen.show(created, |_| table(view))?,
    }
    Ok(Exit::Ok)
}
