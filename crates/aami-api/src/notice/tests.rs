//! Each type as the document shows it, member by member.

use aami_model::event::Event;
use serde_json::{Value, json};

use super::{Notice, ORIGIN};

const NODE: &str = "69396100cd71623c7bbfbfee";

fn event(kind: &str, subject: &str, at: &str, data: Value) -> Event {
    serde_json::from_value(json!({
        "seq": 64, "id": "e1", "at": at, "type": kind, "org": "691eb9e6517f917943ae1f9d",
        "subject": subject, "actor": "system", "data": data,
    }))
    .unwrap()
}

fn of_node(kind: &str, at: &str, more: Value) -> Notice {
    let mut data = json!({
        "hostname": "gpu-worker-01", "status": "pending", "ip_address": "192.168.1.100",
        "owner": { "org_id": "691eb9e6517f917943ae1f9d", "user_id": "691eba08517f917943ae1fa1" },
    });
    let members = data.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    Notice::of(&event(kind, &format!("node:{NODE}"), at, data))
}

fn expected(kind: &str, at: &str, more: Value) -> Value {
    let mut data = json!({
        "nodeId": NODE, "nodeName": "gpu-worker-01",
        "owner": { "orgId": "691eb9e6517f917943ae1f9d", "userId": "691eba08517f917943ae1fa1" },
    });
    let members = data.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!({ "type": kind, "timestamp": at, "data": data })
}

#[test]
fn the_eight_types_about_a_node_have_exactly_their_members() {
    let gpu = json!([{ "model": "NVIDIA A100-SXM4-80GB", "memory_total": 85_899_345_920_u64, "uuid": "x" }]);
    let mismatch = json!({ "expected": "abc123...", "actual": "def456..." });
    let rows = [
        (
            "node.registered",
            "2025-12-11T12:00:00.000Z",
            json!({}),
            json!({ "status": "pending" }),
            "Node gpu-worker-01 was registered",
        ),
        (
            "node.installation_started",
            "2025-12-11T12:01:00.000Z",
            // The same change led further: the event tells what it led to itself.
            json!({ "status": "online" }),
            json!({ "status": "installing" }),
            "Installation of node gpu-worker-01 started",
        ),
        (
            "node.connected",
            "2025-12-11T12:05:00.000Z",
            json!({ "status": "online", "gpu_devices": gpu }),
            json!({ "status": "online", "ipAddress": "192.168.1.100",
                    "gpuDevices": [{ "model": "NVIDIA A100-SXM4-80GB", "memoryTotal": 85_899_345_920_u64 }] }),
            "Node gpu-worker-01 is now online",
        ),
        (
            "node.disconnected",
            "2025-12-11T13:00:00.000Z",
            // As the connection's own code spells it.
            json!({ "status": "offline", "disconnectReason": "heartbeat_timeout", "lastSeenAt": "2025-12-11T12:58:00.000Z" }),
            json!({ "status": "offline", "disconnectReason": "heartbeat_timeout", "lastSeenAt": "2025-12-11T12:58:00.000Z" }),
            "Node gpu-worker-01 went offline",
        ),
        (
            "node.installation_failed",
            "2025-12-11T12:02:00.000Z",
            json!({ "status": "error", "error": { "code": "CHECKSUM_MISMATCH",
                    "message": "Downloaded binary checksum does not match", "details": mismatch } }),
            json!({ "error": { "code": "CHECKSUM_MISMATCH",
                    "message": "Downloaded binary checksum does not match", "details": mismatch } }),
            "Node installation failed: Checksum mismatch",
        ),
        (
            "node.maintenance_mode",
            "2025-12-11T14:00:00.000Z",
            json!({ "status": "maintenance", "reason": "new DIMM" }),
            json!({ "status": "maintenance", "reason": "new DIMM" }),
            "Node gpu-worker-01 is in maintenance: new DIMM",
        ),
        (
            "node.resumed",
            "2025-12-11T15:00:00.000Z",
            json!({ "status": "offline" }),
            json!({ "status": "offline" }),
            "Node gpu-worker-01 is back from maintenance",
        ),
        (
            "node.decommissioned",
            "2025-12-11T16:00:00.000Z",
            json!({ "status": "inactive" }),
            json!({ "status": "inactive" }),
            "Node gpu-worker-01 was decommissioned",
        ),
    ];
    for (kind, at, stored, told, text) in rows {
        let notice = of_node(kind, at, stored);
        assert_eq!(
            serde_json::to_value(&notice).unwrap(),
            expected(kind, at, told),
            "{kind}"
        );
        assert_eq!(notice.text(), text);
        let title = notice.title();
        assert!(title.starts_with("Node ") && title.len() < 40, "{title}");
    }
}

#[test]
fn what_the_teller_did_not_know_is_empty_and_not_invented() {
    let notice = Notice::of(&event(
        "node.installation_failed",
        "node:n1",
        "2025-12-11T12:02:00.000Z",
        json!({ "hostname": "g", "reason": "no space left" }),
    ));
    assert_eq!(
        notice.data,
        json!({ "nodeId": "n1", "nodeName": "g",
            "error": { "code": "INSTALLATION_FAILED", "message": "no space left", "details": {} },
            "owner": { "orgId": "691eb9e6517f917943ae1f9d", "userId": null } })
    );
    // And nothing at all breaks nothing.
    for kind in ["node.connected", "node.disconnected", "node.purged", "x"] {
        let notice = Notice::of(&event(kind, "", "2025-12-11T12:02:00.000Z", Value::Null));
        assert!(
            notice.data["owner"].is_object() && !notice.text().is_empty(),
            "{kind}"
        );
    }
}

#[test]
fn runs_tasks_tokens_and_findings_tell_all_they_have() {
    let at = "2025-12-11T12:02:00.000Z";
    let rows = [
        (
            event(
                "run.failed",
                "run:r1",
                at,
                json!({ "status": "failed", "plan": "node", "node": "n1" }),
            ),
            json!({ "runId": "r1", "status": "failed", "plan": "node", "node": "n1" }),
            "Run node: failed",
        ),
        (
            event(
                "token.created",
                "token:t1",
                at,
                json!({ "name": "rack 7", "max_uses": 4 }),
            ),
            json!({ "tokenId": "t1", "name": "rack 7", "maxUses": 4 }),
            "Token rack 7: created",
        ),
        (
            event("task.completed", "task:k1", at, json!({ "hostname": "gpu-9" })),
            json!({ "taskId": "k1", "hostname": "gpu-9" }),
            "Task gpu-9: completed",
        ),
        (
            event(
                "finding.raised",
                "node:n1",
                at,
                json!({ "node_name": "gpu-9", "summary": "7 of 8 GPUs are there" }),
            ),
            json!({ "nodeId": "n1", "nodeName": "gpu-9", "summary": "7 of 8 GPUs are there" }),
            "gpu-9: 7 of 8 GPUs are there",
        ),
    ];
    for (event, mut told, text) in rows {
        told["owner"] = json!({ "orgId": "691eb9e6517f917943ae1f9d", "userId": null });
        let notice = Notice::of(&event);
        assert_eq!((notice.data.clone(), notice.text().as_str()), (told, text));
    }
}

#[test]
fn what_another_control_plane_told_is_passed_on_as_it_came() {
    let told = json!({ "type": "node.connected", "timestamp": "2025-12-11T12:05:00.000Z",
        "data": { "nodeId": "theirs", "nodeName": "far-1", "status": "online" } });
    let stored = event(
        "node.connected",
        "remote:theirs",
        "2026-01-01T00:00:00.000Z",
        json!({ ORIGIN: { "notice": told, "by": "key:k" } }),
    );
    let notice = Notice::of(&stored);
    assert_eq!(serde_json::to_value(&notice).unwrap(), told);
    assert_eq!(notice.text(), "Node far-1 is now online");
    // With words beside it, for those who show them.
    let worded = serde_json::to_value(notice.worded()).unwrap();
    assert_eq!(worded["title"], "Node online");
    assert_eq!(worded["data"], told["data"]);
}
