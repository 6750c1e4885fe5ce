//! How far installations are, as Prometheus learns it from the control plane.

use std::time::Duration;

use aami_api::client::Client;
use aami_api::key::CreateKey;
use aami_api::run::OpenRun;
use aami_model::access::Role;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome, StepSummary};
use aami_model::{RunId, Timestamp};
use serde_json::Value;

use crate::house::{House, Machine, code_of};

/// Opens a run and says what its first events are: `hardware` holds, `verify` is at work.
fn at_work(house: &House, token: &str) -> (Client, RunId, String) {
    let run = house
        .stranger()
        .with_bearer(token)
        .validate()
        .unwrap()
        .body
        .run
        .unwrap();
    let installer = house.stranger().with_bearer(&run.credential);
    let step = |id: &str| StepSummary {
        id: id.into(),
        title: id.into(),
    };
    let kinds = vec![
        RunEventKind::RunStarted {
            plan: "node".into(),
            steps: vec![step("hardware"), step("verify")],
        },
        RunEventKind::StepStarted {
            step: "hardware".into(),
            attempt: 1,
        },
        RunEventKind::StepCompleted {
            step: "hardware".into(),
            outcome: StepOutcome::Changed,
            duration_ms: 1_250,
        },
        RunEventKind::StepStarted {
            step: "verify".into(),
            attempt: 1,
        },
    ];
    report(&installer, &run.id, 1, kinds);
    (installer, run.id, run.credential)
}

fn report(installer: &Client, run: &RunId, from: u64, kinds: Vec<RunEventKind>) {
    let events = (from..)
        .zip(kinds)
        .map(|(seq, kind)| RunEvent {
            seq,
            at: Timestamp::from_millis(1_800_000_000_000),
            kind,
        })
        .collect();
    installer.report(run, events).unwrap();
}

fn lines(client: &Client) -> Vec<String> {
    let text = client.text("/metrics").unwrap();
    text.lines()
        .filter(|line| line.starts_with("aami_install_") && !line.starts_with("aami_install_failures_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_last_run_on_each_host_is_told_for_a_day() {
    // Given a machine whose first run failed and whose second is at work
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|t| t.max_uses = Some(5)).token;
    assert!(lines(&admin).is_empty());
    let (first, id, _) = at_work(&house, &token);
    let unknown = lines(&admin);
    assert!(
        unknown.contains(&format!(
            r#"aami_install_step_status{{cluster="default",plan="node",run="{id}",step="verify"}} 1"#
        )),
        "{unknown:#?}"
    );
    let machine = Machine::new("gpu-01", 1);
    machine
        .clone()
        .with(|r| r.run_id = Some(id.clone()))
        .register(&house.stranger(), &token)
        .unwrap();
    let failed = RunEventKind::StepFailed {
        step: "verify".into(),
        code: "NOT_VERIFIED".into(),
        message: "refused".into(),
        hint: String::new(),
        details: std::collections::BTreeMap::new(),
        duration_ms: 30,
    };
    report(&first, &id, 5, vec![failed]);
    let after_first = lines(&admin);
    let verify = r#"{cluster="default",host="gpu-01",plan="node",step="verify"}"#;
    assert!(
        after_first.contains(&format!("aami_install_step_status{verify} 3")),
        "{after_first:#?}"
    );
    house.forward(Duration::from_secs(60));
    let (_, second, _) = at_work(&house, &token);
    machine
        .with(|r| r.run_id = Some(second.clone()))
        .register(&house.stranger(), &token)
        .unwrap();

    // when Prometheus asks, then it is told of the second, and once;
    let told = lines(&admin);
    for line in [
        format!("aami_install_step_status{verify} 1"),
        r#"aami_install_step_duration_seconds{cluster="default",host="gpu-01",plan="node",step="hardware"} 1.25"#.into(),
        r#"aami_install_progress_ratio{cluster="default",host="gpu-01",plan="node"} 0.5"#.into(),
        r#"aami_install_started_timestamp_seconds{cluster="default",host="gpu-01",plan="node"} 1800000000"#.into(),
    ] {
        assert_eq!(told.iter().filter(|is| **is == line).count(), 1, "{line} in {told:#?}");
    }
    assert!(!told.iter().any(|line| line.ends_with(" 3")), "{told:#?}");

    // who is of another organisation is told nothing;
    let foreign = admin
        .create_key(&CreateKey {
            name: "foreign".into(),
            role: Some(Role::Admin),
            orgs: vec!["other".parse().unwrap()],
            ..CreateKey::default()
        })
        .unwrap();
    assert!(lines(&house.stranger().with_bearer(&foreign.key)).is_empty());

    // and a day after its last report nobody is.
    house.forward(Duration::from_secs(24 * 3600 + 61));
    assert!(lines(&admin).is_empty());
}

#[test]
fn an_installation_that_no_token_began_is_told_by_the_name_of_its_host() {
    // Given an operator who opened two runs of the installation of one host,
    let house = House::new();
    let admin = house.admin();
    let wanted = OpenRun {
        hostname: "server-1".parse().unwrap(),
        org: None,
    };
    let step = StepSummary {
        id: "finalize".into(),
        title: "Finalizing".into(),
    };
    let began = RunEventKind::RunStarted {
        plan: "stack".into(),
        steps: vec![step],
    };
    let ended = |failed: bool| {
        let step = "finalize".to_owned();
        if failed {
            RunEventKind::StepFailed {
                step,
                code: "STEP_FAILED".into(),
                message: "it did not".into(),
                hint: String::new(),
                details: std::collections::BTreeMap::new(),
                duration_ms: 5,
            }
        } else {
            RunEventKind::StepCompleted {
                step,
                outcome: StepOutcome::Changed,
                duration_ms: 5,
            }
        }
    };
    for failed in [true, false] {
        let opened = admin.open_run(&wanted).unwrap();
        let run = house.stranger().with_bearer(&opened.credential);
        report(&run, &opened.id, 1, vec![began.clone(), ended(failed)]);
        // What it may do is to report, and nothing else.
        assert!(run.open_run(&wanted).is_err());
        house.forward(Duration::from_secs(60));
    }
    // when somebody looks, then both are there by its name,
    let runs: Value = admin.get("/api/v1/runs").unwrap();
    let hosts: Vec<&Value> = (runs["items"].as_array().unwrap().iter())
        .map(|run| &run["hostname"])
        .collect();
    assert_eq!(hosts, ["server-1", "server-1"]);
    // and Prometheus is told of the last one.
    let told = lines(&admin);
    let line =
        r#"aami_install_step_status{cluster="default",host="server-1",plan="stack",step="finalize"} 2"#;
    assert!(told.contains(&line.to_owned()), "{told:#?}");
    assert!(!told.iter().any(|line| line.ends_with(" 3")), "{told:#?}");
}

#[test]
fn runs_that_nobody_ends_are_opened_so_many_times_and_no_more() {
    let house = House::with(|config| config.open_rate = 10_000);
    let admin = house.admin();
    let wanted = OpenRun {
        hostname: "server-1".parse().unwrap(),
        org: None,
    };
    for _ in 0..100 {
        admin.open_run(&wanted).unwrap();
    }
    assert_eq!(code_of(admin.open_run(&wanted)), "TOO_MANY_RUNS");
}

#[test]
fn installations_that_failed_are_counted_by_their_code_from_zero_on() {
    let house = House::new();
    let admin = house.admin();
    let count = |code: &str| -> u64 {
        let text = admin.text("/metrics").unwrap();
        let name = format!("aami_install_failures_total{{code=\"{code}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .parse()
            .unwrap()
    };
    // Given nothing has failed, then there is a series to begin at,
    assert_eq!((count("NOT_VERIFIED"), count("OTHER")), (0, 0));
    // when one fails with a code of ours and another with a word of its own,
    let token = house.token(|t| t.max_uses = Some(5)).token;
    for (seed, name, code) in [(1, "gpu-01", "NOT_VERIFIED"), (2, "gpu-02", "HA\"CKED")] {
        let (installer, id, _) = at_work(&house, &token);
        Machine::new(name, seed)
            .with(|r| r.run_id = Some(id.clone()))
            .register(&house.stranger(), &token)
            .unwrap();
        let failed = RunEventKind::StepFailed {
            step: "verify".into(),
            code: code.into(),
            message: "refused".into(),
            hint: String::new(),
            details: std::collections::BTreeMap::new(),
            duration_ms: 30,
        };
        let ended = RunEventKind::RunFinished {
            status: RunStatus::Failed,
            duration_ms: 60,
        };
        report(&installer, &id, 5, vec![failed.clone(), ended.clone()]);
        // The same again is the same failure.
        report(&installer, &id, 5, vec![failed, ended]);
    }
    // then each is counted once.
    assert_eq!((count("NOT_VERIFIED"), count("OTHER")), (1, 1));
}
