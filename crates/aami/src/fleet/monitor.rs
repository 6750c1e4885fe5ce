//! What a declared fleet means for Prometheus and Alertmanager: its configuration in the words of `aami-monitor`.
//!
//! Everything that renders goes through here, so that `aami init`, alerts and what is compared with what runs say
//! the same.

use aami_config::Config;
use aami_config::config::{self, SmtpTls};
use aami_config::{NotSet, SecretValue};
use aami_model::code;
use aami_monitor::alertmanager::{self, Account, Email, Encryption, Secret, Slack, Webhook};
use aami_monitor::custom::Custom;
use aami_monitor::presets::{self, Declared, Options, Preset, RuleFile};
use aami_monitor::prometheus::{Configuration, Credential, RemoteWrite};

use crate::cli::failure::Failure;

/// Where the lists of targets lie, as Prometheus sees it.
pub(crate) const TARGETS: &str = "/var/lib/aami/targets";
/// Where rules lie.
pub(crate) const RULES: &str = "/etc/aami/rules";
/// Where secrets lie that a program reads.
pub(crate) const SECRETS: &str = "/etc/aami/secrets";

/// `prometheus.yml`.
pub(crate) fn prometheus(config: &Config, has_alertmanager: bool) -> Configuration {
    let ours = &config.prometheus;
    let local = |port: u16| format!("127.0.0.1:{port}");
    Configuration {
        scrape_interval: ours.scrape_interval.duration(),
        evaluation_interval: ours.evaluation_interval.duration(),
        rule_files: vec![format!("{RULES}/*.yaml"), format!("{RULES}/*.yml")],
        alertmanagers: has_alertmanager
            .then(|| local(config.alertmanager.port))
            .into_iter()
            .collect(),
        itself: Some(local(ours.port)),
        external_labels: ours.external_labels.0.clone(),
        remote_write: ours.remote_write.iter().map(remote_write).collect(),
        ..Configuration::of_lists(config.cluster.name.clone(), TARGETS)
    }
}

fn remote_write(ours: &config::RemoteWrite) -> RemoteWrite {
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let basic = ours.username.as_ref().zip(ours.password_file.as_ref());
    let credential = match (basic, &ours.bearer_token_file) {
        (Some((user, file)), _) => Some(Credential::Basic {
            username: user.clone(),
            password_file: path(file),
        }),
        (None, Some(file)) => Some(Credential::Authorization {
            kind: "Bearer".to_owned(),
            credentials_file: path(file),
        }),
        (None, None) => None,
    };
    RemoteWrite {
        name: ours.name.clone(),
        credential,
        ca_file: ours.ca_file.as_ref().map(path),
        headers: ours.headers.clone(),
        ..RemoteWrite::to(ours.url.clone())
    }
}

/// `alertmanager.yml`: whom the notifications that are enabled tell.
pub(crate) fn alertmanager(config: &Config) -> Result<alertmanager::Configuration, Failure> {
    let told = &config.notifications;
    let slack = match &told.slack {
        slack if slack.enabled => Some(Slack {
            url: Secret::Text(needed(&slack.webhook_url, "notifications.slack.webhook_url")?),
            channel: slack.channel.clone(),
            send_resolved: slack.send_resolved,
        }),
        _ => None,
    };
    let email = match &told.email {
        email if email.enabled => Some(mail(email)?),
        _ => None,
    };
    let webhook = match &told.webhook {
        webhook if webhook.enabled => Some(Webhook {
            url: needed(&webhook.url, "notifications.webhook.url")?,
            bearer: None,
            ca_file: None,
            send_resolved: webhook.send_resolved,
        }),
        _ => None,
    };
    Ok(alertmanager::Configuration {
        slack,
        email,
        webhook,
    })
}

fn mail(email: &config::Email) -> Result<Email, Failure> {
    let missing = |field: &str| {
        Failure::found(
            code::FLEET_INVALID,
            format!("notifications.email is enabled, and notifications.email.{field} is not set"),
        )
    };
    let account = match (&email.username, &email.password) {
        (Some(user), Some(password)) => Some(Account {
            user: user.clone(),
            password: Secret::Text(revealed(password)?),
        }),
        _ => None,
    };
    Ok(Email {
        host: email.smtp_host.clone().ok_or_else(|| missing("smtp_host"))?,
        port: email.smtp_port,
        encryption: match email.tls {
            SmtpTls::StartTls => Encryption::StartTls,
            SmtpTls::Tls => Encryption::Tls,
            SmtpTls::None => Encryption::None,
        },
        from: email.from.clone().ok_or_else(|| missing("from"))?,
        to: email.to.clone(),
        account,
        ca_file: None,
        send_resolved: email.send_resolved,
    })
}

fn needed(secret: &Option<SecretValue>, field: &str) -> Result<String, Failure> {
    let Some(secret) = secret else {
        return Err(Failure::found(
            code::FLEET_INVALID,
            format!("{field} is needed and is not set"),
        ));
    };
    revealed(secret)
}

/// A secret's text. Its variables may not be set.
pub(crate) fn revealed(secret: &SecretValue) -> Result<String, Failure> {
    let unset = |why: &NotSet| Failure::found(code::SECRET_UNUSABLE, why.to_string());
    secret.reveal().map(str::to_owned).map_err(unset)
}

/// The rules of the presets that are wanted and of the operator's own.
pub(crate) fn rules(config: &Config) -> Result<Vec<RuleFile>, Failure> {
    let presets: Vec<&Preset> = (config.alerts.presets.iter())
        .map(|name| {
            presets::find(name).ok_or_else(|| {
                let all: Vec<&str> = presets::all().iter().map(|preset| preset.id).collect();
                Failure::found_with(
                    code::FLEET_INVALID,
                    format!("alerts.presets: there is no preset {name}"),
                    format!("There are {}.", all.join(", ")),
                )
            })
        })
        .collect::<Result<_, _>>()?;
    let custom: Vec<Custom> = config.alerts.custom.iter().map(custom).collect();
    let options = Options {
        declared: declared(config),
        ..Options::default()
    };
    presets::render(&presets, &custom, &options)
        .map_err(|error| Failure::found(code::FLEET_INVALID, format!("alerts: {error}")))
}

/// The nodes that should be there, with the labels their targets have.
fn declared(config: &Config) -> Vec<Declared> {
    let nodes = config.nodes.iter().map(|node| Declared {
        node: node.name.to_string(),
        cluster: config.cluster.name.clone(),
        labels: node.labels.0.clone(),
        in_maintenance: false,
        gpus: node.gpus,
    });
    nodes.collect()
}

fn custom(rule: &config::CustomRule) -> Custom {
    Custom {
        name: rule.name.clone(),
        expr: rule.expr.clone(),
        lasting: rule.r#for.as_str().to_owned(),
        severity: rule.severity,
        summary: rule.summary.clone(),
        description: rule.description.clone(),
        runbook_url: rule.runbook_url.clone(),
        labels: rule.labels.0.clone(),
        annotations: rule.annotations.clone(),
    }
}

#[cfg(test)]
mod tests {
    use aami_config::{Environment, read};

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!("cluster: {{name: hall-3}}\n{more}");
        let variables = |name: &str| (name == "SLACK").then(|| "https://hooks.example/T/B/x".to_owned());
        let environment = Environment {
            variables: &variables,
            ..Environment::bare()
        };
        read(text.as_bytes(), &environment).unwrap().config
    }

    #[test]
    fn prometheus_reads_lists_and_asks_nobody() {
        let text = prometheus(&config("prometheus: {port: 9099, scrape_interval: 30s}\n"), true)
            .render()
            .unwrap();
        for part in [
            "hall-3",
            "127.0.0.1:9099",
            "127.0.0.1:9093",
            "/var/lib/aami/targets/nodes.json",
            "30s",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!prometheus(&config(""), false).render().unwrap().contains("9093"));
    }

    #[test]
    fn who_is_told_is_who_is_enabled_and_secrets_stay_out_of_the_text() {
        assert!(alertmanager(&config("")).unwrap().is_silent());
        let slack = "notifications:\n  slack: {enabled: true, webhook_url: '${SLACK}', channel: '#gpu'}\n";
        let rendered = alertmanager(&config(slack)).unwrap().render(SECRETS).unwrap();
        assert!(
            rendered.text.contains("#gpu") && !rendered.text.contains("hooks.example"),
            "{}",
            rendered.text
        );
        assert!(rendered.secrets[0].path.starts_with(SECRETS));
        // A variable that is not set is named, and only when it is needed.
        let unset = slack.replace("SLACK", "NOT_SET");
        let failure = alertmanager(&config(&unset)).unwrap_err();
        assert_eq!(failure.code(), Some(code::SECRET_UNUSABLE));
        assert!(failure.to_string().contains("NOT_SET"), "{failure}");
        assert!(
            alertmanager(&config(&unset.replace("true", "false")))
                .unwrap()
                .is_silent()
        );
    }

    #[test]
    fn rules_tell_of_the_nodes_that_are_declared_where_one_looks_at_them() {
        let nodes = "nodes:\n  - {name: gpu-01, ip: 10.0.0.1, gpus: 8, labels: {rack: r1}}\n";
        let told = |presets: &str| {
            let files = rules(&config(&format!("{nodes}alerts: {{presets: [{presets}]}}\n"))).unwrap();
            files.into_iter().find(|file| file.name == "aami-declared.yaml")
        };
        let file = told("gpu-basic").unwrap();
        for part in ["hall-3", "gpu-01", "r1", "vector(8)", "aami_declared_node"] {
            assert!(file.text.contains(part), "{part}: {}", file.text);
        }
        assert_eq!(told("infiniband"), None);
    }

    #[test]
    fn a_preset_nobody_knows_is_named_with_those_there_are() {
        let failure = rules(&config("alerts: {presets: [gpu-prod]}\n")).unwrap_err();
        assert!(failure.hint().unwrap().contains("gpu-production"), "{failure}");
    }
}
