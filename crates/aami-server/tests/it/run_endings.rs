//! How runs end, as those who are told of it get it.

use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepSummary};
use serde_json::{Value, json};

use crate::deliveries::{quick, webhook};
use crate::house::{House, code_of, until};
use crate::receiver::Receiver;

/// Opens a run and reports that it began, and how it ended where it did; answers its id.
fn run(house: &House, token: &str, ended: Option<RunStatus>) -> String {
    let opened = house.stranger().with_bearer(token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let mut kinds = vec![RunEventKind::RunStarted {
        plan: "node".into(),
        steps: vec![StepSummary {
            id: "download".into(),
            title: "Downloading".into(),
        }],
    }];
    kinds.extend(ended.map(|status| RunEventKind::RunFinished {
        status,
        duration_ms: 9,
    }));
    let at = Timestamp::from_millis(1_800_000_000_000);
    let events = (1..).zip(kinds).map(|(seq, kind)| RunEvent { seq, at, kind });
    let installer = house.stranger().with_bearer(&run.credential);
    installer.report(&run.id, events.collect()).unwrap();
    run.id.to_string()
}

#[test]
fn a_run_that_completed_failed_was_interrupted_or_called_off_is_told_as_such() {
    // Given somebody who wants to hear how runs end
    let house = House::with(quick);
    let receiver = Receiver::new();
    webhook(&house, |wanted| {
        wanted.url = receiver.url();
        wanted.events = vec![
            "run.completed".into(),
            "run.failed".into(),
            "run.interrupted".into(),
            "run.cancelled".into(),
        ];
    });
    let token = house.token(|token| token.max_uses = Some(9)).token;

    // when runs end in every way there is,
    let ended = [RunStatus::Completed, RunStatus::Failed, RunStatus::Interrupted];
    let mut expected: Vec<(String, Value)> = Vec::new();
    let owner = json!({ "orgId": "default", "userId": null });
    for status in ended {
        let id = run(&house, &token, Some(status));
        let data =
            json!({ "runId": id, "status": status.name(), "plan": "node", "node": null, "owner": owner });
        expected.push((format!("run.{}", status.name()), data));
    }
    let id = run(&house, &token, None);
    let cancel = format!("/api/v1/runs/{id}/cancel");
    let cancelled: Value = house.admin().post(&cancel, Some(&json!({}))).unwrap();
    assert_eq!(cancelled["status"], "cancelled");
    let data = json!({ "runId": id, "plan": "node", "node": null, "owner": owner });
    expected.push(("run.cancelled".to_owned(), data));
    // and once more, which is no more news, and one that is over cannot be called off,
    let _: Value = house.admin().post(&cancel, Some(&json!({}))).unwrap();
    let over = format!(
        "/api/v1/runs/{}/cancel",
        run(&house, &token, Some(RunStatus::Completed))
    );
    let refused = house.admin().post::<_, Value>(&over, Some(&json!({})));
    assert_eq!(code_of(refused), "TRANSITION_REFUSED");
    let last = over.split('/').nth(4).unwrap().to_owned();
    let data = json!({ "runId": last, "status": "completed", "plan": "node", "node": null, "owner": owner });
    expected.push(("run.completed".to_owned(), data));

    // then each is told once, whole.
    expected.sort_by_key(|(_, data)| data["runId"].to_string());
    until("all are told", || {
        let mut told: Vec<(String, Value)> = receiver
            .got()
            .iter()
            .map(|got| {
                let body = got.json();
                (body["type"].as_str().unwrap().to_owned(), body["data"].clone())
            })
            .collect();
        told.sort_by_key(|(_, data)| data["runId"].to_string());
        if told == expected { Ok(()) } else { Err(told) }
    });
    let sentences: Vec<String> = receiver
        .got()
        .iter()
        .map(|got| got.json()["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        sentences.contains(&"Run node: failed".to_owned())
            && sentences.contains(&"Run node: cancelled".to_owned()),
        "{sentences:?}"
    );
}
