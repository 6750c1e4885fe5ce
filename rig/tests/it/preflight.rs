//! Preflight on real nodes: what it says of a healthy one, of each of many broken ones, and what it mends.
//!
//! [`faults`] is the matrix: one condition that breaks an install a row, injected, looked at and healed. [`mended`] has
//! what is mended, with the real programs it is about.
//! [`stage`] is the node it happens on, and the strangers around it.

mod faults;
mod matrix;
mod mended;
mod stage;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use crate::site::{Site, Typing as _, is_as_before, lean};
use stage::{AGENT, Stage};

#[test]
fn a_healthy_node_passes_on_every_release_and_is_left_as_it_was() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    for release in Release::ALL {
        let node = Node::boot(&net, release, release.codename())?;
        let stage = Stage::set(&node, &site)?;
        let before = node.picture()?;

        let began = Instant::now();
        let report = stage.look("", &stage.node_arguments())?;
        let took = began.elapsed();

        ensure!(report.code == 0, "{release:?}: {:?}", report.issues());
        ensure!(report.json["passed"] == true && report.json["mode"] == "node");
        for key in [
            "system",
            "software",
            "network",
            "ports",
            "permissions",
            "hardware",
        ] {
            ensure!(
                report.json["checks"][key]["passed"] == true,
                "{key}: {:?}",
                report.issues()
            );
        }
        ensure!(report.json["checks"]["software"]["docker"]["skipped"] == true);
        ensure!(report.json["checks"]["ports"]["9100"]["available"] == true);
        ensure!(took.as_secs() < 5, "{release:?}: a look took {took:?}");
        is_as_before(&node, &before, "a look")?;
    }
    Ok(())
}

#[test]
fn a_port_is_said_in_the_documents_own_words() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let stage = Stage::set(&node, &site)?;
    stage.service("grafana-server", "grafana", "0.0.0.0", 3000)?;
    let pid = node.sh("systemctl show -P MainPID grafana-server")?.ok()?;
    let pid = pid.trim();
    let arguments = stage.server_arguments()?;

    let said = node.types(&format!("{AGENT} preflight {arguments}"))?;

    ensure!(said.code == 1, "{}", said.all());
    let text = &said.stdout;
    let wanted = [
        "AAMI Preflight Check v1.0\n=========================\n\nMode: Server Installation\n".to_owned(),
        "System Requirements\n  [✓] OS: Debian GNU/Linux 12 (bookworm) (supported)\n  [✓] CPU: ".to_owned(),
        "Port Availability\n  [✓] Port 8080: available\n  [✓] Port 9090: available\n".to_owned(),
        format!("  [✗] Port 3000: in use by 'grafana' (PID: {pid})\n"),
        "  [✓] sudo: available\n".to_owned(),
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\nResult: 1 issue found\n".to_owned(),
        format!("ERRORS:\n  [✗] Port 3000 is already in use by process 'grafana' (PID: {pid})\n"),
        "      Fix: Stop the service with 'sudo systemctl stop grafana-server'\n      Or: ".to_owned(),
        "\nRun with --fix to attempt automatic fixes.\nExit code: 1\n".to_owned(),
    ];
    for part in &wanted {
        ensure!(text.contains(part.as_str()), "no {part:?} in\n{text}");
    }

    // The operator's program says the same of it, and takes a server for meant where nobody says.
    node.write("/srv/aami", &std::fs::read(lean("aami")?)?, 0o755)?;
    let operators = node.types(&format!("/srv/aami preflight {arguments}"))?;
    ensure!(
        operators.code == 1 && operators.stdout == said.stdout,
        "{}\ninstead of\n{text}",
        operators.all()
    );
    let unasked = arguments.replace("--mode server", "--json");
    let unasked = node.types(&format!("/srv/aami preflight {unasked}"))?;
    let told: serde_json::Value = serde_json::from_str(&unasked.stdout).with_context(|| unasked.all())?;
    ensure!(
        unasked.code == 1 && told["mode"] == "server" && told["runtime"] == "systemd",
        "{told}"
    );
    ensure!(
        told["mode_because"] == "that is what this program installs",
        "{}",
        told["mode_because"]
    );

    let report = stage.look("", &arguments)?;
    let port = &report.json["checks"]["ports"]["3000"];
    ensure!(
        port["available"] == false
            && port["process"] == "grafana"
            && port["pid"].as_u64() == pid.parse().ok(),
        "{port}"
    );
    let error = &report.json["errors"][0];
    ensure!(
        error["category"] == "ports" && error["code"] == "PORT_IN_USE" && error["id"] == "AAMI-P-0012",
        "{error}"
    );
    ensure!(
        error["message"] == format!("Port 3000 is in use by grafana (PID: {pid})").as_str(),
        "{error}"
    );
    ensure!(
        error["fix_command"] == "sudo systemctl stop grafana-server",
        "{error}"
    );
    Ok(())
}

#[test]
fn what_is_ignored_by_its_code_passes_and_is_shown() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let stage = Stage::set(&node, &site)?;
    stage.service("stranger", "stranger", "0.0.0.0", 9100)?;
    let arguments = stage.node_arguments();

    ensure!(stage.look("", &arguments)?.code == 1);
    let ignored = stage.look("", &format!("{arguments} --ignore port_in_use"))?;

    ensure!(ignored.code == 0, "{:?}", ignored.issues());
    ensure!(
        ignored.json["ignored"][0]["code"] == "PORT_IN_USE",
        "{}",
        ignored.json["ignored"]
    );
    for wrong in ["--ignore all", "--mode master", "--server gpu01"] {
        let said = node.types(&format!("{AGENT} preflight {wrong}"))?;
        ensure!(said.code == 2, "{wrong}: {}\n{}", said.code, said.all());
    }
    Ok(())
}

#[test]
fn what_can_be_mended_is_shown_done_and_taken_back() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let stage = Stage::set(&node, &site)?;
    // A stranger's service on the port, and a lock whose process is gone.
    stage.service("stranger", "stranger", "0.0.0.0", 9100)?;
    node.sh("systemctl enable stranger && echo 4194303 > /run/yum.pid")?
        .ok()?;
    let before = node.picture()?;
    let arguments = stage.node_arguments();

    // Without an answer nothing happens.
    let said = node.types(&format!("{AGENT} preflight {arguments} --fix < /dev/null"))?;
    ensure!(said.code == 2 && said.all().contains("--yes"), "{}", said.all());
    is_as_before(&node, &before, "a question nobody answered")?;

    let said = node.types(&format!("{AGENT} preflight {arguments} --fix --yes"))?;
    ensure!(said.code == 0, "{}", said.all());
    for part in [
        "stop stranger.service, now and at every boot",
        "set unit stranger.service (disabled, stopped)",
        "/run/yum.pid",
    ] {
        ensure!(said.stderr.contains(part), "no {part:?} in\n{}", said.stderr);
    }
    ensure!(said.stdout.contains("Result: no issues found"), "{}", said.stdout);
    ensure!(node.sh("systemctl is-active stranger")?.stdout == "inactive\n");
    ensure!(node.sh("test -e /run/yum.pid")?.code == 1);

    // Taking back asks as well.
    let said = node.types(&format!("{AGENT} preflight --undo-fix < /dev/null"))?;
    ensure!(said.code == 2 && said.all().contains("--yes"), "{}", said.all());
    ensure!(node.sh("systemctl is-active stranger")?.stdout == "inactive\n");
    let said = node.types(&format!("{AGENT} preflight --undo-fix --yes"))?;
    ensure!(said.stdout.contains("stranger.service"), "{}", said.all());
    ensure!(node.sh("systemctl is-active stranger")?.stdout == "active\n");
    ensure!(node.sh("systemctl is-enabled stranger")?.stdout == "enabled\n");
    node.sh("echo 4194303 > /run/yum.pid; rm -f /run/ready")?.ok()?;
    is_as_before(&node, &before, "taking the fixes back")
}

#[test]
fn the_mode_that_nobody_named_is_chosen_and_said_with_its_reason() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let stage = Stage::set(&node, &site)?;

    let said = node.types(&format!("{AGENT} preflight"))?;
    ensure!(
        said.stdout.contains("Mode: Node Installation (chosen: "),
        "{}",
        said.all()
    );
    let enrolling = stage.look("", &stage.node_arguments().replace("--mode node", ""))?;
    let because = enrolling.json["mode_because"].as_str().context("no reason")?;
    ensure!(
        enrolling.json["mode"] == "node" && because.contains("--server"),
        "{because}"
    );
    node.sh("touch /var/lib/aami/admin.key")?.ok()?;
    let server = stage.look("", "")?;
    ensure!(
        server.json["mode"] == "server" && server.json["runtime"] == "systemd",
        "{}",
        server.json["mode"]
    );
    Ok(())
}
