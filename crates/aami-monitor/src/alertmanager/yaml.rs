//! The members of `alertmanager.yml` that are used here, under Alertmanager's own names.
//! <https://prometheus.io/docs/alerting/0.25/configuration/>

use std::collections::BTreeMap;

use aami_model::finding::Severity;
use serde::Serialize;

use super::inhibition::{self, Inhibition};
use super::timing::{self, Timing};
use super::{Configuration, Email, Encryption, SecretFiles, Slack, Webhook, message};

/// The gravest first: the first route that fits takes an alert.
const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Warning, Severity::Info];
/// At most so many alerts are told to a webhook in one request.
const MOST_ALERTS: u32 = 1000;

/// Whom to tell, with the secrets already in files.
pub(super) struct Destinations<'a> {
    slack: Option<(&'a Slack, String)>,
    email: Option<(&'a Email, Option<String>)>,
    webhook: Option<(&'a Webhook, Option<String>)>,
}

impl<'a> Destinations<'a> {
    pub(super) fn of(configuration: &'a Configuration, files: &mut SecretFiles<'_>) -> Self {
        let slack = configuration
            .slack
            .as_ref()
            .map(|slack| (slack, files.path(super::SLACK_URL, &slack.url)));
        let email = configuration.email.as_ref().map(|email| {
            let account = email.account.as_ref();
            let password = account.map(|account| files.path(super::SMTP_PASSWORD, &account.password));
            (email, password)
        });
        let webhook = configuration.webhook.as_ref().map(|webhook| {
            let bearer = webhook.bearer.as_ref();
            let bearer = bearer.map(|bearer| files.path(super::WEBHOOK_BEARER, bearer));
            (webhook, bearer)
        });
        Self {
            slack,
            email,
            webhook,
        }
    }

    const fn are_none(&self) -> bool {
        self.slack.is_none() && self.email.is_none() && self.webhook.is_none()
    }
}

#[derive(Serialize)]
pub(super) struct File<'a> {
    route: Route,
    receivers: Vec<Receiver<'a>>,
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Serialize)]
struct Route {
    receiver: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<String>,
    group_by: &'static [&'static str],
    group_wait: &'static str,
    group_interval: &'static str,
    repeat_interval: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Self>,
}

#[derive(Serialize)]
struct Receiver<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slack_configs: Vec<SlackConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    email_configs: Vec<EmailConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook_configs: Vec<WebhookConfig<'a>>,
}

#[derive(Serialize)]
struct SlackConfig<'a> {
    send_resolved: bool,
    api_url_file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    color: &'static str,
    title: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct EmailConfig<'a> {
    send_resolved: bool,
    /// All of them: Alertmanager reads a list separated by commas.
    to: String,
    from: &'a str,
    smarthost: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_password_file: Option<&'a str>,
    /// STARTTLS. On port 465 Alertmanager speaks TLS from the first byte, and asking for STARTTLS as well would fail.
    require_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'a>>,
    headers: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct WebhookConfig<'a> {
    send_resolved: bool,
    url: &'a str,
    max_alerts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_config: Option<Http<'a>>,
}

#[derive(Serialize)]
struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'a>>,
    /// A redirect would carry the document, and the credential, to somebody nobody named.
    follow_redirects: bool,
}

#[derive(Serialize)]
struct Authorization<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    credentials_file: &'a str,
}

#[derive(Serialize)]
struct Tls<'a> {
    ca_file: &'a str,
}

impl<'a> File<'a> {
    pub(super) fn of(destinations: &'a Destinations<'_>) -> Self {
        // What has no gravity, or another one, is told like a warning.
        let mut route = Route::of(timing::of(Severity::Warning), Vec::new());
        let mut receivers = vec![Receiver::nobody()];
        if destinations.are_none() {
            route.receiver = timing::NOBODY;
        } else {
            let tests = timing::of_tests();
            route
                .routes
                .push(Route::of(tests, vec![timing::matcher_of_tests()]));
            receivers.push(Receiver::of(tests, Severity::Info, destinations));
            for severity in SEVERITIES {
                let timing = timing::of(severity);
                route
                    .routes
                    .push(Route::of(timing, vec![timing::matcher_of(severity)]));
                receivers.push(Receiver::of(timing, severity, destinations));
            }
        }
        Self {
            route,
            receivers,
            inhibit_rules: inhibition::all(),
        }
    }
}

impl Route {
    const fn of(timing: Timing, matchers: Vec<String>) -> Self {
        Self {
            receiver: timing.receiver,
            matchers,
            group_by: timing.group_by,
            group_wait: timing.wait,
            group_interval: timing.interval,
            repeat_interval: timing.repeat,
            routes: Vec::new(),
        }
    }
}

impl<'a> Receiver<'a> {
    const fn nobody() -> Self {
        Self {
            name: timing::NOBODY,
            slack_configs: Vec::new(),
            email_configs: Vec::new(),
            webhook_configs: Vec::new(),
        }
    }

    fn of(timing: Timing, severity: Severity, destinations: &'a Destinations<'_>) -> Self {
        let slack = destinations.slack.iter().map(|(slack, url)| SlackConfig {
            send_resolved: timing.tells_end && slack.send_resolved,
            api_url_file: url,
            channel: slack.channel.as_deref(),
            color: message::colour(severity),
            title: message::TITLE,
            text: message::TEXT,
        });
        let email = destinations.email.iter().map(|(email, password)| EmailConfig {
            send_resolved: timing.tells_end && email.send_resolved,
            to: email.to.join(", "),
            from: &email.from,
            smarthost: smarthost(email),
            auth_username: email.account.as_ref().map(|account| account.user.as_str()),
            auth_password_file: password.as_deref(),
            require_tls: email.encryption == Encryption::StartTls,
            tls_config: email.ca_file.as_deref().map(|ca_file| Tls { ca_file }),
            headers: BTreeMap::from([("Subject", message::TITLE)]),
        });
        let webhook = destinations
            .webhook
            .iter()
            .map(|(webhook, bearer)| WebhookConfig {
                send_resolved: timing.tells_end && webhook.send_resolved,
                url: &webhook.url,
                max_alerts: MOST_ALERTS,
                http_config: Some(Http {
                    authorization: bearer.as_deref().map(|credentials_file| Authorization {
                        kind: "Bearer",
                        credentials_file,
                    }),
                    tls_config: webhook.ca_file.as_deref().map(|ca_file| Tls { ca_file }),
                    follow_redirects: false,
                }),
            });
        Self {
            name: timing.receiver,
            slack_configs: slack.collect(),
            email_configs: email.collect(),
            webhook_configs: webhook.collect(),
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
fn smarthost(email: &Email) -> String {
    let host = email.host.trim_start_matches('[').trim_end_matches(']');
    if host.contains(':') {
        format!("[{host}]:{}", email.port)
    } else {
        format!("{host}:{}", email.port)
    }
}
