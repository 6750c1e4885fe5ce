//! What is broken on a real machine is named by `status`, mended by `--repair`, and left alone afterwards.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Release};

use super::stage::{INSTALL, Stage};
use crate::site::Typing as _;

/// How it is broken, the words of the status that name it, and the steps that are not well then: that of the damage
/// first, and then what follows from it, since who is not there does not answer.
type Break = (&'static str, &'static str, &'static [&'static str]);

const BREAKS: &[Break] = &[
    (
        "systemctl mask --now aami-alertmanager 2>/dev/null || { systemctl stop aami-alertmanager; \
      rm /etc/systemd/system/aami-alertmanager.service; systemctl mask aami-alertmanager; }",
        "aami-alertmanager.service",
        &["start_services", "health_checks"],
    ),
    (
        // As after a reboot: what runs has read the edit.
        "echo 'scrape_configs: []' > /etc/aami/prometheus.yml; systemctl restart aami-prometheus",
        "/etc/aami/prometheus.yml: holds something else",
        &["configure"],
    ),
    (
        "chmod 644 /etc/aami/secrets/discovery.key",
        "/etc/aami/secrets/discovery.key: mode 0644",
        &["start_services"],
    ),
    (
        "install -m 755 /bin/true /opt/aami/grafana-0.0.1/bin/grafana",
        "/opt/aami/grafana-0.0.1: bin/grafana: holds something else",
        &["download"],
    ),
    (
        "rm -r /opt/aami/grafana-0.0.1/public; systemctl stop aami-grafana",
        "/opt/aami/grafana-0.0.1: public: missing, and 3 more",
        &["download", "start_services", "health_checks"],
    ),
    (
        "systemctl disable aami-server",
        "aami-server.service: is disabled",
        &["start_services"],
    ),
    (
        "systemctl kill --signal=KILL aami-prometheus; systemctl stop aami-prometheus",
        "aami-prometheus.service: is",
        &["start_services", "health_checks"],
    ),
    (
        "rm /usr/local/bin/aami",
        "/usr/local/bin/aami: missing",
        &["finalize"],
    ),
    (
        "chown root: /var/lib/aami/prometheus",
        "/var/lib/aami/prometheus: mode 0700",
        &["download"],
    ),
    // Another version: of the program people type, and of what a unit runs.
    (
        "cp -r $(dirname $(readlink -f /usr/local/bin/aami)) /opt/aami/0.0.9; ln -sfn /opt/aami/0.0.9/aami /usr/local/bin/aami",
        "/usr/local/bin/aami: links to /opt/aami/0.0.9/aami",
        &["finalize"],
    ),
    (
        // It runs before its folder goes: a service counts as started from its fork on.
        "cp -r /opt/aami/alertmanager-[0-9]* /opt/aami/alertmanager-0.0.9; \
         sed -i s,/opt/aami/alertmanager-[^/]*,/opt/aami/alertmanager-0.0.9, /etc/systemd/system/aami-alertmanager.service; \
         systemctl daemon-reload; systemctl restart aami-alertmanager; \
         timeout 20 sh -c 'until curl -sf http://127.0.0.1:9093/-/ready; do :; done'; rm -r /opt/aami/0.0.9 /opt/aami/alertmanager-0.0.9",
        "aami-alertmanager.service: holds something else",
        &["start_services"],
    ),
    // Another port: in a unit, in a part's own configuration, in the control plane's.
    (
        "sed -i s/:9090/:9099/ /etc/systemd/system/aami-prometheus.service; systemctl daemon-reload; \
         systemctl restart aami-prometheus",
        "aami-prometheus.service: holds something else",
        &["start_services", "health_checks"],
    ),
    (
        "sed -i 's/^http_port = 3000/http_port = 3001/' /etc/aami/grafana.ini; systemctl restart aami-grafana",
        "/etc/aami/grafana.ini: holds something else",
        &["configure", "health_checks"],
    ),
    (
        "sed -i s/:8080/:8090/ /etc/aami/server.yaml; systemctl restart aami-server",
        "/etc/aami/server.yaml: holds something else",
        &["configure", "health_checks"],
    ),
];

/// From the start of a service to its answer.
const ANSWERS: std::time::Duration = std::time::Duration::from_secs(20);

/// What runs, and on which ports: of each unit its program, by the folder it lies in.
const RUNS: &str = "for unit in server prometheus alertmanager grafana; do \
     readlink /proc/$(systemctl show -P MainPID aami-$unit)/exe; done; \
     ss -Hltnp | sed -n 's/.* [^ ]*:\\([0-9]*\\) .*users:((\"\\([^\"]*\\)\".*/\\2 \\1/p' | sort -u";

#[test]
fn each_thing_that_breaks_is_named_mended_and_left_alone_afterwards() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    let runs = stage.node.sh(RUNS)?.ok()?;
    // What Prometheus runs with, as it says itself.
    let told =
        || -> Result<String> { Ok(stage.prometheus("/api/v1/status/config")?["data"]["yaml"].to_string()) };
    let wanted = told()?;
    for (line, named, steps) in BREAKS {
        stage.breaks(line)?;
        // Named: this, and what follows from it.
        let status = stage.node.types("/root/aami server status")?;
        ensure!(
            status.code == 3 && status.all().contains(named),
            "{line}: {}",
            status.all()
        );
        // Who was started again answers a moment later.
        rig::wait_until(ANSWERS, &format!("{steps:?} are not well"), || {
            let bad = stage.not_well()?;
            let not_well: Vec<&str> = bad.iter().map(|(step, _)| step.as_str()).collect();
            ensure!(not_well == *steps, "{bad:#?}");
            Ok(())
        })
        .with_context(|| (*line).to_owned())?;
        stage
            .node
            .types_well(&format!("{INSTALL} --unattended --repair"))
            .with_context(|| (*line).to_owned())?;
        stage.all_well().with_context(|| (*line).to_owned())?;
        // Mended: what is placed is what runs, where it was, with what it was told.
        let now = stage.node.sh(RUNS)?.ok()?;
        ensure!(now == runs, "{line}: it was\n{runs}\nand is\n{now}");
        let now = told()?;
        ensure!(now == wanted, "{line}: Prometheus runs with {now}");
        let pids = stage.pids()?;
        let again = stage
            .node
            .types_well(&format!("{INSTALL} --unattended --repair --verbose"))?;
        ensure!(
            !again.stdout.contains("changed: ") && stage.pids()? == pids,
            "{line}: a second repair did something:\n{}",
            again.stdout
        );
    }
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder_before_anything_is_changed() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let script = "systemd-run --quiet --unit=theirs perl -MSocket -e \
                  'socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); \
                  bind(S, sockaddr_in(9090, INADDR_ANY)) or die; listen(S, 1); sleep 600'";
    stage.breaks(script)?;
    rig::wait_until(
        std::time::Duration::from_secs(10),
        "somebody holds the port",
        || {
            let held = stage
                .node
                .sh("ss -Hltn 'sport = :9090'; systemctl status theirs --no-pager")?;
            ensure!(held.stdout.contains("LISTEN"), "{}", held.said());
            Ok(())
        },
    )?;
    let before = stage.node.picture()?;
    let said = stage
        .node
        .types_in_vain(&format!("{INSTALL} --unattended"), 6, "PORT_IN_USE")?;
    ensure!(said.all().contains("theirs.service"), "{}", said.all());
    crate::site::is_as_before(&stage.node, &before, "a refused install")?;
    // Elsewhere there is room.
    stage
        .node
        .types_well(&format!("{INSTALL} --unattended --prometheus-port 9091"))?;
    stage.all_well()
}

#[test]
fn a_service_that_cannot_start_is_named_with_its_last_words() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    stage
        .node
        .write("/etc/aami/rules/broken.yaml", b"groups: {not: a list}\n", 0o644)?;
    // Whether it dies while systemd looks or a moment later is a matter of a few milliseconds: UNIT_FAILED or
    // STACK_UNHEALTHY. Its words are the same.
    let said = stage
        .node
        .types_in_vain(&format!("{INSTALL} --unattended"), 1, "its last words")?;
    ensure!(
        (said.all().contains("STACK_UNHEALTHY") || said.all().contains("UNIT_FAILED"))
            && said.all().contains("broken.yaml"),
        "{}",
        said.all()
    );
    stage.breaks("rm /etc/aami/rules/broken.yaml")?;
    stage
        .node
        .types_well(&format!("{INSTALL} --unattended --resume"))?;
    stage.all_well()
}
