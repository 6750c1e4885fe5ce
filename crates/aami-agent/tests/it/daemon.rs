//! The daemon against a control plane that says what it is told to say: stories of connections that are kept, lost,
//! drained and refused, of reports that outlive all of that, and of commands that are done once.

mod plane;

use std::fs;
use std::time::Duration;

use aami_api::link::{CommandResult, Down, LARGEST_DOWN, NodeConfig, Order, Report, Told, Up};
use aami_model::command::NodeCommand;

use plane::{Daemon, Peer, Plane, Stage, ack};

/// A full spool may cost so many kB: what each report is known by, and one of them at a time.
const SPOOL_KB: u64 = 2_000;

/// Reads until a report satisfies `wanted`.
fn report(peer: &mut Peer, wanted: impl Fn(&Told) -> bool) -> Report {
    let up = peer.until(|up| matches!(up, Up::Report(report) if wanted(&report.what)));
    let Up::Report(report) = up else { unreachable!() };
    report
}

fn is_inventory(told: &Told) -> bool {
    matches!(told, Told::Inventory { .. })
}

/// The next result.
fn result(peer: &mut Peer) -> CommandResult {
    let up = peer.until(|up| matches!(up, Up::Result(_)));
    let Up::Result(result) = up else { unreachable!() };
    result
}

fn order(id: &str, command: NodeCommand) -> Down {
    Down::Command(Order {
        command_id: id.parse().unwrap(),
        command,
        timeout_seconds: 60,
    })
}

#[test]
fn it_greets_tells_what_it_is_and_says_goodbye() {
    // Given a node and its control plane,
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let mut daemon = Daemon::start(&stage);
    // when it connects, it says who it is by its own credential,
    let mut peer = plane.accept();
    assert_eq!(peer.bearer, stage.credential());
    let hello = peer.hello();
    assert_eq!(hello.agent_version, env!("CARGO_PKG_VERSION"));
    assert!(!hello.spool.is_empty() && !hello.boot_id.is_empty());
    // and once it is known, tells its inventory and beats.
    peer.say(&Down::ConnectionAck(ack(true)));
    let inventory = report(&mut peer, is_inventory);
    let Told::Inventory { sha256, inventory } = inventory.what else {
        unreachable!()
    };
    assert!(inventory["hostname"].is_string() && sha256.len() == 64);
    peer.say(&Down::Received { seq: 1 });
    peer.until(|up| matches!(up, Up::Heartbeat(_)));
    // When it is configured, it says so and behaves so.
    peer.say(&Down::Config(NodeConfig {
        revision: "r1".to_owned(),
        heartbeat_seconds: Some(5),
        resources_seconds: Some(10),
        ..NodeConfig::default()
    }));
    report(
        &mut peer,
        |told| matches!(told, Told::Configured { revision, refused: None } if revision == "r1"),
    );
    peer.until(|up| matches!(up, Up::Heartbeat(beat) if beat.resources.is_some()));
    // When it is stopped, it says so and ends well.
    daemon.terminate();
    peer.until(|up| matches!(up, Up::Bye { .. }));
    assert_eq!(daemon.ended(Duration::from_secs(5)), Some(0));
}

#[test]
fn it_comes_back_after_a_drain_garbage_and_a_frame_that_is_too_long() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    peer.say(&Down::Drain { spread_seconds: 0 });
    let mut peer = plane.greeted();
    peer.text("{\"type\":");
    let mut peer = plane.greeted();
    peer.text(&"x".repeat(LARGEST_DOWN + 1));
    let mut peer = plane.greeted();
    // What it does not know it passes over.
    peer.text("{\"type\":\"dance\",\"steps\":3}");
    peer.say(&order("c1", NodeCommand::RunChecks));
    peer.until(|up| matches!(up, Up::Result(_)));
}

#[test]
fn reports_outlive_a_control_plane_that_hangs_and_a_killed_agent() {
    // Given a control plane that hangs,
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let mut daemon = Daemon::start(&stage);
    stage.wait_for_spool(|text| text.contains("\"kind\":\"inventory\""));
    // when the agent is killed, and started again once the control plane answers,
    daemon.kill();
    let spool = stage.spool();
    plane.forget_who_knocked();
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.accept();
    let hello = peer.hello();
    assert!(spool.contains(&hello.spool), "the numbering is the same");
    peer.say(&Down::ConnectionAck(ack(false)));
    // then the report comes by its number, until it is kept.
    assert_eq!(report(&mut peer, is_inventory).seq, 1);
    drop(peer);
    let mut peer = plane.greeted();
    assert_eq!(report(&mut peer, is_inventory).seq, 1);
    drop(peer);
    let mut peer = plane.accept();
    peer.hello();
    let kept = aami_api::link::ConnectionAck {
        received: 1,
        ..ack(false)
    };
    peer.say(&Down::ConnectionAck(kept));
    stage.write_checks("critical");
    let next = report(&mut peer, |_| true);
    assert!(next.seq > 1, "what is kept does not come again: {next:?}");
}

#[test]
fn a_full_spool_drops_its_oldest_and_says_so() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    stage.fill_spool(4096, 0);
    let _daemon = Daemon::start(&stage);
    stage.wait_for_spool(|text| text.contains("\"kind\":\"lost\""));
    let mut peer = plane.greeted();
    let lost = report(&mut peer, |told| matches!(told, Told::Lost { .. }));
    let Told::Lost { count } = lost.what else {
        unreachable!()
    };
    assert_eq!(count, lost.seq, "what was lost and what is left make the whole");
    assert!(stage.spool().len() < 4 * 1024 * 1024);
}

#[test]
fn days_alone_take_no_more_memory_than_an_hour() {
    // Given what an agent takes that was never alone,
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let peak_of = |stage: &Stage, more: usize| {
        let daemon = Daemon::start(stage);
        // when the control plane is there for a moment and gone again, over and over,
        for status in ["ok", "critical", "warning", "ok", "critical"] {
            stage.write_checks(status);
            let mut peer = plane.greeted();
            // It keeps the first that it is told, and of the others none.
            let seq = report(&mut peer, |_| true).seq;
            peer.say(&Down::Received { seq });
            for _ in 0..more {
                report(&mut peer, |_| true);
            }
            peer.say(&Down::Drain { spread_seconds: 0 });
        }
        daemon.peak_kb()
    };
    let usual = peak_of(&stage, 0);
    // and of one whose spool is as full as it may be, in number and nearly in bytes, and overflows,
    let alone = Stage::new(&plane.address());
    alone.fill_spool(4096, 1700);
    assert!(alone.spool().len() > 7 * 1024 * 1024);
    let peak = peak_of(&alone, 50);
    // then that takes hardly more, and the spool is no longer than it may be.
    assert!(alone.spool().contains("\"kind\":\"lost\""));
    assert!(alone.spool().len() < 16 * 1024 * 1024);
    assert!(peak < usual + SPOOL_KB, "{peak} kB, usually {usual} kB");
}

#[test]
fn a_check_that_changes_its_status_is_told_once() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    stage.write_checks("ok");
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    let is_checks = |told: &Told| matches!(told, Told::Checks { .. });
    let Told::Checks { checks } = report(&mut peer, is_checks).what else {
        unreachable!()
    };
    assert_eq!(
        (checks[0].name.as_str(), checks[0].status.as_str()),
        ("mounts", "ok")
    );
    stage.write_checks("critical");
    let Told::Checks { checks } = report(&mut peer, is_checks).what else {
        unreachable!()
    };
    assert_eq!(checks[0].status, "critical");
}

#[test]
fn a_command_is_done_once_however_often_it_comes() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let mut daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    // Given a command that was accepted and done, and whose result the control plane has,
    peer.say(&order("c1", NodeCommand::Diagnose));
    peer.until(|up| matches!(up, Up::Accepted { command_id } if command_id.as_str() == "c1"));
    let first = result(&mut peer);
    assert!(first.ok && first.output.contains("=== agent"), "{first:?}");
    assert!(
        !first.output.contains(&stage.credential()),
        "it carries no secret"
    );
    peer.until(|up| matches!(up, Up::Heartbeat(_)));
    // when it comes again, over this connection or after the agent was killed, then its result is told and it is not
    // done again: its output is not there any more.
    peer.say(&order("c1", NodeCommand::Diagnose));
    let again = result(&mut peer);
    assert!(again.ok && again.output.is_empty());
    daemon.kill();
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    peer.say(&order("c1", NodeCommand::Diagnose));
    let after = result(&mut peer);
    assert_eq!(after.message, first.message);
    assert!(after.output.is_empty());
}

#[test]
fn a_result_is_told_until_the_control_plane_has_it_and_then_no_more() {
    // Given a result that was sent to a control plane that ended before it had done with it,
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    peer.say(&order("c1", NodeCommand::Diagnose));
    let first = result(&mut peer);
    drop(peer);
    // when the node is connected again, then it is told again, with all its output,
    let mut peer = plane.greeted();
    assert_eq!(result(&mut peer), first);
    // until the control plane has read on, however often it is lost then.
    peer.until(|up| matches!(up, Up::Heartbeat(_)));
    stage.wait_for_commands(|text| text.contains("\"told\":true"));
    drop(peer);
    let mut peer = plane.greeted();
    peer.say(&order("c2", NodeCommand::RunChecks));
    assert_eq!(result(&mut peer).command_id.as_str(), "c2");
}

#[test]
fn what_a_node_does_not_offer_it_says_with_a_code() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let _daemon = Daemon::start(&stage);
    let mut peer = plane.greeted();
    let version = "9.9.9".to_owned();
    for (id, command) in [
        ("c1", NodeCommand::UpdateAgent { version }),
        ("c2", NodeCommand::RunChecks),
    ] {
        peer.say(&order(id, command));
        let result = result(&mut peer);
        assert_eq!(result.command_id.as_str(), id);
        assert_eq!(result.code.as_deref(), Some("COMMAND_NOT_OFFERED"));
    }
    // Also of a newer control plane, and over the same connection.
    for (id, command) in [
        ("c4", r#"{"kind":"dance","steps":3}"#),
        (
            "c5",
            r#"{"kind":"restart_exporter","exporter":"future_exporter"}"#,
        ),
    ] {
        peer.text(&format!(
            r#"{{"type":"command","commandId":"{id}","command":{command},"timeoutSeconds":60}}"#
        ));
        let result = result(&mut peer);
        assert_eq!(result.command_id.as_str(), id);
        assert_eq!(result.code.as_deref(), Some("COMMAND_NOT_OFFERED"));
    }
    peer.say(&order("c3", NodeCommand::RefreshInventory));
    let result = result(&mut peer);
    assert!(result.ok, "{result:?}");
}

#[test]
fn a_credential_that_is_refused_is_not_tried_again_and_again() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let mut daemon = Daemon::start(&stage);
    plane.refuse(401, "UNAUTHENTICATED");
    daemon.wait_for_line("UNAUTHENTICATED");
    daemon.wait_for_metrics(|text| text.contains("\naami_agent_refused 1\n"));
    // It stays, and it stays quiet: a failure would have been tried again within seconds.
    plane.is_quiet_for(Duration::from_secs(12));
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(5)), Some(0));
}

#[test]
fn without_a_credential_of_its_own_it_ends_as_badly_configured() {
    let stage = Stage::new("http://127.0.0.1:9");
    let ended = |stage: &Stage, wanted: &str| {
        let mut daemon = Daemon::start(stage);
        assert_eq!(daemon.ended(Duration::from_secs(20)), Some(78));
        daemon.wait_for_line("NODE_NOT_ENROLLED");
        daemon.wait_for_line(wanted);
    };
    stage.mode("credential", 0o644);
    ended(&stage, "0600");
    fs::remove_file(stage.agent("credential")).unwrap();
    ended(&stage, "No such file");
    fs::remove_file(stage.agent("registration.json")).unwrap();
    ended(&stage, "not enrolled");
}

#[test]
fn without_a_control_plane_it_serves_what_it_finds_and_keeps_nothing_for_anybody() {
    // Given a node that stands on its own, with checks that found something,
    let stage = Stage::alone(8);
    stage.write_checks("critical");
    // when its daemon runs, then its metrics say what it sees, and nothing of a connection there is not;
    let mut daemon = Daemon::start(&stage);
    daemon.wait_for_line("no control plane");
    daemon.wait_for_metrics(|text| {
        text.contains("\naami_agent_info{")
            && text.contains("\naami_agent_gpus_expected 8\n")
            && text.contains("\n# TYPE aami_xid_total counter\n")
            && text.contains("\naami_agent_kernel_records_lost_total ")
            && !text.contains("aami_agent_connected")
            && !text.contains("aami_agent_spool")
    });
    // nothing waits for somebody who will never ask,
    assert!(!stage.spool().contains("\"kind\""), "{}", stage.spool());
    // and it ends well.
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_second_one_ends_at_once_and_the_metrics_say_how_the_first_stands() {
    let plane = Plane::new();
    let stage = Stage::new(&plane.address());
    let first = Daemon::start(&stage);
    let _peer = plane.greeted();
    let mut second = Daemon::start(&stage);
    assert_eq!(second.ended(Duration::from_secs(20)), Some(6));
    first.wait_for_metrics(|text| {
        text.contains("\naami_agent_connected 1\n")
            && text.contains("\naami_agent_own_reconnects_total 0\n")
            && text.contains("\naami_agent_spool_bytes ")
    });
}
