//! A server as its operator wants it: asked for at a terminal, with folders, ports, a certificate, a password and a
//! mirror of their own. Then it is looked at, its progress is forgotten, it is run again, and taken back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Mirror, Net, Node, Place, Release, wait_until};
use serde_json::Value;

use super::stage::{self, Stage};
use crate::site::{Typing as _, is_as_before};

/// What is chosen, beside the mirror.
const CHOSEN: &str = "--cluster lab --install-dir /srv/aami --data-dir /data/aami --server-port 8443 \
     --prometheus-port 9091 --alertmanager-port 9094 --grafana-port 3001 --expose --tls-cert /root/tls/chain.pem \
     --tls-key /root/tls/server.key --grafana-password-file /root/password --postgres-password-file /root/password \
     --token-max-uses 7 --token-ttl 2h --components-dir /root/components --mirror-credential-file /root/credential";
/// The name it is reached by, which is typed.
const DOMAIN: &str = "aami.example.com";
const PASSWORD: &str = "canary-9c41 of the operator's";
/// The plan's own memory.
const MEMORY: &str = "/var/lib/aami/install/lab/stack";

/// A CA of the site's own, and a certificate it signed.
const CERTIFY: &str = "set -e; mkdir -m 700 /root/tls; cd /root/tls; new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'; \
     openssl req -x509 $new -days 30 -subj '/CN=Site CA' -keyout ca.key -out ca.pem; \
     openssl req $new -subj /CN=aami.example.com -keyout server.key -out server.csr; \
     printf 'subjectAltName=DNS:aami.example.com\\nbasicConstraints=CA:FALSE\\n' > extensions; \
     openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out chain.pem";

/// Puts what the operator has at hand onto the machine; the archives are on the mirror alone.
fn prepare(stage: &Stage, mirror: &Mirror<'_>) -> Result<()> {
    let node = &stage.node;
    node.sh(CERTIFY)?.ok()?;
    node.write("/root/password", format!("{PASSWORD}\n").as_bytes(), 0o600)?;
    node.write("/root/credential", b"site:s3cret\n", 0o600)?;
    node.sh("rm /root/components/*.tar.gz")?.ok()?;
    for packed in stage::components()? {
        mirror.add(&packed)?;
    }
    Ok(())
}

#[test]
fn an_operator_gets_what_was_chosen_at_a_terminal_and_keeps_it() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let (node, elsewhere) = (&stage.node, net.host("mirror")?);
    let mirror = Mirror::start(&elsewhere, |site| site.behind("site", "s3cret"))?;
    prepare(&stage, &mirror)?;
    let before = node.picture()?;
    let command = format!("/root/aami server install {CHOSEN} --mirror {}", mirror.url());

    // What cannot be is refused before anything is asked.
    let other = command.replace("server.key", "ca.key");
    let refused = stage.answered_at_a_terminal(&other, "")?;
    ensure!(
        refused.code == 2 && refused.said().contains("CERTIFICATE_UNUSABLE"),
        "exit {}\n{}",
        refused.code,
        refused.said()
    );
    ensure!(!refused.said().contains("Go on"), "{}", refused.said());
    for (options, code) in [
        ("--grafana-port 9091", "INVALID"),
        ("--cluster ../../etc", "INVALID"),
        ("--mirror-credential-file /root/missing", "INVALID"),
    ] {
        // The last of two is not taken: clap says so.
        let flag = options.split(' ').next().unwrap_or_default();
        let mut words: Vec<&str> = command.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == flag) {
            words.drain(at..at + 2);
        }
        let line = format!("{} {options} --unattended", words.join(" "));
        node.types_in_vain(&line, 2, code).with_context(|| line.clone())?;
    }
    // Asked, and told no: nothing is changed.
    let refused = stage.answered_at_a_terminal(&command, &format!("{DOMAIN}\nn\n"))?;
    let said = refused.said();
    ensure!(
        refused.code == 9 && said.contains("nothing was changed"),
        "exit {}\n{said}",
        refused.code
    );
    ensure!(
        said.contains("/srv/aami") && said.contains("/data/aami"),
        "{said}"
    );
    is_as_before(node, &before, "a no")?;

    // Asked, and told a name and yes.
    let done = stage.answered_at_a_terminal(&command, &format!("{DOMAIN}\ny\n"))?;
    let screen = done.said();
    ensure!(
        done.code == 0,
        "exit {}\n{screen}\n{}",
        done.code,
        stage.journal()
    );
    ensure!(screen.contains("https://aami.example.com:8443"), "{screen}");
    ensure!(
        screen.contains("no PostgreSQL is installed"),
        "no warning of a password nobody uses:\n{screen}"
    );
    ensure!(
        screen.contains("without a password"),
        "no warning of open ports:\n{screen}"
    );
    ensure!(!screen.contains(PASSWORD), "{screen}");
    ensure!(mirror.log().contains("GET /prometheus-"), "{}", mirror.log());
    stage.all_well()?;
    is_where_it_was_wanted(&stage)?;
    is_reached_by_its_certificate(&stage)?;
    for (port, path) in [(9091, "-/ready"), (9094, "-/ready"), (3001, "api/health")] {
        let url = format!("http://{}:{port}/{path}", node.address());
        Place::On(&elsewhere)
            .get(&url, &[])
            .with_context(|| "what was exposed")?;
    }
    let password = node.sh(
        "cat /etc/aami/secrets/grafana-admin-password; stat -c %a /etc/aami/secrets/grafana-admin-password",
    )?;
    ensure!(
        password.stdout.trim_end_matches("600\n").trim() == PASSWORD,
        "{password:?}"
    );
    ensure!(password.stdout.ends_with("600\n"), "{password:?}");

    // The first token has the limits that were asked for; the operator's program finds the data folder by itself.
    let token = first_token(&stage)?;
    ensure!(token["max_uses"] == 7 && token["used"] == 0, "{token:#}");
    let seconds = |member: &str| -> Result<i64> {
        let text = token[member].as_str().context("no time")?;
        Ok(node.sh(&format!("date -d '{text}' +%s"))?.ok()?.trim().parse()?)
    };
    ensure!(
        seconds("expires_at")? - seconds("created_at")? == 7200,
        "{token:#}"
    );
    // A node whose system trusts the site's CA enrols with the line as it is.
    enrols(&net, &stage)?;
    ensure!(first_token(&stage)?["used"] == 1);

    is_kept(&stage)?;

    // Data goes only where somebody says yes to that.
    let kept = stage.answered_at_a_terminal("/root/aami server uninstall --purge-data", "no\n")?;
    ensure!(
        kept.code == 9 && kept.said().contains("/data/aami"),
        "exit {}\n{}",
        kept.code,
        kept.said()
    );
    stage.all_well()?;
    let gone = stage.answered_at_a_terminal("/root/aami server uninstall --purge-data", "yes\n")?;
    ensure!(gone.code == 0, "exit {}\n{}", gone.code, gone.said());
    is_as_before(node, &before, "an uninstall")
}

/// Programs, data and ports are where they were wanted, and nothing is where it would be otherwise.
fn is_where_it_was_wanted(stage: &Stage) -> Result<()> {
    let there = "set -e; test \"$(readlink -f /usr/local/bin/aami)\" = \"$(readlink -f /srv/aami/*/aami)\"; \
         test -x /srv/aami/grafana-0.0.1/bin/grafana; test -e /data/aami/server/store.db; \
         for part in prometheus alertmanager grafana; do test -d /data/aami/$part; done; \
         test ! -e /opt/aami; test \"$(ls /var/lib/aami)\" = install; test -e /var/lib/aami/install/lab/stack/receipt.json";
    let said = stage.node.sh(there)?;
    ensure!(
        said.code == 0,
        "{}",
        stage
            .node
            .sh("find /srv /data /opt /var/lib/aami -maxdepth 3")?
            .stdout
    );
    let held = stage.node.sh("ss -Hltn")?.ok()?;
    for port in [8443, 9091, 9094, 3001] {
        ensure!(held.contains(&format!(":{port} ")), "nobody at {port}:\n{held}");
    }
    for port in [8080, 9090, 9093, 3000] {
        ensure!(
            !held.contains(&format!(":{port} ")),
            "somebody at {port}:\n{held}"
        );
    }
    Ok(())
}

/// Whoever trusts the site's CA reaches it by its name, and nobody else.
fn is_reached_by_its_certificate(stage: &Stage) -> Result<()> {
    let curl = |options: &str| {
        let name = format!("{DOMAIN}:8443:{}", stage.node.address());
        let url = format!("https://{DOMAIN}:8443/health/ready");
        stage
            .node
            .sh(&format!("curl -sS -f {options} --resolve {name} {url}"))
    };
    curl("--cacert /root/tls/ca.pem")?.ok()?;
    let stranger = curl("")?;
    ensure!(stranger.code == 60, "{stranger:?}");
    let rights = stage.node.sh("stat -c '%a %U %n' /etc/aami/tls/*")?.ok()?;
    ensure!(
        rights == "644 root /etc/aami/tls/server.crt\n600 aami /etc/aami/tls/server.key\n",
        "{rights}"
    );
    Ok(())
}

fn first_token(stage: &Stage) -> Result<Value> {
    let list = stage.node.types_well("aami tokens list -o json")?.stdout;
    let list: Value = serde_json::from_str(&list)?;
    let id = list[0]["id"].as_str().with_context(|| list.to_string())?;
    let shown = stage
        .node
        .types_well(&format!("aami tokens show {id} -o json"))?
        .stdout;
    Ok(serde_json::from_str(&shown)?)
}

fn enrols(net: &Net, stage: &Stage) -> Result<()> {
    let node = Node::boot(net, Release::Bookworm, "node1")?;
    let ca = stage.node.read("/root/tls/ca.pem")?;
    node.write("/usr/local/share/ca-certificates/site.crt", &ca, 0o644)?;
    let trust = format!(
        "update-ca-certificates && echo '{} {DOMAIN}' >> /etc/hosts",
        stage.node.address()
    );
    node.sh(&trust)?.ok()?;
    node.types_well(&stage.one_line()?)?;
    wait_until(Duration::from_secs(30), "the node is online", || {
        let known = stage.node.types_well("aami nodes show node1 -o json")?.stdout;
        let known: Value = serde_json::from_str(&known)?;
        ensure!(known["status"] == "online", "{known:#}");
        Ok(())
    })
}

/// What was chosen stays so, through a run that names nothing of it and one that has forgotten how far it came.
fn is_kept(stage: &Stage) -> Result<()> {
    let node = &stage.node;
    let pids = stage.pids()?;
    let again = |moment: &str| -> Result<()> {
        let said = node.types_well("/root/aami server install --unattended --verbose")?;
        ensure!(!said.stdout.contains("changed: "), "{moment}:\n{}", said.stdout);
        ensure!(stage.pids()? == pids, "{moment}: something was started again");
        Ok(())
    };
    again("the same without a word")?;
    node.types_in_vain(
        "/root/aami server install --unattended --data-dir /elsewhere",
        6,
        "STACK_ELSEWHERE",
    )?;

    let receipt = format!("sha256sum {MEMORY}/receipt.json");
    let recorded = node.sh(&receipt)?.ok()?;
    let said = node.types_well("/root/aami server install --reset --unattended")?;
    ensure!(said.all().contains("Progress is forgotten"), "{}", said.all());
    ensure!(
        node.sh(&format!("test -e {MEMORY}/state.json"))?.code == 1,
        "progress is still there"
    );
    ensure!(
        node.sh(&receipt)?.ok()? == recorded,
        "the record of changes is another"
    );

    let status = node.types_well("/root/aami server install --status")?.stdout;
    for part in [
        "Prometheus",
        "Alertmanager",
        "Grafana",
        "9091",
        "9094",
        "3001",
        "8443",
    ] {
        ensure!(status.contains(part), "no {part}:\n{status}");
    }
    ensure!(stage.not_well()?.is_empty(), "{:?}", stage.not_well()?);
    again("a run after --reset")?;
    ensure!(
        node.sh(&receipt)?.ok()? == recorded,
        "the record of changes is another"
    );
    again("and one more")?;

    // What the mirror wants to see is kept where root alone reads it, and nowhere else: a repair that has to fetch
    // something needs not be told.
    let rights = node
        .sh("stat -c '%a %U' /etc/aami/secrets/mirror-credential")?
        .ok()?;
    ensure!(rights.trim() == "600 root", "{rights}");
    let holding = "grep -rlE 's3cret|c2l0ZTpzM2NyZXQ' /etc /srv /data /var/lib/aami /var/log /run || :";
    let holding = node.sh(holding)?.stdout;
    ensure!(holding == "/etc/aami/secrets/mirror-credential\n", "{holding}");
    node.sh("rm /srv/aami/prometheus-*/promtool")?.ok()?;
    node.types_well("/root/aami server install --unattended --repair")?;
    node.sh("test -x /srv/aami/prometheus-*/promtool")?.ok()?;
    stage.all_well()
}
