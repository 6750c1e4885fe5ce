//! `alertmanager.yml`: whom Alertmanager tells of an alert, how soon, and what it keeps to itself.
//!
//! [`Configuration`] is what an operator chose; [`Configuration::render`] gives the text, and beside it the secrets
//! that stand in files of their own. Nothing is written here, and nothing here knows a running Alertmanager: silences
//! are its own, and no configuration touches them.
//!
//! - `timing` says how soon each gravity is told, and what goes into one message.
//! - `inhibition` says which alert makes another one superfluous.
//! - `message` holds the words.
//!
//! What is written is understood by Alertmanager 0.25 and later.

mod check;
mod inhibition;
mod message;
mod timing;
mod yaml;

use std::fmt;

pub use check::AlertmanagerError;

/// The name of the alert that is sent through to see whether it arrives. It is told at once, once, and each one by
/// itself: [`TEST_LABEL`] tells them apart.
pub const TEST_ALERT: &str = "AamiTest";

/// The label that tells one [`TEST_ALERT`] from another.
pub const TEST_LABEL: &str = "test";

/// The mode of `alertmanager.yml` and of each secret beside it: for root and for the group Alertmanager runs as. A
/// webhook's URL stands in the text itself, because Alertmanager 0.25 reads none from a file.
pub const MODE: u32 = 0o640;

/// The names of the files that secrets given as text go into.
pub const SECRET_FILES: [&str; 3] = [SLACK_URL, SMTP_PASSWORD, WEBHOOK_BEARER];

const SLACK_URL: &str = "alertmanager-slack-url";
const SMTP_PASSWORD: &str = "alertmanager-smtp-password";
const WEBHOOK_BEARER: &str = "alertmanager-webhook-bearer";

/// The port on which Alertmanager speaks TLS from the first byte.
const IMPLICIT_TLS: u16 = 465;

/// Whom Alertmanager tells. Nobody, where all is absent: alerts are then shown and sent nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// A Slack channel.
    pub slack: Option<Slack>,
    /// Mailboxes.
    pub email: Option<Email>,
    /// An HTTP service that understands Alertmanager's own document.
    pub webhook: Option<Webhook>,
}

/// A Slack channel, by an incoming webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    /// The URL of the incoming webhook. Whoever has it may write there.
    pub url: Secret,
    /// `#channel` or `@person`; where the webhook was made for, where absent.
    pub channel: Option<String>,
    /// Whether the end of an alert is told as well.
    pub send_resolved: bool,
}

/// Mailboxes, by SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The mail server: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub encryption: Encryption,
    /// Who it is from.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// As whom to sign in; not at all where absent.
    pub account: Option<Account>,
    /// The CA that signed the server's certificate, a file as Alertmanager sees it; the system's where absent.
    pub ca_file: Option<String>,
    /// Whether the end of an alert is told as well.
    pub send_resolved: bool,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// It begins in clear and becomes TLS before anything is said; a server that cannot is told nothing.
    #[default]
    StartTls,
    /// TLS from the first byte. Alertmanager speaks it on port 465 alone.
    Tls,
    /// None. No password is sent then.
    None,
}

/// Who signs in at a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// An HTTP service that is told in Alertmanager's own document.
/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to, `https://` or `http://`.
    pub url: String,
    /// What is sent as `Authorization: Bearer`.
    pub bearer: Option<Secret>,
    /// The CA that signed its certificate, a file as Alertmanager sees it; the system's where absent.
    pub ca_file: Option<String>,
    /// Whether the end of an alert is told as well.
    pub send_resolved: bool,
}

/// The URL often carries a key.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &"(hidden)")
            .field("bearer", &self.bearer)
            .field("ca_file", &self.ca_file)
            .field("send_resolved", &self.send_resolved)
            .finish()
    }
}

/// A secret, or where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file that is there, as Alertmanager sees its path.
    File(String),
    /// The secret itself: it comes back as a [`SecretFile`].
    Text(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("(hidden)"),
        }
    }
}

/// What is to be written, all of it with [`MODE`], the secrets first.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// `alertmanager.yml`.
    pub text: String,
    /// The secrets it reads.
    pub secrets: Vec<SecretFile>,
}

/// A webhook's URL stands in the text.
impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

/// A secret that goes into a file of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Its path, as Alertmanager sees it.
    pub path: String,
    /// What stands in it.
    pub content: String,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Configuration {
    /// Whether nobody is told.
    pub const fn is_silent(&self) -> bool {
        self.slack.is_none() && self.email.is_none() && self.webhook.is_none()
    }

    /// The text of `alertmanager.yml`. Secrets that came as text go into files below `secrets`, a folder as
    /// Alertmanager sees it.
    ///
    /// Fails when a destination cannot be one: an address that is none, a mailbox that is none, a character that
    /// would end a line. No error shows a secret.
    pub fn render(&self, secrets: &str) -> Result<Rendered, AlertmanagerError> {
        self.under(HEAD, secrets)
    }

    fn under(&self, head: &str, secrets: &str) -> Result<Rendered, AlertmanagerError> {
        check::all(self)?;
        let mut files = SecretFiles {
            folder: secrets.trim_end_matches('/'),
            files: Vec::new(),
        };
        let destinations = yaml::Destinations::of(self, &mut files);
        let file = yaml::File::of(&destinations);
        let text = serde_saphyr::to_string(&file).map_err(AlertmanagerError::Yaml)?;
        Ok(Rendered {
            text: format!("{head}{text}"),
            secrets: files.files,
        })
    }
}

/// The first `alertmanager.yml` of a server: it tells nobody, and is the operator's from then on.
pub fn first() -> Result<String, AlertmanagerError> {
    let silent = Configuration::default().under(HEAD_OF_FIRST, "")?;
    Ok(silent.text)
}

const HEAD: &str = "\
# Generated by AAMI from its notifications; changes made here are lost when it is generated again.
";

const HEAD_OF_FIRST: &str = "\
# Yours: AAMI wrote this file once and leaves it as you make it.
# Alerts are shown by Alertmanager and sent to nobody until a receiver says where.
";

/// The secrets that go into files of their own.
struct SecretFiles<'a> {
    folder: &'a str,
    files: Vec<SecretFile>,
}

impl SecretFiles<'_> {
    /// The path of a secret; one that came as text is put into the file `name`.
    fn path(&mut self, name: &'static str, secret: &Secret) -> String {
        match secret {
            Secret::File(path) => path.clone(),
            Secret::Text(content) => {
                let path = format!("{}/{name}", self.folder);
                self.files.push(SecretFile {
                    path: path.clone(),
                    content: content.clone(),
                });
                path
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_into_files_and_into_nothing_that_is_shown() {
        let configuration = Configuration {
            slack: Some(Slack {
                url: Secret::Text("https://hooks.slack.example/SLACKKEY".into()),
                channel: Some("#alerts".into()),
                send_resolved: true,
            }),
            email: Some(Email {
                host: "mail.example.com".into(),
                port: 587,
                encryption: Encryption::StartTls,
                from: "aami@example.com".into(),
                to: vec!["ops@example.com".into()],
                account: Some(Account {
                    user: "aami".into(),
                    password: Secret::Text("MAILKEY".into()),
                }),
                ca_file: None,
                send_resolved: true,
            }),
            webhook: Some(Webhook {
                url: "https://hooks.example.com/HOOKKEY".into(),
                bearer: Some(Secret::Text("BEARERKEY".into())),
                ca_file: None,
                send_resolved: true,
            }),
        };
        let rendered = configuration.render("/etc/aami/secrets/").unwrap();
        for key in ["SLACKKEY", "MAILKEY", "BEARERKEY"] {
            assert!(!rendered.text.contains(key), "{}", rendered.text);
        }
        let files: Vec<(&str, &str)> = rendered
            .secrets
            .iter()
            .map(|file| (file.path.as_str(), file.content.as_str()))
            .collect();
        assert_eq!(
            files,
            [
                (
                    "/etc/aami/secrets/alertmanager-slack-url",
                    "https://hooks.slack.example/SLACKKEY"
                ),
                ("/etc/aami/secrets/alertmanager-smtp-password", "MAILKEY"),
                ("/etc/aami/secrets/alertmanager-webhook-bearer", "BEARERKEY"),
            ]
        );
        // Alertmanager 0.25 reads a webhook's URL from nowhere else: hence the mode of the whole file.
        assert!(rendered.text.contains("HOOKKEY"));
        let shown = format!("{configuration:?} {rendered:?}");
        for key in ["SLACKKEY", "MAILKEY", "BEARERKEY", "HOOKKEY"] {
            assert!(!shown.contains(key), "{shown}");
        }
    }
}
