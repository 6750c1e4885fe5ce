//! From `notifications:` of a configuration to whom a test alert reaches, by the programs as they are installed: chat, a
//! mail server by each way to TLS, and a program.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Host, MailServer, Net, Node, Receiver, Secured, wait_until};
use serde_json::Value;

use super::stage::{INIT, Operator};
use crate::site::{Said, Typing as _};

/// The mail server's password, as the operator's environment has it.
const PASSWORD: &str = "pass word";
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is told to whom: mail to `smtp`, chat and the program to `hall`.
fn config(hall: &str, smtp: &str, hook: u16) -> String {
    format!(
        "cluster: {{name: hall-3}}\n\
         notifications:\n\
         \x20 slack: {{enabled: true, webhook_url: 'http://{hall}:9000/services/KEY', channel: '#gpu'}}\n\
         \x20 email: {{enabled: true, smtp_host: {hall}, {smtp}, username: aami, password: '${{MAIL}}', \
         from: aami@example.com, to: [ops@example.com, boss@example.com]}}\n\
         \x20 webhook: {{enabled: true, url: 'http://{hall}:{hook}/hook'}}\n"
    )
}

/// Brings Alertmanager to a configuration, by the command for it.
fn configured(node: &Node, text: &str) -> Result<()> {
    node.write("/etc/aami/config.yaml", text.as_bytes(), 0o600)?;
    node.types_well(&format!("MAIL='{PASSWORD}' {INIT} --components alertmanager"))
        .map(drop)
}

/// One way of telling people: how often it was taken, and whether it failed.
type Way = (String, u64, bool);

/// Sends a test through. Out: what was said, and each way in the order of their names.
fn sent(node: &Node) -> Result<(Said, Vec<Way>)> {
    let said = node.types(&format!("MAIL='{PASSWORD}' /root/aami alerts test -o json"))?;
    let rows: Value = serde_json::from_str(&said.stdout).with_context(|| said.all())?;
    let rows = rows.as_array().with_context(|| said.all())?;
    let way = |row: &Value| {
        let name = row["way"].as_str().unwrap_or_default().to_owned();
        let failed = row["failed"].as_u64().unwrap_or_default();
        (name, row["sent"].as_u64().unwrap_or_default(), failed > 0)
    };
    let mut ways: Vec<_> = rows.iter().map(way).collect();
    ways.sort();
    Ok((said, ways))
}

/// The tests that came to a path of the receiver, each in the words its reader wants.
fn told(receiver: &Receiver<'_>, path: &str) -> Result<Vec<Value>> {
    let got = receiver.got()?.into_iter().filter(|got| got.path == path);
    Ok(got.map(|got| got.body).collect())
}

/// A mail server of the hall whom the node believes.
fn mail(hall: &Host, node: &Node, port: u16, secured: Secured) -> Result<MailServer> {
    let server = hall.within(|| MailServer::start_at(SocketAddrV4::new(hall.address(), port), secured))??;
    node.write(
        &format!("/etc/ssl/certs/hall-{port}.pem"),
        server.ca.as_bytes(),
        0o644,
    )?;
    Ok(server)
}

/// One whole mail from us to both, signed in, with the test in its subject.
fn got_mail(server: &MailServer) -> Result<()> {
    let said = server.said().join("\n");
    for part in [
        "AUTH PLAIN",
        "MAIL FROM:<aami@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<boss@example.com>",
        "AamiTest",
    ] {
        ensure!(said.contains(part), "no {part} in:\n{said}");
    }
    ensure!(said.matches("DATA").count() == 1, "{said}");
    ensure!(!said.contains("in clear"), "{said}");
    Ok(())
}

#[test]
fn a_test_alert_reaches_everybody_the_configuration_names_and_who_is_missed_is_named() -> Result<()> {
    // Given a hall with a chat and a program that want to be told, and two mail servers: one begins in clear, the other
    // speaks TLS alone,
    let net = Net::new()?;
    let hall = net.host("hall")?;
    let address = hall.address().to_string();
    let receiver = Receiver::start(Path::new(env!("CARGO_BIN_EXE_rig-receiver")), &hall)?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    let begun_in_clear = mail(&hall, node, 587, Secured::StartTls)?;
    let by_tls = mail(&hall, node, 465, Secured::Tls)?;
    let all = |sent: [u64; 3], missed: [bool; 3]| -> Vec<Way> {
        let names = ["email", "slack", "webhook"].map(str::to_owned);
        let ways = names.into_iter().zip(sent).zip(missed);
        ways.map(|((name, sent), missed)| (name, sent, missed)).collect()
    };

    // when it is configured, and a test sent through, then all three took it, and that is said;
    configured(node, &config(&address, "smtp_port: 587, tls: starttls", 9000))?;
    let (said, ways) = sent(node)?;
    ensure!(
        said.code == 0 && ways == all([1, 1, 1], [false; 3]) && said.stderr.contains("was passed on"),
        "exit {}: {}",
        said.code,
        said.all()
    );
    // and all three have it,
    wait_until(PATIENCE, "everybody is told", || {
        let (chat, hook) = (told(&receiver, "/services/KEY")?, told(&receiver, "/hook")?);
        ensure!(chat.len() == 1 && hook.len() == 1, "{chat:?} {hook:?}");
        ensure!(chat[0]["channel"] == "#gpu", "{chat:?}");
        let labels = &hook[0]["alerts"][0]["labels"];
        ensure!(
            labels["alertname"] == "AamiTest" && labels["cluster"] == "hall-3",
            "{hook:?}"
        );
        got_mail(&begun_in_clear)
    })?;
    ensure!(by_tls.said().is_empty(), "{:?}", by_tls.said());

    // When mail goes by TLS from the first byte, then it goes to that server.
    configured(node, &config(&address, "smtp_port: 465, tls: tls", 9000))?;
    let (said, ways) = sent(node)?;
    ensure!(
        said.code == 0 && ways == all([1, 1, 1], [false; 3]),
        "exit {}: {}",
        said.code,
        said.all()
    );
    wait_until(PATIENCE, "mail comes over TLS alone", || got_mail(&by_tls))?;
    got_mail(&begun_in_clear)?;

    // When nobody listens where the program should, then that way is named, and the others have it all the same.
    configured(node, &config(&address, "smtp_port: 465, tls: tls", 9))?;
    let (said, ways) = sent(node)?;
    ensure!(
        said.code == 3 && ways == all([1, 1, 0], [false, false, true]),
        "exit {}: {}",
        said.code,
        said.all()
    );
    ensure!(!said.stderr.contains("was passed on"), "{}", said.all());
    ensure!(told(&receiver, "/services/KEY")?.len() == 3);
    ensure!(told(&receiver, "/hook")?.len() == 2);
    Ok(())
}
