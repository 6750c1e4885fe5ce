//! What is broken on a real machine is named by `status`, mended by `--repair`, and left alone afterwards.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Release};

use super::stage::{INSTALL, Stage};
use crate::site::Typing as _;

/// How it is broken, and the words of the status that name it.
const BREAKS: &[(&str, &str)] = &[
    (
        "systemctl mask --now aami-alertmanager 2>/dev/null || { systemctl stop aami-alertmanager; \
      rm /etc/systemd/system/aami-alertmanager.service; systemctl mask aami-alertmanager; }",
        "aami-alertmanager.service",
    ),
    (
        "echo 'scrape_configs: []' > /etc/aami/prometheus.yml",
        "/etc/aami/prometheus.yml: holds something else",
    ),
    (
        "chmod 644 /etc/aami/secrets/discovery.key",
        "/etc/aami/secrets/discovery.key: mode 0644",
    ),
    (
        "install -m 755 /bin/true /opt/aami/grafana-0.0.1/bin/grafana",
        "/opt/aami/grafana-0.0.1: bin/grafana: holds something else",
    ),
    (
        "rm -r /opt/aami/grafana-0.0.1/public; systemctl stop aami-grafana",
        "/opt/aami/grafana-0.0.1: public: missing, and 3 more",
    ),
    (
        "systemctl disable aami-server",
        "aami-server.service: is disabled",
    ),
    (
        "systemctl kill --signal=KILL aami-prometheus; systemctl stop aami-prometheus",
        "aami-prometheus.service: is",
    ),
    ("rm /usr/local/bin/aami", "/usr/local/bin/aami: missing"),
    (
        "chown root: /var/lib/aami/prometheus",
        "/var/lib/aami/prometheus: mode 0700",
    ),
];

#[test]
fn each_thing_that_breaks_is_named_mended_and_left_alone_afterwards() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    stage.node.types_well(&format!("{INSTALL} --unattended"))?;
    for (line, named) in BREAKS {
        stage.breaks(line)?;
        let status = stage.node.types("/root/aami server status")?;
        ensure!(
            status.code == 3 && status.all().contains(named),
            "{line}: {}",
            status.all()
        );
        stage
            .node
            .types_well(&format!("{INSTALL} --unattended --repair"))
            .with_context(|| (*line).to_owned())?;
        stage.all_well().with_context(|| (*line).to_owned())?;
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
