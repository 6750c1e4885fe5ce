//! Who changed what: every call that may change something, made once with success, leaves one entry that names its
//! caller, or stands here with the reason why it leaves none.

use std::collections::BTreeSet;

use aami_api::client::{Client, ClientError};
use aami_api::event::AuditEntry;
use aami_api::key::CreateKey;
use aami_api::token::Validated;
use aami_model::access::Scope;
use serde_json::{Value, json};

use crate::access::MATRIX;
use crate::deliveries::{declare, deliveries};
use crate::house::{House, until};
use crate::link::{Agent, enrolled};
use crate::receiver::{Receiver, answer};
use crate::script::house_with;

/// Somebody who calls, and as whom the audit knows them.
struct Who {
    client: Client,
    actor: String,
}

/// What a call leaves behind.
#[derive(Clone, Copy)]
enum Leaves {
    /// One entry of this action.
    Entry(&'static str),
    /// None of the caller's; the reason is for whoever reads this.
    Nothing(&'static str),
}

use Leaves::{Entry, Nothing};

/// Calls, and looks what each left in the audit.
struct Desk {
    house: House,
    after: u64,
    called: BTreeSet<(&'static str, &'static str)>,
}

impl Desk {
    /// The actions that this caller has entries of since the last look.
    fn entries(&mut self, actor: &str) -> Vec<String> {
        let page = self.house.admin().audit(self.after, 1000).unwrap();
        self.after = page.last_seq;
        // That a batch is done is noted when it is, in the name of who began it.
        let is_own = |entry: &AuditEntry| entry.actor == actor && entry.action != "batch.complete";
        let own = page.entries.into_iter().filter(is_own);
        own.map(|entry| entry.action).collect()
    }

    /// Makes a call that has to succeed; `id` stands where the path has its braces.
    fn call(
        &mut self,
        who: &Who,
        row: (&'static str, &'static str),
        id: &str,
        body: Value,
        leaves: Leaves,
    ) -> Value {
        self.entries(&who.actor);
        let answer = ask(&who.client, row, id, &body).unwrap_or_else(|error| panic!("{row:?}: {error}"));
        let found = self.entries(&who.actor);
        match leaves {
            Entry(action) => assert_eq!(found, [action], "{row:?} by {}", who.actor),
            Nothing(reason) => assert!(found.is_empty(), "{row:?} left {found:?}, although: {reason}"),
        }
        self.called.insert(row);
        answer
    }
}

fn ask(client: &Client, (method, path): (&str, &str), id: &str, body: &Value) -> Result<Value, ClientError> {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { id } else { part });
    let path = parts.collect::<Vec<_>>().join("/");
    let method: ureq::http::Method = method.parse().unwrap();
    let body = (method != ureq::http::Method::DELETE).then_some(body);
    Ok(client.call::<Value, Value>(method, &path, body, &[])?.body)
}

fn id_of(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_call_that_changes_something_leaves_an_entry_with_its_caller() {
    // Given a site with a node whose agent is connected, and those who may change something there
    let house = house_with("an agent");
    let admin = Who {
        client: house.admin(),
        actor: format!("key:{}", house.admin().keys().unwrap().items[0].id),
    };
    let (machine, node) = enrolled(&house, "gpu-01", 1);
    let (agent, _) = Agent::connect(&house, &machine);
    let token = house.token(|token| token.max_uses = Some(50));
    let bearer = Who {
        client: house.stranger().with_bearer(&token.token),
        actor: format!("token:{}", token.view.id),
    };
    let own = Who {
        client: house.stranger().with_bearer(&machine.credential),
        actor: format!("node:{node}"),
    };
    let wanted = CreateKey {
        name: "far".into(),
        scopes: vec![Scope::EventsIn],
        ..CreateKey::default()
    };
    let key = house.admin().create_key(&wanted).unwrap();
    let far = Who {
        client: house.stranger().with_bearer(&key.key),
        actor: format!("key:{}", key.view.id),
    };
    let mut desk = Desk {
        house,
        after: 0,
        called: BTreeSet::new(),
    };
    let node = node.as_str();

    // when each changes something, then that stands in the audit: tokens and what is done with them,
    let row = ("POST", "/api/v1/bootstrap-tokens");
    let made = desk.call(&admin, row, "", json!({ "name": "t" }), Entry("token.create"));
    let made = made["id"]
        .as_str()
        .or(made["view"]["id"].as_str())
        .unwrap()
        .to_owned();
    let row = ("PATCH", "/api/v1/bootstrap-tokens/{token}");
    desk.call(&admin, row, &made, json!({ "max_uses": 7 }), Entry("token.edit"));
    let row = ("DELETE", "/api/v1/bootstrap-tokens/{token}");
    desk.call(&admin, row, &made, Value::Null, Entry("token.revoke"));
    let row = ("POST", "/api/v1/bootstrap-tokens/validate");
    let opened = desk.call(&bearer, row, "", json!({}), Entry("run.open"));
    let opened: Validated = serde_json::from_value(opened).unwrap();
    let run = opened.run.unwrap();
    for (name, row) in [
        ("plain-1", ("POST", "/api/v1/bootstrap/register")),
        ("plain-2", ("POST", "/api/v1/bootstrap-tokens/register")),
    ] {
        let body = json!({ "hostname": name, "ip_address": "127.9.2.20" });
        desk.call(&bearer, row, "", body, Entry("node.register"));
    }
    // runs,
    let installer = Who {
        client: desk.house.stranger().with_bearer(&run.credential),
        actor: format!("run:{}", run.id),
    };
    let begun =
        json!({ "seq": 1, "at": "2027-01-01T00:00:00Z", "type": "run_started", "plan": "node", "steps": [] });
    let row = ("POST", "/api/v1/runs/{run}/events");
    desk.call(
        &installer,
        row,
        run.id.as_str(),
        json!({ "events": [begun] }),
        Entry("run.report"),
    );
    let row = ("POST", "/api/v1/runs/{run}/cancel");
    desk.call(&admin, row, run.id.as_str(), json!({}), Entry("run.cancel"));

    let row = ("POST", "/api/v1/runs");
    desk.call(
        &admin,
        row,
        "",
        json!({ "hostname": "gpu-up" }),
        Entry("run.open"),
    );

    // exporters,
    let body = json!({ "node_id": node, "type": "custom", "name": "x", "port": 9999 });
    let made = id_of(&desk.call(
        &admin,
        ("POST", "/api/v1/exporters"),
        "",
        body,
        Entry("exporter.create"),
    ));
    let row = ("PATCH", "/api/v1/exporters/{exporter}");
    desk.call(
        &admin,
        row,
        &made,
        json!({ "enabled": false }),
        Entry("exporter.edit"),
    );
    let row = ("DELETE", "/api/v1/exporters/{exporter}");
    desk.call(&admin, row, &made, Value::Null, Entry("exporter.delete"));

    // groups and their rollouts,
    let row = ("POST", "/api/v1/groups");
    let group = id_of(&desk.call(&admin, row, "", json!({ "name": "g" }), Entry("group.create")));
    let row = ("PATCH", "/api/v1/groups/{group}");
    desk.call(
        &admin,
        row,
        &group,
        json!({ "description": "racks" }),
        Entry("group.edit"),
    );
    let row = ("PUT", "/api/v1/groups/{group}/rollout");
    desk.call(
        &admin,
        row,
        &group,
        json!({ "version": "9.9.9" }),
        Entry("rollout.start"),
    );
    let row = ("POST", "/api/v1/groups/{group}/rollout/pause");
    desk.call(&admin, row, &group, json!({}), Entry("rollout.move"));
    let row = ("POST", "/api/v1/groups/{group}/rollout/resume");
    desk.call(&admin, row, &group, json!({}), Entry("rollout.move"));
    let row = ("DELETE", "/api/v1/groups/{group}/rollout");
    desk.call(&admin, row, &group, Value::Null, Entry("rollout.stop"));

    // checks, rules and the Prometheuses they go to,
    let body = json!({ "name": "c", "script": "exit 0" });
    let made = id_of(&desk.call(
        &admin,
        ("POST", "/api/v1/checks"),
        "",
        body,
        Entry("check.create"),
    ));
    let row = ("PATCH", "/api/v1/checks/{check}");
    desk.call(
        &admin,
        row,
        &made,
        json!({ "description": "d" }),
        Entry("check.edit"),
    );
    let row = ("DELETE", "/api/v1/checks/{check}");
    desk.call(&admin, row, &made, Value::Null, Entry("check.delete"));
    let row = ("POST", "/api/v1/alerts/rules");
    let made = id_of(&desk.call(&admin, row, "", json!({ "group": "g" }), Entry("rules.create")));
    let row = ("PATCH", "/api/v1/alerts/rules/{set}");
    desk.call(
        &admin,
        row,
        &made,
        json!({ "description": "d" }),
        Entry("rules.edit"),
    );
    let row = ("DELETE", "/api/v1/alerts/rules/{set}");
    desk.call(&admin, row, &made, Value::Null, Entry("rules.delete"));
    let body = json!({ "name": "p", "url": "http://127.0.0.1:1", "node": "gpu-01" });
    let row = ("POST", "/api/v1/prometheuses");
    let made = id_of(&desk.call(&admin, row, "", body, Entry("prometheus.create")));
    let row = ("PATCH", "/api/v1/prometheuses/{prometheus}");
    desk.call(
        &admin,
        row,
        &made,
        json!({ "url": "http://127.0.0.1:2" }),
        Entry("prometheus.edit"),
    );
    let bundle: Value = own
        .client
        .get(&format!("/api/v1/prometheuses/{made}/bundle"))
        .unwrap();
    let loaded = json!({ "sha256": bundle["sha256"], "result": "loaded" });
    let row = ("POST", "/api/v1/prometheuses/{prometheus}/loaded");
    desk.call(&own, row, &made, loaded, Entry("prometheus.loaded"));
    let row = ("DELETE", "/api/v1/prometheuses/{prometheus}");
    desk.call(&admin, row, &made, Value::Null, Entry("prometheus.delete"));

    // keys, and what is told to others and by them,
    let row = ("POST", "/api/v1/keys");
    let body = json!({ "name": "k", "role": "viewer" });
    let made = desk.call(&admin, row, "", body, Entry("key.create"));
    let made = made["id"]
        .as_str()
        .or(made["view"]["id"].as_str())
        .unwrap()
        .to_owned();
    let row = ("DELETE", "/api/v1/keys/{key}");
    desk.call(&admin, row, &made, Value::Null, Entry("key.revoke"));
    let row = ("POST", "/api/v1/tickets");
    let reason = "that somebody looks is no change to anything";
    desk.call(&admin, row, "", json!({}), Nothing(reason));
    let told = json!({ "type": "node.connected", "timestamp": "2027-01-01T00:00:00.000Z",
        "data": { "nodeId": "abc", "nodeName": "far-1", "status": "online", "owner": { "orgId": "default", "userId": null } } });
    desk.call(&far, ("POST", "/events"), "", told, Entry("event.receive"));
    webhooks(&mut desk, &admin);

    // and nodes, from the first to the last.
    let row = ("POST", "/api/v1/nodes");
    let body = json!({ "hostname": "gpu-02", "ip_address": "127.9.2.2" });
    desk.call(&admin, row, "", body, Entry("node.declare"));
    let row = ("PATCH", "/api/v1/nodes/{node}");
    desk.call(
        &admin,
        row,
        node,
        json!({ "labels": { "rack": "A1" } }),
        Entry("node.edit"),
    );
    let row = ("POST", "/api/v1/nodes/{node}/verify");
    let reason = "it looks; what it finds is an observation and an event, and nobody's decision";
    desk.call(&admin, row, node, json!({}), Nothing(reason));
    let row = ("PUT", "/api/v1/nodes/{node}/inventory");
    desk.call(
        &admin,
        row,
        node,
        json!({ "hostname": "gpu-01" }),
        Entry("node.inventory"),
    );
    let row = ("POST", "/api/v1/nodes/{node}/commands");
    let body = json!({ "command": { "kind": "run_checks" } });
    desk.call(&admin, row, node, body, Entry("node.command"));
    for (row, action) in [
        (("POST", "/api/v1/nodes/{node}/maintenance"), "node.maintenance"),
        (("POST", "/api/v1/nodes/{node}/resume"), "node.resume"),
        (
            ("POST", "/api/v1/nodes/{node}/allow-reenrol"),
            "node.allow_reenrol",
        ),
        (("POST", "/api/v1/nodes/{node}/token"), "node.token"),
        (("POST", "/api/v1/nodes/{node}/rotate"), "node.rotate"),
        (("POST", "/api/v1/nodes/{node}/decommission"), "node.retire"),
        (("POST", "/api/v1/nodes/{node}/restore"), "node.restore"),
    ] {
        desk.call(&admin, row, node, json!({}), Entry(action));
    }
    let row = ("DELETE", "/api/v1/nodes/{node}");
    desk.call(&admin, row, node, Value::Null, Entry("node.retire"));
    desk.call(&admin, row, node, Value::Null, Entry("node.purge"));
    let row = ("DELETE", "/api/v1/groups/{group}");
    desk.call(&admin, row, &group, Value::Null, Entry("group.delete"));

    batches(&mut desk, &admin);

    // There is no other call that may change something.
    let missed: Vec<_> = MATRIX
        .iter()
        .map(|(method, path, _)| (*method, *path))
        .filter(|row| row.0 != "GET" && !desk.called.contains(row))
        .collect();
    assert!(missed.is_empty(), "nobody looked at the audit of {missed:?}");
    drop(agent);
}

/// Destinations, a try of one, and a dead letter that is sent again.
fn webhooks(desk: &mut Desk, admin: &Who) {
    let receiver = Receiver::new();
    receiver.behave(answer("400 Bad Request", "", "no"));
    let body =
        json!({ "name": "w", "url": receiver.url(), "allow_private": true, "events": ["node.registered"] });
    let row = ("POST", "/api/v1/webhooks");
    let made = id_of(&desk.call(admin, row, "", body, Entry("webhook.create")));
    let row = ("PATCH", "/api/v1/webhooks/{webhook}");
    desk.call(
        admin,
        row,
        &made,
        json!({ "rate_per_second": 9 }),
        Entry("webhook.edit"),
    );
    declare(&desk.house, "gpu-refused");
    let mut dead = String::new();
    until("it is given up", || {
        let letter = deliveries(&desk.house, "?result=dead")
            .pop()
            .ok_or("no dead letter")?;
        dead = letter.id.to_string();
        Ok::<_, &str>(())
    });
    receiver.behave(answer("200 OK", "", ""));
    let row = ("POST", "/api/v1/deliveries/{delivery}/replay");
    desk.call(admin, row, &dead, json!({}), Entry("delivery.replay"));
    let row = ("POST", "/api/v1/webhooks/{webhook}/test");
    desk.call(admin, row, &made, json!({}), Entry("webhook.test"));
    let row = ("DELETE", "/api/v1/webhooks/{webhook}");
    desk.call(admin, row, &made, Value::Null, Entry("webhook.delete"));
}

/// A bulk action over many, and one that is called off before it is done.
fn batches(desk: &mut Desk, admin: &Who) {
    for n in 0..150 {
        let body = json!({ "hostname": format!("many-{n:03}"), "ip_address": "127.9.3.1", "labels": { "row": "m" } });
        let _: Value = admin.client.post("/api/v1/nodes", Some(&body)).unwrap();
    }
    let create = ("POST", "/api/v1/batches");
    let cancel = ("POST", "/api/v1/batches/{batch}/cancel");
    let body = json!({ "action": { "kind": "resume" }, "nodes": ["many-000"] });
    desk.call(admin, create, "", body, Entry("batch.create"));
    let mut turn = 0;
    until("one is called off in time", || {
        turn += 1;
        let action = json!({ "kind": "label", "set": { "turn": turn.to_string() } });
        let body = json!({ "action": action, "labels": { "row": "m" } });
        let made = ask(&admin.client, create, "", &body).unwrap();
        desk.entries(&admin.actor);
        match ask(&admin.client, cancel, made["id"].as_str().unwrap(), &json!({})) {
            Ok(_) => {
                let found = desk.entries(&admin.actor);
                assert!(found.contains(&"batch.cancel".to_owned()), "{found:?}");
                desk.called.insert(cancel);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    });
}
