//! What is shown of each thing: from the documents of the view to frames.

use aami_api::dashboard::{About, Hardware, Plane, Progress, Status, Told, What};
use aami_model::event::Event;
use aami_model::node::Node;
use aami_model::run::StepStatus;
use aami_model::{NodeId, OrgId, RunId};
use serde_json::{Map, Value, json};

use super::frame::{Draft, Key, Stay};
use super::progress::Fraction;
use crate::view::document::RunDocument;

/// How many disks, cards and GPUs are shown, and how long a text of one may be.
const MOST_PARTS: usize = 64;
const LONGEST_TEXT: usize = 128;

fn of_node(id: &NodeId) -> About {
    About {
        node_id: Some(id.clone()),
        ..About::default()
    }
}

fn of_run(run: &RunDocument) -> About {
    About {
        run_id: Some(run.id.clone()),
        node_id: run.node.clone(),
        ..About::default()
    }
}

/// A node's row.
pub(super) fn node(node: &Node) -> Draft {
    let what = What::Status(Status {
        about: of_node(&node.id),
        status: node.status.name().to_owned(),
        org: node.org.clone(),
        hostname: Some(node.hostname.to_string()),
        plan: None,
        since: Some(node.status_since),
        reason: node.status_reason.clone(),
        expected_until: node.expected_until(),
        reachable: Some(node.reachable),
    });
    let key = Some(Key::Node(node.id.clone()));
    Draft::new(key, node.org.clone(), Stay::Row, Plane::State, &what)
}

/// That a node is no more.
pub(super) fn node_gone(id: &NodeId, org: OrgId) -> Draft {
    let what = What::Removed(of_node(id));
    Draft::new(
        Some(Key::Node(id.clone())),
        org,
        Stay::Passing,
        Plane::State,
        &what,
    )
}

/// A run's row; one that is over is told once more and then is no row any longer.
pub(super) fn run(run: &RunDocument) -> Draft {
    let failed = run.steps.iter().find_map(|step| step.error.clone());
    let what = What::Status(Status {
        about: of_run(run),
        status: run.status.name().to_owned(),
        org: run.org.clone(),
        // Where no node says on which host it is.
        hostname: run.host.as_ref().map(ToString::to_string),
        plan: run.plan.clone(),
        since: Some(run.started_at.unwrap_or(run.created_at)),
        reason: failed,
        ..Status::default()
    });
    let stay = if run.status.is_final() {
        Stay::Passing
    } else {
        Stay::Row
    };
    Draft::new(
        Some(Key::Run(run.id.clone())),
        run.org.clone(),
        stay,
        Plane::State,
        &what,
    )
}

/// That a run is no more.
pub(super) fn run_gone(id: &RunId, org: OrgId) -> Draft {
    let what = What::Removed(About {
        run_id: Some(id.clone()),
        ..About::default()
    });
    Draft::new(
        Some(Key::Run(id.clone())),
        org,
        Stay::Passing,
        Plane::State,
        &what,
    )
}

/// How far a run is: its steps count alike.
pub(super) fn progress(run: &RunDocument, fraction: Option<&Fraction>) -> Draft {
    let all = run.steps.len().max(1);
    let done = run
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Completed);
    let current = run
        .steps
        .iter()
        .find(|step| step.status == StepStatus::InProgress);
    let current = current.or_else(|| run.steps.iter().find(|step| step.status != StepStatus::Completed));
    let fraction = fraction.filter(|known| current.is_some_and(|step| step.id == known.step));
    let thousandths = done.count() * 1000 + fraction.map_or(0, |known| usize::from(known.thousandths));
    let what = What::Progress(Progress {
        about: of_run(run),
        percentage: u8::try_from(thousandths / (all * 10)).unwrap_or(100).min(100),
        stage: current.map(|step| step.id.clone()).unwrap_or_default(),
        message: match fraction {
            Some(known) if !known.message.is_empty() => known.message.clone(),
            _ => current.map(|step| step.title.clone()).unwrap_or_default(),
        },
    });
    let key = Some(Key::Progress(run.id.clone()));
    Draft::new(key, run.org.clone(), Stay::Row, Plane::Live, &what)
}

/// What a node is made of, in short. An inventory is a stranger's word: only known members of it, cut.
pub(super) fn hardware(id: &NodeId, org: OrgId, inventory: &Value) -> Draft {
    let what = What::Hardware(Hardware {
        about: of_node(id),
        hardware: in_short(inventory),
    });
    let key = Some(Key::Hardware(id.clone()));
    Draft::new(key, org, Stay::Passing, Plane::State, &what)
}

/// That something happened.
pub(super) fn event(event: &Event) -> Draft {
    let what = What::Event(Box::new(Told::from(event)));
    Draft::new(None, event.org.clone(), Stay::Passing, Plane::State, &what)
}

fn in_short(inventory: &Value) -> Value {
    const GIB: u64 = 1024 * 1024 * 1024;
    let memory = inventory["memory_bytes"].as_u64();
    json!({
        "cpu": members(&inventory["cpu"], &["model", "cores"]),
        "memory": { "total_gb": memory.map(|bytes| bytes.saturating_add(GIB / 2) / GIB) },
        "disks": parts(&inventory["disks"], &["name", "size_bytes", "model", "serial", "rotational"]),
        "nics": parts(&inventory["nics"], &["name", "permanent_mac", "link", "speed_mbit"]),
        "gpus": parts(&inventory["gpus"]["gpus"], &["vendor", "model", "memory_bytes", "pci_address", "uuid"]),
    })
}

fn parts(list: &Value, names: &[&str]) -> Value {
    let parts = list.as_array().into_iter().flatten().take(MOST_PARTS);
    Value::Array(parts.map(|part| members(part, names)).collect())
}

/// These members, where they are numbers, truths or texts.
fn members(part: &Value, names: &[&str]) -> Value {
    let mut kept = Map::new();
    for name in names {
        let value = match &part[*name] {
            Value::String(text) => {
                let text: String = text
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(LONGEST_TEXT)
                    .collect();
                json!(text)
            }
            Value::Number(number) => Value::Number(number.clone()),
            Value::Bool(truth) => json!(truth),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        kept.insert((*name).to_owned(), value);
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use aami_api::dashboard::Frame;

    use super::*;

    fn document(draft: Draft) -> Frame {
        serde_json::from_str(&draft.number(1).text()).unwrap()
    }

    fn a_run(statuses: &[StepStatus]) -> RunDocument {
        let steps = statuses.iter().enumerate();
        let steps: Vec<Value> = steps
            .map(|(n, status)| json!({ "id": format!("step_{n}"), "title": format!("Step {n}"), "status": status }))
            .collect();
        serde_json::from_value(json!({
            "id": "r1", "org": "red", "node": "n1", "credential_hash": "", "expires_at": "2026-01-01T00:00:00.000Z",
            "status": "running", "steps": steps, "created_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_run_is_as_far_as_its_steps_and_the_fraction_of_the_one_at_work() {
        use StepStatus::{Completed, InProgress, Pending};
        let half = Fraction::new("step_1", 0.5, "half of it");
        let other = Fraction::new("step_0", 0.9, "over");
        for (statuses, fraction, percentage, stage, message) in [
            (&[][..], None, 0, "", ""),
            (&[Pending, Pending], None, 0, "step_0", "Step 0"),
            (
                &[Completed, InProgress, Pending, Pending],
                None,
                25,
                "step_1",
                "Step 1",
            ),
            (
                &[Completed, InProgress, Pending, Pending],
                Some(&half),
                37,
                "step_1",
                "half of it",
            ),
            // What is known of a step that is over counts no more.
            (
                &[Completed, InProgress, Pending, Pending],
                Some(&other),
                25,
                "step_1",
                "Step 1",
            ),
            (&[Completed, Completed], Some(&half), 100, "", ""),
        ] {
            let frame = document(progress(&a_run(statuses), fraction));
            assert_eq!(frame.plane, Plane::Live);
            let What::Progress(told) = frame.what else {
                panic!()
            };
            assert_eq!(
                (told.percentage, told.stage.as_str(), told.message.as_str()),
                (percentage, stage, message)
            );
            assert_eq!(told.about.run_id.unwrap().as_str(), "r1");
        }
    }

    #[test]
    fn an_inventory_that_is_nonsense_makes_a_small_frame() {
        let id: NodeId = "n1".parse().unwrap();
        let gpu = json!({ "model": "H\u{7}100".repeat(1000), "memory_bytes": 80, "secret": "x", "uuid": { "a": 1 } });
        let inventory = json!({
            "cpu": { "model": "EPYC", "cores": 28, "flags": ["a"] }, "memory_bytes": 274_877_906_944_u64,
            "disks": "none", "gpus": { "gpus": vec![gpu; 10_000] },
        });
        let draft = hardware(&id, OrgId::default(), &inventory);
        let text = draft.number(1).text();
        assert!(text.len() < 20_000, "{}", text.len());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["hardware"]["cpu"], json!({ "model": "EPYC", "cores": 28 }));
        assert_eq!(value["hardware"]["memory"]["total_gb"], 256);
        assert_eq!(value["hardware"]["disks"], json!([]));
        assert_eq!(value["hardware"]["gpus"][0].as_object().unwrap().len(), 2);
        for nonsense in [Value::Null, json!([]), json!("x"), json!({ "gpus": 3 })] {
            document(hardware(&id, OrgId::default(), &nonsense));
        }
    }
}
