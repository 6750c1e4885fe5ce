//! `aami runs`: an installation, as its operator sees it from the control plane.

use aami_api::client::{Client, Settings};
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome, StepSummary};
use aami_model::{RunId, Timestamp};
use serde_json::json;

use crate::plane::Plane;

/// Opens a run as an installer does; answers with who reports for it.
fn opened(plane: &Plane) -> (Client, RunId) {
    let token = plane
        .aami(&["tokens", "create", "--name", "t", "-o", "json", "--show-secret"])
        .json();
    let stranger = Client::new(&Settings::new(plane.address())).unwrap();
    let installer = stranger.with_bearer(token["token"].as_str().unwrap());
    let run = installer.validate().unwrap().body.run.unwrap();
    let body = json!({ "hostname": "gpu-01", "ip_address": "127.0.0.1", "run_id": run.id, "exporters": [] });
    let _: serde_json::Value = installer.post("/api/v1/bootstrap/register", Some(&body)).unwrap();
    (stranger.with_bearer(&run.credential), run.id)
}

fn events(kinds: Vec<RunEventKind>, from: u64) -> Vec<RunEvent> {
    (from..)
        .zip(kinds)
        .map(|(seq, kind)| RunEvent {
            seq,
            at: Timestamp::from_millis(1_800_000_000_000 + i64::try_from(seq).unwrap() * 1_000),
            kind,
        })
        .collect()
}

fn begun() -> Vec<RunEventKind> {
    let step = |id: &str| StepSummary {
        id: id.into(),
        title: format!("Doing {id}"),
    };
    vec![
        RunEventKind::RunStarted {
            plan: "node".into(),
            steps: vec![step("hardware"), step("node_exporter"), step("verify")],
        },
        RunEventKind::StepStarted {
            step: "hardware".into(),
            attempt: 1,
        },
        RunEventKind::StepCompleted {
            step: "hardware".into(),
            outcome: StepOutcome::AlreadySo,
            duration_ms: 1_250,
        },
        RunEventKind::StepStarted {
            step: "node_exporter".into(),
            attempt: 3,
        },
    ]
}

#[test]
fn a_run_is_listed_shown_and_followed_to_its_end() {
    // Given an installation at work
    let plane = Plane::start();
    let (installer, id) = opened(&plane);
    installer.report(&id, events(begun(), 1)).unwrap();

    // when it is listed and shown, then each step says how it stands;
    let listed = plane.aami(&["runs", "list"]);
    for word in ["gpu-01", "node", "running", "1/3", "node_exporter"] {
        assert!(listed.out.contains(word), "{word}: {listed:?}");
    }
    let shown = plane.aami(&["runs", "show", id.as_str()]);
    assert!(
        shown.out.contains("skipped: so already") && shown.out.contains("1.2s"),
        "{shown:?}"
    );
    let shown = plane.aami(&["runs", "show", id.as_str(), "-o", "json"]).json();
    assert_eq!(shown["steps"][1]["attempts"], 3);
    assert_eq!(shown["steps"][1]["started_at"], "2027-01-15T08:00:04.000Z");
    assert_eq!(shown["hostname"], "gpu-01");
    assert_eq!(plane.aami(&["runs", "list", "--node", "gpu-02"]).out, "no runs\n");

    // and who follows it learns of its failure, with the exit code of one.
    let followed = std::thread::scope(|scope| {
        let following = scope.spawn(|| plane.aami(&["runs", "follow", id.as_str()]));
        let failed = vec![
            RunEventKind::StepFailed {
                step: "node_exporter".into(),
                code: "PORT_IN_USE".into(),
                message: "port 9100 is held by nginx".into(),
                hint: String::new(),
                details: std::collections::BTreeMap::new(),
                duration_ms: 90,
            },
            RunEventKind::RunFinished {
                status: RunStatus::Failed,
                duration_ms: 1_400,
            },
        ];
        installer.report(&id, events(failed, 5)).unwrap();
        following.join().unwrap()
    });
    assert_eq!(followed.exit, 1, "{followed:?}");
    assert!(
        followed
            .out
            .contains("Doing node_exporter: failed (90ms): PORT_IN_USE: port 9100 is held by nginx"),
        "{followed:?}"
    );
    assert!(followed.out.ends_with("failed\n"), "{followed:?}");
    let unfinished = plane.aami(&["runs", "list", "--unfinished", "-o", "wide"]);
    assert!(unfinished.out.contains("PORT_IN_USE"), "{unfinished:?}");
    assert_eq!(plane.aami(&["runs", "show", "no-such-run"]).exit, 5);
}

#[test]
fn a_run_that_is_called_off_reports_no_more_and_one_that_is_done_stays() {
    let plane = Plane::start();
    let (installer, id) = opened(&plane);
    installer.report(&id, events(begun(), 1)).unwrap();
    // What would be done is said, and not done.
    let cancel = |more: &[&str]| plane.aami(&[&["runs", "cancel", id.as_str()], more].concat());
    let would = cancel(&["--dry-run"]);
    assert!(
        would.exit == 0 && would.out.contains("would be called off"),
        "{would:?}"
    );
    let shown = plane.aami(&["runs", "show", id.as_str(), "-o", "json"]).json();
    assert_eq!(shown["status"], "running");
    // Called off, it is so; a second time as well.
    for _ in 0..2 {
        let off = cancel(&[]);
        assert_eq!((off.exit, off.out), (0, format!("{id} is cancelled\n")));
    }
    assert!(cancel(&["--dry-run"]).out.contains("called off already"));
    // Its credential has ended.
    let more = vec![RunEventKind::RunFinished {
        status: RunStatus::Completed,
        duration_ms: 1,
    }];
    assert!(installer.report(&id, events(more.clone(), 5)).is_err());
    assert_eq!(plane.aami(&["runs", "follow", id.as_str()]).exit, 1);

    // One that is completed is not called off, by either.
    let plane = Plane::start();
    let (installer, id) = opened(&plane);
    installer.report(&id, events(begun(), 1)).unwrap();
    installer.report(&id, events(more, 5)).unwrap();
    for more in [&[][..], &["--dry-run"]] {
        let said = plane.aami(&[&["runs", "cancel", id.as_str(), "-o", "json"], more].concat());
        assert!(
            said.exit != 0 && said.err.contains("TRANSITION_REFUSED"),
            "{said:?}"
        );
    }
    assert_eq!(plane.aami(&["runs", "cancel", "no-such-run"]).exit, 5);
}
