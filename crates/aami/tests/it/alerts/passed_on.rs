//! Whom a test alert reaches: a real Alertmanager that tells a chat, a mailbox and a program. From the configuration to
//! what Alertmanager is told is the rig's story.

use std::fs;

use aami_monitor::alertmanager::{
    Configuration, Email, Encryption, Secret, Slack, TEST_ALERT, Webhook as Program,
};
use rig::engines::Alertmanager;
use rig::{MailServer, Place};

use super::Machine;
use crate::plane::{Said, until};
use crate::web::Web;

/// Who is to be told, as an operator writes it. Where they are is Alertmanager's affair.
const NOTIFICATIONS: &str = "\
notifications:
  slack: {enabled: true, webhook_url: '${SLACK}'}
  email: {enabled: true, smtp_host: localhost, from: aami@example.com, to: [ops@example.com]}
  webhook: {enabled: true, url: '${HOOK}'}
";

/// A chat, a mailbox and a program that are to be told.
struct Told {
    chat: Web,
    mail: MailServer,
    program: Web,
    folder: tempfile::TempDir,
}

impl Told {
    fn new() -> Self {
        let told = Self {
            chat: Web::taking(),
            mail: MailServer::start().unwrap(),
            program: Web::taking(),
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(told.folder.path().join("ca.pem"), &told.mail.ca).unwrap();
        told
    }

    fn everybody(&self) -> Configuration {
        Configuration {
            slack: Some(Slack {
                url: Secret::Text(format!("{}/services/KEY", self.chat.url())),
                channel: None,
                send_resolved: false,
            }),
            email: Some(Email {
                host: "localhost".into(),
                port: self.mail.port,
                encryption: Encryption::StartTls,
                from: "aami@example.com".into(),
                to: vec!["ops@example.com".into()],
                account: None,
                ca_file: Some(self.folder.path().join("ca.pem").display().to_string()),
                send_resolved: false,
            }),
            webhook: Some(Program {
                url: format!("{}/hook", self.program.url()),
                bearer: None,
                ca_file: None,
                send_resolved: false,
            }),
        }
    }

    fn alertmanager(&self, of: &Configuration) -> Alertmanager<'static> {
        let rendered = of.render(&self.folder.path().to_string_lossy()).unwrap();
        for secret in &rendered.secrets {
            fs::write(&secret.path, &secret.content).unwrap();
        }
        Alertmanager::start_with(Place::Loopback, &rendered.text).unwrap()
    }

    /// How many tests each has: chat, mail, program.
    fn has(&self) -> [usize; 3] {
        let subject = |line: &&String| line.starts_with("Subject:") && line.contains(TEST_ALERT);
        let tests = |asked: &crate::web::Asked| asked.json()["commonLabels"]["alertname"] == TEST_ALERT;
        [
            (self.chat.asked().iter())
                .filter(|asked| asked.path == "/services/KEY")
                .count(),
            self.mail.said().iter().filter(subject).count(),
            self.program.asked().iter().filter(|asked| tests(asked)).count(),
        ]
    }
}

/// A machine whose configuration tells everybody, with this Alertmanager.
fn machine_that_tells(alertmanager: &Alertmanager<'_>) -> Machine {
    let machine = Machine::bare();
    let port = alertmanager.url().rsplit_once(':').unwrap().1.to_owned();
    machine.set("alertmanager.port", &port);
    let text = machine.config();
    let (before, rest) = text.split_once("\nnotifications:").unwrap();
    let (_, after) = rest.split_once("\n# Programs").unwrap();
    let text = format!("{before}\n{NOTIFICATIONS}\n# Programs{after}");
    fs::write(machine.path("etc/aami/config.yaml"), text).unwrap();
    machine
}

/// How often each way was taken and whether it failed, in the order of their names.
fn ways(said: &Said) -> Vec<(String, u64, bool)> {
    let rows: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let mut ways: Vec<(String, u64, bool)> = (rows.as_array().unwrap().iter())
        .map(|row| {
            let failed = row["failed"].as_u64().unwrap();
            (
                row["way"].as_str().unwrap().to_owned(),
                row["sent"].as_u64().unwrap(),
                failed > 0,
            )
        })
        .collect();
    ways.sort();
    ways
}

fn way(name: &str, sent: u64, has_failed: bool) -> (String, u64, bool) {
    (name.to_owned(), sent, has_failed)
}

#[test]
fn a_test_alert_is_passed_on_once_to_each_of_those_who_are_to_be_told() {
    // Given a chat, a mailbox and a program that are to be told,
    let told = Told::new();
    let alertmanager = told.alertmanager(&told.everybody());
    let machine = machine_that_tells(&alertmanager);
    // when a test alert is sent, then each way was taken once, which is said, and each has it, once.
    let said = machine.aami(&["alerts", "test", "-o", "json"]);
    assert_eq!(said.exit, 0, "{said:?}\n{}", alertmanager.log());
    assert_eq!(
        ways(&said),
        [
            way("email", 1, false),
            way("slack", 1, false),
            way("webhook", 1, false)
        ],
        "{said:?}"
    );
    assert!(said.err.contains("The test alert was passed on"), "{said:?}");
    let all_have = |count| until("a test for each", || told.has() == [count; 3]);
    all_have(1);
    // A second one waits for no first, and people read of it in a table.
    let said = machine.aami(&["alerts", "test", "--severity", "warning"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let rows: Vec<&str> = said.out.lines().skip(1).collect();
    assert!(
        rows.len() == 3 && said.out.starts_with("WAY") && rows.iter().all(|row| row.ends_with('0')),
        "{said:?}"
    );
    all_have(2);
}

#[test]
fn a_way_that_leads_nowhere_is_named_beside_those_that_do_not() {
    let told = Told::new();
    // Given a program that is gone,
    let mut nowhere = told.everybody();
    nowhere.webhook.as_mut().unwrap().url = "http://127.0.0.1:9/hook".into();
    let alertmanager = told.alertmanager(&nowhere);
    let machine = machine_that_tells(&alertmanager);
    // when a test is sent, then that is what failed, and the others were told;
    let said = machine.aami(&["alerts", "test", "-o", "json"]);
    assert_eq!(said.exit, 3, "{said:?}");
    assert_eq!(
        ways(&said),
        [
            way("email", 1, false),
            way("slack", 1, false),
            way("webhook", 0, true)
        ],
        "{said:?}"
    );
    assert!(!said.err.contains("was passed on"), "{said:?}");
    assert_eq!(told.has(), [1, 1, 0]);
    // when Alertmanager does not know of the mailbox at all, then that is not passed on either.
    alertmanager
        .reconfigure(
            &Configuration {
                email: None,
                ..told.everybody()
            }
            .render(&told.folder.path().to_string_lossy())
            .unwrap()
            .text,
        )
        .unwrap();
    let said = machine.aami(&["alerts", "test", "--within", "5"]);
    assert_eq!(said.exit, 8, "{said:?}");
    assert!(
        said.err.contains("ALERT_NOT_PASSED_ON") && said.err.contains("did not try email"),
        "{said:?}"
    );
}
