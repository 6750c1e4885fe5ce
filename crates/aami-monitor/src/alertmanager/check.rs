//! What a destination may not be. Everything an operator wrote is judged before it is written into a configuration
//! that another program reads as root's word.

use super::{Configuration, Email, Encryption, IMPLICIT_TLS, Secret, Slack, Webhook};

/// At most this many mailboxes are told.
const MOST_MAILBOXES: usize = 100;
/// The longest text of an operator that is taken.
const LONGEST: usize = 2048;

/// Why no configuration can be written. None of these shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum AlertmanagerError {
    /// Not where an HTTP request can go.
    #[error("the URL of {0} is not https:// or http:// with a host, without blanks and without a user in it")]
    Url(&'static str),
    /// Not a mail server.
    #[error("{0:?} is not the name or the address of a mail server")]
    MailServer(String),
    /// Port 0.
    #[error("port 0 is not a port")]
    Port,
    /// Alertmanager cannot speak TLS from the first byte there.
    #[error("Alertmanager speaks TLS from the first byte on port 465 alone, not on port {0}")]
    EncryptionOfPort(u16),
    /// STARTTLS or nothing where TLS is spoken already.
    #[error("on port 465 Alertmanager speaks TLS from the first byte, and nothing else")]
    EncryptionOf465,
    /// A password in clear.
    #[error("a password is not sent to a mail server without TLS")]
    PasswordInClear,
    /// Not a mailbox.
    #[error("{0:?} is not a mailbox such as ops@example.com")]
    Mailbox(String),
    /// Nobody, or too many.
    #[error("mail goes to 1 to 100 mailboxes")]
    Mailboxes,
    /// Not a channel.
    #[error("{0:?} is not a Slack channel such as #alerts")]
    Channel(String),
    /// Empty, too long, or with a line break.
    #[error("{0} is empty, too long, or holds control characters")]
    Text(&'static str),
    /// A value YAML cannot carry.
    #[error("the configuration cannot be written as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
}

pub(super) fn all(configuration: &Configuration) -> Result<(), AlertmanagerError> {
    if let Some(slack) = &configuration.slack {
        of_slack(slack)?;
    }
    if let Some(email) = &configuration.email {
        of_email(email)?;
    }
    if let Some(webhook) = &configuration.webhook {
        of_webhook(webhook)?;
    }
    Ok(())
}

fn of_slack(slack: &Slack) -> Result<(), AlertmanagerError> {
    match &slack.url {
        Secret::Text(url) => url_of("Slack", url)?,
        Secret::File(path) => text("the file with the URL of Slack", path)?,
    }
    let fits = |channel: &str| {
        channel.len() <= 100
            && channel.chars().count() > 1
            && channel.starts_with(['#', '@'])
            && !channel.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    match &slack.channel {
        Some(channel) if !fits(channel) => Err(AlertmanagerError::Channel(shown(channel))),
        _ => Ok(()),
    }
}

fn of_email(email: &Email) -> Result<(), AlertmanagerError> {
    let bare = email.host.trim_start_matches('[').trim_end_matches(']');
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    if !is_address && email.host.parse::<aami_model::hostname::Hostname>().is_err() {
        return Err(AlertmanagerError::MailServer(shown(&email.host)));
    }
    if email.port == 0 {
        return Err(AlertmanagerError::Port);
    }
    match (email.encryption, email.port) {
        (Encryption::Tls, IMPLICIT_TLS) => {}
        (Encryption::Tls, port) => return Err(AlertmanagerError::EncryptionOfPort(port)),
        (Encryption::StartTls | Encryption::None, IMPLICIT_TLS) => {
            return Err(AlertmanagerError::EncryptionOf465);
        }
        (Encryption::None, _) if email.account.is_some() => return Err(AlertmanagerError::PasswordInClear),
        (Encryption::StartTls | Encryption::None, _) => {}
    }
    if email.to.is_empty() || email.to.len() > MOST_MAILBOXES {
        return Err(AlertmanagerError::Mailboxes);
    }
    for mailbox in email.to.iter().chain([&email.from]) {
        if !is_mailbox(mailbox) {
            return Err(AlertmanagerError::Mailbox(shown(mailbox)));
        }
    }
    if let Some(account) = &email.account {
        text("the user of the mail server", &account.user)?;
        secret("the password of the mail server", &account.password)?;
    }
    email
        .ca_file
        .iter()
        .try_for_each(|path| text("the file with the CA of the mail server", path))
}

fn of_webhook(webhook: &Webhook) -> Result<(), AlertmanagerError> {
    url_of("the webhook", &webhook.url)?;
    if let Some(bearer) = &webhook.bearer {
        secret("the credential of the webhook", bearer)?;
    }
    webhook
        .ca_file
        .iter()
        .try_for_each(|path| text("the file with the CA of the webhook", path))
}

/// As Alertmanager wants it: `http` or `https`, and a host. A user in it would be sent in clear in logs and errors of
/// both ends.
fn url_of(what: &'static str, url: &str) -> Result<(), AlertmanagerError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let sound = url.len() <= LONGEST
        && !authority.is_empty()
        && !authority.contains('@')
        && url.bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        Ok(())
    } else {
        Err(AlertmanagerError::Url(what))
    }
}

/// One address, no display name: what is between the commas of a header is nobody's to choose but ours.
fn is_mailbox(text: &str) -> bool {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !"<>(),;:\\\"[]".contains(c);
    text.len() <= 254
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && !local.contains('@')
                && local.chars().all(fits)
                && domain.parse::<aami_model::hostname::Hostname>().is_ok()
        })
}

fn secret(what: &'static str, secret: &Secret) -> Result<(), AlertmanagerError> {
    match secret {
        Secret::File(value) | Secret::Text(value) => text(what, value),
    }
}

fn text(what: &'static str, value: &str) -> Result<(), AlertmanagerError> {
    if value.trim().is_empty() || value.len() > LONGEST || value.chars().any(char::is_control) {
        return Err(AlertmanagerError::Text(what));
    }
    Ok(())
}

/// A wrong value cut down to one short line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(change: impl FnOnce(&mut Email)) -> Configuration {
        let mut email = Email {
            host: "mail.example.com".into(),
            port: 587,
            encryption: Encryption::StartTls,
            from: "aami@example.com".into(),
            to: vec!["ops@example.com".into()],
            account: None,
            ca_file: None,
            send_resolved: true,
        };
        change(&mut email);
        Configuration {
            email: Some(email),
            ..Configuration::default()
        }
    }

    fn hook(url: &str) -> Configuration {
        Configuration {
            webhook: Some(Webhook {
                url: url.into(),
                bearer: None,
                ca_file: None,
                send_resolved: true,
            }),
            ..Configuration::default()
        }
    }

    #[test]
    fn a_url_that_leads_nowhere_is_refused_and_not_shown() {
        for url in [
            "",
            "hooks.example.com/KEY",
            "ftp://hooks.example.com/KEY",
            "https://",
            "https:///KEY",
            "https://user:KEY@hooks.example.com/",
            "https://hooks.example.com/KEY\nreceivers: []",
            "https://hooks.example.com/KEY x",
            &format!("https://hooks.example.com/{}", "KEY".repeat(1000)),
        ] {
            let error = hook(url).render("/s").unwrap_err();
            assert!(matches!(error, AlertmanagerError::Url(_)), "{url:?}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("KEY"), "{error:?}");
        }
        for url in ["https://hooks.example.com/KEY?a=b", "http://[::1]:9000/x"] {
            assert!(hook(url).render("/s").is_ok(), "{url}");
        }
    }

    #[test]
    fn a_mailbox_is_one_address_and_nothing_around_it() {
        for mailbox in [
            "",
            "ops",
            "@example.com",
            "ops@",
            "ops@exa mple.com",
            "ops@example.com, boss@example.com",
            "Ops <ops@example.com>",
            "ops@example.com\nBcc: all@example.com",
            &format!("{}@example.com", "a".repeat(65)),
        ] {
            let wrong = mail(|email| email.to = vec![mailbox.to_owned()]).render("/s");
            assert!(
                matches!(wrong, Err(AlertmanagerError::Mailbox(_))),
                "{mailbox:?}: {wrong:?}"
            );
        }
        assert!(
            mail(|email| email.to = vec!["o.ps+gpu@example.com".into()])
                .render("/s")
                .is_ok()
        );
        assert!(matches!(
            mail(|email| email.to.clear()).render("/s"),
            Err(AlertmanagerError::Mailboxes)
        ));
    }

    #[test]
    fn a_mail_server_is_a_name_or_an_address() {
        for host in ["", "mail.example.com:25", "a b", "mail\nhost", "-x"] {
            let wrong = mail(|email| email.host = host.into()).render("/s");
            assert!(
                matches!(wrong, Err(AlertmanagerError::MailServer(_))),
                "{host:?}: {wrong:?}"
            );
        }
        for host in ["localhost", "10.0.0.1", "2001:db8::1", "[2001:db8::1]"] {
            assert!(
                mail(|email| email.host = host.into()).render("/s").is_ok(),
                "{host}"
            );
        }
    }

    #[test]
    fn tls_is_asked_for_in_a_way_alertmanager_can_speak_it() {
        let with = |encryption, port, signs_in: bool| {
            mail(|email| {
                (email.encryption, email.port) = (encryption, port);
                email.account = signs_in.then(|| super::super::Account {
                    user: "aami".into(),
                    password: Secret::File("/p".into()),
                });
            })
            .render("/s")
        };
        assert!(matches!(
            with(Encryption::Tls, 587, true),
            Err(AlertmanagerError::EncryptionOfPort(587))
        ));
        assert!(matches!(
            with(Encryption::StartTls, 465, true),
            Err(AlertmanagerError::EncryptionOf465)
        ));
        assert!(matches!(
            with(Encryption::None, 25, true),
            Err(AlertmanagerError::PasswordInClear)
        ));
        let demanded = |rendered: super::super::Rendered| rendered.text.contains("require_tls: true");
        assert!(demanded(with(Encryption::StartTls, 587, true).unwrap()));
        assert!(!demanded(with(Encryption::Tls, 465, true).unwrap()));
        assert!(!demanded(with(Encryption::None, 25, false).unwrap()));
    }
}
