//! A whole fleet that enrols at once, with one token.

use std::sync::atomic::{AtomicUsize, Ordering};

use aami_api::register::ExporterInfo;
use aami_api::token::Validated;
use aami_model::Timestamp;
use aami_model::exporter::ExporterKind;
use aami_model::node_status::NodeStatus;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome, StepSummary};
use serde_json::Value;

use crate::discovery::metrics_server;
use crate::house::{House, Machine};

const FLEET: usize = 1000;
/// How many install at the same moment.
const AT_ONCE: usize = 50;

#[test]
fn a_thousand_machines_bootstrap_with_one_token_and_none_fails() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(u32::try_from(FLEET).unwrap()));
    let exporter = metrics_server();
    // When each does what an installer does: opens a run, reports, registers, verifies, reports the end;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= FLEET {
                        break;
                    }
                    bootstrap(&house, &token.token, n, exporter);
                }
            });
        }
    });
    // then each is a node of its own, online, with its run completed, and every use is used.
    let admin = house.admin();
    let view: Value = admin
        .get(&format!("/api/v1/bootstrap-tokens/{}", token.view.id))
        .unwrap();
    assert_eq!((&view["used"], &view["remaining"]), (&FLEET.into(), &0.into()));
    let targets: Value = admin.get("/api/v1/sd/prometheus").unwrap();
    assert_eq!(targets.as_array().unwrap().len(), FLEET);
    let status: Value = admin.get("/api/v1/status").unwrap();
    assert_eq!(status["nodes"]["online"], FLEET, "{status}");
}

fn bootstrap(house: &House, token: &str, n: usize, exporter: u16) {
    let stranger = house.stranger();
    let opened: Validated = stranger.with_bearer(token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let installer = stranger.with_bearer(&run.credential);
    let report = |events: Vec<RunEventKind>, from: u64| {
        let events = events.into_iter().zip(from..).map(|(kind, seq)| RunEvent {
            seq,
            at: Timestamp::EPOCH,
            kind,
        });
        installer.report(&run.id, events.collect()).unwrap();
    };
    let step = || "register".to_owned();
    let steps = vec![StepSummary {
        id: step(),
        title: "Registering".into(),
    }];
    let plan = "node".into();
    report(
        vec![
            RunEventKind::RunStarted { plan, steps },
            RunEventKind::StepStarted {
                step: step(),
                attempt: 1,
            },
        ],
        1,
    );
    let machine = Machine::numbered(&format!("gpu-{n:04}"), n as u64 + 1).with(|r| {
        r.ip_address = "127.0.0.1".into();
        r.exporters = vec![ExporterInfo::new(ExporterKind::NodeExporter, exporter)];
        r.run_id = Some(run.id.clone());
    });
    let node = machine.register(&stranger, token).unwrap().node;
    let verified = stranger
        .with_bearer(&machine.credential)
        .verify(&node.id)
        .unwrap();
    assert!(
        verified.verified && verified.status == NodeStatus::Online,
        "{verified:?}"
    );
    report(
        vec![
            RunEventKind::StepCompleted {
                step: step(),
                outcome: StepOutcome::Changed,
                duration_ms: 1,
            },
            RunEventKind::RunFinished {
                status: RunStatus::Completed,
                duration_ms: 2,
            },
        ],
        3,
    );
}
