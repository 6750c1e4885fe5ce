//! The generated `alertmanager.yml`, as amtool reads it and as a real Alertmanager follows it.

use std::path::Path;
use std::time::Duration;

use aami_monitor::alertmanager::{
    Account, Configuration, Email, Encryption, Rendered, Secret, Slack, TEST_ALERT, TEST_LABEL, Webhook,
    first,
};
use anyhow::{Result, ensure};
use rig::engines::{Alertmanager, amtool};
use rig::{MailServer, Place, wait_until};
use serde_json::{Value, json};

use crate::web::Web;

const PATIENCE: Duration = Duration::from_secs(60);

/// Everybody is told.
fn everybody() -> Configuration {
    Configuration {
        slack: Some(Slack {
            url: Secret::Text("https://hooks.slack.example/services/KEY".into()),
            channel: Some("#gpu-alerts".into()),
            send_resolved: true,
        }),
        email: Some(Email {
            host: "2001:db8::25".into(),
            port: 465,
            encryption: Encryption::Tls,
            from: "aami@example.com".into(),
            to: vec!["ops@example.com".into(), "boss@example.com".into()],
            account: Some(Account {
                user: "yes".into(),
                password: Secret::File("/etc/aami/mail password".into()),
            }),
            ca_file: Some("/etc/aami/ca.pem".into()),
            send_resolved: false,
        }),
        webhook: Some(Webhook {
            url: "https://hooks.example.com/?a=b#c".into(),
            bearer: Some(Secret::Text("KEY".into())),
            ca_file: Some("/etc/aami/ca.pem".into()),
            send_resolved: true,
        }),
    }
}

fn written(folder: &Path, rendered: &Rendered) -> String {
    for secret in &rendered.secrets {
        std::fs::write(&secret.path, &secret.content).unwrap();
    }
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, &rendered.text).unwrap();
    file.to_string_lossy().into_owned()
}

#[test]
fn the_configuration_that_tells_everybody() {
    insta::assert_snapshot!(everybody().render("/etc/aami/secrets").unwrap().text);
}

#[test]
fn the_configuration_that_tells_nobody() {
    insta::assert_snapshot!(first().unwrap());
}

#[test]
fn amtool_accepts_what_any_of_them_gives() {
    let folder = tempfile::tempdir().unwrap();
    let whole = everybody();
    let ways = [
        Configuration::default(),
        Configuration {
            slack: None,
            ..whole.clone()
        },
        Configuration {
            email: None,
            ..whole.clone()
        },
        Configuration {
            webhook: None,
            ..whole.clone()
        },
        whole,
    ];
    for configuration in ways {
        let rendered = configuration.render(&folder.path().to_string_lossy()).unwrap();
        let file = written(folder.path(), &rendered);
        let said = amtool(&["check-config", &file]).unwrap();
        assert!(said.contains("SUCCESS"), "{said}");
    }
}

#[test]
fn each_gravity_goes_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().to_string_lossy().into_owned();
    let told = |configuration: &Configuration, labels: &[&str]| {
        let file = written(folder.path(), &configuration.render(&secrets).unwrap());
        let file = format!("--config.file={file}");
        let mut arguments = vec!["config", "routes", "test", &file];
        arguments.extend(labels);
        amtool(&arguments).unwrap().trim().to_owned()
    };
    let (everybody, nobody) = (everybody(), Configuration::default());
    for (labels, receiver) in [
        (["alertname=NodeDown", "severity=critical"], "aami-critical"),
        (
            ["alertname=GPUTemperatureWarning", "severity=warning"],
            "aami-warning",
        ),
        (["alertname=GPUMemoryHigh", "severity=info"], "aami-info"),
        // A rule of somebody's own without a gravity, or with one nobody knows, is not lost.
        (["alertname=Own", "team=x"], "aami-warning"),
        (["alertname=Own", "severity=page"], "aami-warning"),
        (["alertname=AamiTest", "severity=critical"], "aami-test"),
    ] {
        assert_eq!(told(&everybody, &labels), receiver, "{labels:?}");
        assert_eq!(told(&nobody, &labels), "nobody", "{labels:?}");
    }
}

/// An alert that fires now.
fn alert(labels: &Value, summary: &str) -> Value {
    json!({ "labels": labels, "annotations": { "summary": summary, "description": format!("{summary}, at length") } })
}

#[test]
fn a_fired_alert_arrives_in_slack_in_the_mailbox_and_at_the_webhook() {
    // Given a Slack, a mail server that wants TLS and a password, and a service, with their secrets in files
    let (slack, service, mail) = (Web::taking(), Web::taking(), MailServer::start().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &mail.ca).unwrap();
    let configuration = Configuration {
        slack: Some(Slack {
            url: Secret::Text(format!("{}/services/KEY", slack.url())),
            channel: Some("#gpu-alerts".into()),
            send_resolved: true,
        }),
        email: Some(Email {
            host: "localhost".into(),
            port: mail.port,
            encryption: Encryption::StartTls,
            from: "aami@example.com".into(),
            to: vec!["ops@example.com".into(), "boss@example.com".into()],
            account: Some(Account {
                user: "aami".into(),
                password: Secret::Text("pass word".into()),
            }),
            ca_file: Some(ca.to_string_lossy().into_owned()),
            send_resolved: true,
        }),
        webhook: Some(Webhook {
            url: format!("{}/hook", service.url()),
            bearer: Some(Secret::Text("BEARERKEY".into())),
            ca_file: None,
            send_resolved: true,
        }),
    };
    let rendered = configuration.render(&folder.path().to_string_lossy()).unwrap();
    written(folder.path(), &rendered);
    let alertmanager = Alertmanager::start_with(Place::Loopback, &rendered.text).unwrap();

    // when a test alert and a real one are raised
    alertmanager
        .raise(&json!([
            alert(&json!({ "alertname": TEST_ALERT, TEST_LABEL: "one", "cluster": "prod" }), "A test"),
            alert(
                &json!({ "alertname": "GPUXidCritical", "severity": "critical", "cluster": "prod", "node": "gpu-007", "gpu": "1" }),
                "Xid 79 on gpu-007"
            ),
        ]))
        .unwrap();

    // then each destination is told of both, in its own words,
    for (name, summary) in [(TEST_ALERT, "A test"), ("GPUXidCritical", "Xid 79 on gpu-007")] {
        let told = |what: &str, look: &dyn Fn() -> Result<()>| {
            if let Err(error) = wait_until(PATIENCE, &format!("{what} is told of {name}"), look) {
                panic!("{error:#}\n{}", alertmanager.log());
            }
        };
        told("the service", &|| {
            let asked = service.asked();
            let found = asked
                .iter()
                .find(|asked| asked.json()["commonLabels"]["alertname"] == name);
            ensure!(found.is_some(), "{} requests", asked.len());
            let found = found.unwrap();
            ensure!(
                found.path == "/hook" && found.header("authorization") == "Bearer BEARERKEY",
                "{found:?}"
            );
            let alert = &found.json()["alerts"][0];
            ensure!(
                alert["annotations"]["summary"] == summary && alert["status"] == "firing",
                "{alert}"
            );
            Ok(())
        });
        told("Slack", &|| {
            let asked = slack.asked();
            let said = |asked: &crate::web::Asked| asked.json()["attachments"][0]["text"].to_string();
            let found = asked.iter().find(|asked| said(asked).contains(summary));
            ensure!(
                found.is_some(),
                "{:?}",
                asked.iter().map(said).collect::<Vec<_>>()
            );
            let found = found.unwrap();
            ensure!(
                found.path == "/services/KEY" && found.json()["channel"] == "#gpu-alerts",
                "{found:?}"
            );
            let title = found.json()["attachments"][0]["title"].to_string();
            ensure!(
                title.contains("[FIRING:1]") && title.contains(name) && title.contains("(prod)"),
                "{title}"
            );
            Ok(())
        });
        told("the mailbox", &|| {
            let said = mail.said();
            let subject = said
                .iter()
                .any(|line| line.starts_with("Subject:") && line.contains(name));
            ensure!(subject, "{said:?}");
            Ok(())
        });
    }
    // with the node and the GPU in Slack's words and in the subject,
    let words: String = slack
        .asked()
        .iter()
        .map(|asked| asked.json().to_string())
        .collect();
    assert!(
        words.contains("*critical* gpu-007 GPU 1: Xid 79 on gpu-007"),
        "{words}"
    );
    let said = mail.said().join("\n");
    assert!(said.contains("GPUXidCritical on gpu-007 (prod)"), "{said}");
    // and nothing was said to the mail server before the connection was encrypted, nor without a password.
    assert!(!said.contains("in clear"), "{said}");
    assert!(
        said.contains("AUTH PLAIN")
            && said.contains("RCPT TO:<ops@example.com>")
            && said.contains("RCPT TO:<boss@"),
        "{said}"
    );
}

/// The names of the alerts that are held back.
fn held_back(alertmanager: &Alertmanager<'_>, of: usize) -> Result<Vec<String>> {
    let alerts = alertmanager.alerts()?;
    ensure!(alerts.len() == of, "{} alerts", alerts.len());
    let mut names: Vec<String> = alerts
        .into_iter()
        .filter(|(_, held)| *held)
        .map(|(name, _)| name)
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn what_a_graver_alert_explains_is_held_back_and_nothing_else() {
    // Given alerts of nodes, of their GPUs, and of the cluster as a whole
    let rendered = everybody().render("/s").unwrap();
    let silent = Configuration::default().render("/s").unwrap();
    assert_eq!(
        rendered.text.split("inhibit_rules").nth(1),
        silent.text.split("inhibit_rules").nth(1)
    );
    let alertmanager = Alertmanager::start_with(Place::Loopback, &silent.text).unwrap();
    let of = |name: &str, severity: &str, more: &[(&str, &str)]| {
        let mut labels = json!({ "alertname": name, "severity": severity, "cluster": "prod" });
        for (label, value) in more {
            labels[label] = (*value).into();
        }
        alert(&labels, name)
    };
    let gpu = |gpu| [("node", "gpu-1"), ("gpu", gpu), ("UUID", gpu)];
    let alerts = json!([
        of("HotWarning", "warning", &gpu("0")),
        of("HotCritical", "critical", &gpu("0")),
        of("OtherGpu", "warning", &gpu("1")),
        of("NodeDown", "critical", &[("node", "gpu-2")]),
        of("XidOfDeadNode", "critical", &[("node", "gpu-2"), ("gpu", "3")]),
        of(
            "InfoOfDeadNode",
            "info",
            &[("node", "gpu-2"), ("mountpoint", "/")]
        ),
        of(
            "OtherCluster",
            "critical",
            &[("node", "gpu-2"), ("cluster", "test")]
        ),
        of(
            "CheckFailed",
            "critical",
            &[("node", "gpu-1"), ("check", "ib_ports")]
        ),
        of(
            "CheckWarning",
            "warning",
            &[("node", "gpu-1"), ("check", "disk_space")]
        ),
        of("ClusterCritical", "critical", &[]),
        of("ClusterWarning", "warning", &[]),
    ]);
    // when they are raised, then what the same part of the same node already says more gravely is held back, and what
    // is said of a node that is down; two alerts that name no node have nothing to do with each other.
    alertmanager.raise(&alerts).unwrap();
    let wanted = ["HotWarning", "InfoOfDeadNode", "XidOfDeadNode"];
    wait_until(PATIENCE, "they are held back", || {
        let held = held_back(&alertmanager, 11)?;
        ensure!(held == wanted, "{held:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn silences_outlive_another_configuration() {
    // Given an Alertmanager that tells nobody and holds a silence
    let service = Web::taking();
    let alertmanager = Alertmanager::start_with(Place::Loopback, &first().unwrap()).unwrap();
    alertmanager
        .silence(&json!({
            "matchers": [{ "name": "node", "value": "gpu-1", "isRegex": false, "isEqual": true }],
            "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z",
            "createdBy": "alice", "comment": "mine",
        }))
        .unwrap();
    assert_eq!(alertmanager.silences("active").unwrap().len(), 1);
    // when it is configured anew, then the silence stands, and what it is about is told to nobody;
    let told = Configuration {
        webhook: Some(Webhook {
            url: service.url(),
            bearer: None,
            ca_file: None,
            send_resolved: true,
        }),
        ..Configuration::default()
    };
    alertmanager
        .reconfigure(&told.render("/s").unwrap().text)
        .unwrap();
    assert_eq!(alertmanager.silences("active").unwrap().len(), 1);
    let of = |node: &str| json!({ "alertname": TEST_ALERT, TEST_LABEL: node, "node": node });
    alertmanager
        .raise(&json!([
            alert(&of("gpu-1"), "silent"),
            alert(&of("gpu-2"), "loud")
        ]))
        .unwrap();
    wait_until(PATIENCE, "what is not silenced is told", || {
        let told = service
            .asked()
            .iter()
            .any(|asked| asked.json()["commonLabels"]["node"] == "gpu-2");
        ensure!(told, "nobody was told");
        Ok(())
    })
    .unwrap();
    let silenced = service
        .asked()
        .iter()
        .any(|asked| asked.json()["commonLabels"]["node"] == "gpu-1");
    assert!(!silenced);
}
