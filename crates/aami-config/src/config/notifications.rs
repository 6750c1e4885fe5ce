//! `notifications:`.

use crate::secret::SecretValue;
use crate::section::{choice, section};

section! {
    /// Who is told of alerts.
    pub struct Notifications {
        /// A Slack channel.
        slack: Slack, section;
        /// People, by mail.
        email: Email, section;
        /// A program, over HTTP.
        webhook: Webhook, section;
    }
}

section! {
    /// A Slack channel.
    pub struct Slack {
        /// Whether it is told.
        enabled: bool, default "false", Bool;
        /// Slack's incoming webhook. Whoever knows it may write: usually a variable, `${SLACK_WEBHOOK_URL}`.
        webhook_url: Option<SecretValue>, optional, Secret::url();
        /// The channel, `#gpu-alerts`; the webhook's own where nothing is given.
        channel: Option<String>, optional, Text::line();
        /// Whether the end of an alert is told as well.
        send_resolved: bool, default "true", Bool;
    }
}

section! {
    /// People, by mail.
    pub struct Email {
        /// Whether they are told.
        enabled: bool, default "false", Bool;
        /// The mail server (SMTP).
        smtp_host: Option<String>, optional, Text::host();
        /// Its TCP port.
        smtp_port: u16, default "587", Port;
        /// How the connection is secured: `starttls`, `tls` from the first byte, or `none`.
        tls: SmtpTls, default "starttls", Choice::<SmtpTls>::KIND;
        /// Who to sign in as.
        username: Option<String>, optional, Text::line();
        /// The password, usually a variable: `${SMTP_PASSWORD}`.
        password: Option<SecretValue>, optional, Secret::text();
        /// Who mails come from.
        from: Option<String>, optional, Text::mailbox();
        /// Who they go to.
        to: Vec<String>, default "[]", List::of(Text::mailbox()).up_to(100);
        /// Whether the end of an alert is told as well.
        send_resolved: bool, default "true", Bool;
    }
}

section! {
    /// A program, over HTTP.
    pub struct Webhook {
        /// Whether it is told.
        enabled: bool, default "false", Bool;
        /// Where Alertmanager posts to. It may hold a token, so it is never shown.
        url: Option<SecretValue>, optional, Secret::url();
        /// Whether the end of an alert is told as well.
        send_resolved: bool, default "true", Bool;
    }
}

choice! {
    /// How the connection to a mail server is secured.
    pub enum SmtpTls {
        /// It begins in clear and is then secured; a server that cannot is refused.
        StartTls = "starttls",
        /// Secured from the first byte.
        Tls = "tls",
        /// Not at all.
        None = "none",
    }
}
