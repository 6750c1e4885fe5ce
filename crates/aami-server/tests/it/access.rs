//! Who may call what: every route, by everybody.

use std::collections::BTreeMap;

use aami_api::client::{Client, ClientError};
use aami_api::key::CreateKey;
use aami_api::token::Validated;
use aami_model::OrgId;
use aami_model::access::{Role, Scope};
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of};
use crate::link::Agent;

/// What each of them may do: the letters of those who are let in. Everybody else is refused.
///
/// n no credential, w a wrong one, t bootstrap token, f foreign admin (another organisation), v viewer,
/// o operator, a admin, N the node itself, R its run, d discovery
pub const MATRIX: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/health", "nwtfvoaNRd"),
    ("GET", "/health", "nwtfvoaNRd"),
    ("GET", "/health/live", "nwtfvoaNRd"),
    ("GET", "/health/ready", "nwtfvoaNRd"),
    ("GET", "/metrics", "fvoad"),
    ("GET", "/api/v1/status", "fvoa"),
    ("POST", "/api/v1/bootstrap-tokens", "foa"),
    ("GET", "/api/v1/bootstrap-tokens", "fvoa"),
    ("GET", "/api/v1/bootstrap-tokens/validate", "t"),
    ("POST", "/api/v1/bootstrap-tokens/validate", "t"),
    ("GET", "/api/v1/bootstrap-tokens/{token}", "voa"),
    ("PATCH", "/api/v1/bootstrap-tokens/{token}", "oa"),
    ("DELETE", "/api/v1/bootstrap-tokens/{token}", "oa"),
    ("POST", "/api/v1/bootstrap/register", "tN"),
    ("POST", "/api/v1/bootstrap-tokens/register", "tN"),
    // Which node is meant stands in the body: a foreign key is let in and finds no such node.
    ("POST", "/api/v1/exporters", "foa"),
    ("GET", "/api/v1/exporters", "fvoa"),
    ("GET", "/api/v1/exporters/found", "fvoa"),
    ("GET", "/api/v1/exporters/{exporter}", "voa"),
    ("PATCH", "/api/v1/exporters/{exporter}", "oa"),
    ("DELETE", "/api/v1/exporters/{exporter}", "oa"),
    ("POST", "/api/v1/groups", "foa"),
    ("GET", "/api/v1/groups", "fvoa"),
    ("GET", "/api/v1/groups/{group}", "voa"),
    ("PATCH", "/api/v1/groups/{group}", "oa"),
    ("DELETE", "/api/v1/groups/{group}", "oa"),
    ("GET", "/api/v1/rollouts", "fvoa"),
    ("GET", "/api/v1/groups/{group}/rollout", "voa"),
    ("PUT", "/api/v1/groups/{group}/rollout", "oa"),
    ("DELETE", "/api/v1/groups/{group}/rollout", "oa"),
    ("POST", "/api/v1/groups/{group}/rollout/pause", "oa"),
    ("POST", "/api/v1/groups/{group}/rollout/resume", "oa"),
    ("POST", "/api/v1/checks", "fa"),
    ("GET", "/api/v1/checks", "fvoa"),
    ("GET", "/api/v1/checks/{check}", "voa"),
    ("PATCH", "/api/v1/checks/{check}", "a"),
    ("DELETE", "/api/v1/checks/{check}", "a"),
    // The name of the node is in the query; a foreign key finds no such node.
    ("GET", "/api/v1/checks/node", "foaNR"),
    ("GET", "/api/v1/alerts/presets", "fvoa"),
    ("GET", "/api/v1/alerts/presets/{preset}", "fvoa"),
    ("GET", "/api/v1/alerts/active", "fvoa"),
    ("POST", "/api/v1/alerts/rules", "foa"),
    ("GET", "/api/v1/alerts/rules", "fvoa"),
    ("GET", "/api/v1/alerts/rules/{set}", "voa"),
    ("PATCH", "/api/v1/alerts/rules/{set}", "oa"),
    ("DELETE", "/api/v1/alerts/rules/{set}", "oa"),
    ("POST", "/api/v1/prometheuses", "fa"),
    ("GET", "/api/v1/prometheuses", "fvoa"),
    // By its own credential and no other: a run is not its node.
    ("GET", "/api/v1/prometheuses/node", "N"),
    ("GET", "/api/v1/prometheuses/{prometheus}", "voa"),
    ("PATCH", "/api/v1/prometheuses/{prometheus}", "a"),
    ("DELETE", "/api/v1/prometheuses/{prometheus}", "a"),
    ("GET", "/api/v1/prometheuses/{prometheus}/bundle", "voaNR"),
    ("POST", "/api/v1/prometheuses/{prometheus}/loaded", "N"),
    ("GET", "/api/v1/sd/prometheus", "fvoad"),
    ("GET", "/api/v1/sd/prometheus/active", "fvoad"),
    ("GET", "/api/v1/sd/prometheus/group/{group}", "voad"),
    ("GET", "/api/v1/runs", "fvoa"),
    ("POST", "/api/v1/runs", "foa"),
    ("GET", "/api/v1/runs/{run}", "voa"),
    ("POST", "/api/v1/runs/{run}/events", "R"),
    ("POST", "/api/v1/runs/{run}/cancel", "oa"),
    ("GET", "/api/v1/events", "fvoa"),
    ("GET", "/api/v1/audit", "fa"),
    ("POST", "/api/v1/batches", "foa"),
    ("GET", "/api/v1/batches", "fvoa"),
    ("GET", "/api/v1/batches/{batch}", "voa"),
    ("GET", "/api/v1/batches/{batch}/results", "voa"),
    ("POST", "/api/v1/batches/{batch}/cancel", "oa"),
    // With a key of the scope events-in only, which none of these has.
    ("POST", "/events", ""),
    ("POST", "/api/v1/webhooks", "fa"),
    ("GET", "/api/v1/webhooks", "fa"),
    ("GET", "/api/v1/webhooks/{webhook}", "a"),
    ("PATCH", "/api/v1/webhooks/{webhook}", "a"),
    ("DELETE", "/api/v1/webhooks/{webhook}", "a"),
    ("POST", "/api/v1/webhooks/{webhook}/test", "a"),
    ("GET", "/api/v1/deliveries", "fvoa"),
    ("POST", "/api/v1/deliveries/{delivery}/replay", "a"),
    ("POST", "/api/v1/keys", "fa"),
    ("GET", "/api/v1/keys", "fa"),
    ("DELETE", "/api/v1/keys/{key}", "a"),
    ("GET", "/bootstrap.sh", "nwtfvoaNRd"),
    ("GET", "/preflight-check.sh", "nwtfvoaNRd"),
    ("GET", "/uninstall.sh", "nwtfvoaNRd"),
    ("GET", "/install.sh", "nwtfvoaNRd"),
    ("GET", "/ca.pem", "nwtfvoaNRd"),
    ("GET", "/dist/{path}", "nwtfvoaNRd"),
    ("GET", "/", "nwtfvoaNRd"),
    ("GET", "/api/v1/openapi.json", "nwtfvoaNRd"),
    ("GET", "/docs/explain/{code}", "nwtfvoaNRd"),
    ("GET", "/docs/guide/{page}", "nwtfvoaNRd"),
    ("POST", "/api/v1/nodes", "foa"),
    ("GET", "/api/v1/nodes", "fvoa"),
    ("GET", "/api/v1/nodes/{node}", "voaNR"),
    ("PATCH", "/api/v1/nodes/{node}", "oa"),
    // The token is the one this node enrolled with; no other one is let in.
    ("DELETE", "/api/v1/nodes/{node}", "toaNR"),
    ("POST", "/api/v1/nodes/{node}/verify", "oaNR"),
    ("POST", "/api/v1/nodes/{node}/maintenance", "oa"),
    ("POST", "/api/v1/nodes/{node}/resume", "oa"),
    ("POST", "/api/v1/nodes/{node}/decommission", "oa"),
    ("POST", "/api/v1/nodes/{node}/restore", "oa"),
    ("POST", "/api/v1/nodes/{node}/allow-reenrol", "oa"),
    ("GET", "/api/v1/nodes/{node}/history", "voa"),
    ("POST", "/api/v1/nodes/{node}/token", "oa"),
    ("POST", "/api/v1/nodes/{node}/rotate", "oa"),
    ("POST", "/api/v1/nodes/{node}/commands", "oa"),
    ("GET", "/api/v1/nodes/{node}/commands", "voa"),
    ("GET", "/api/v1/nodes/{node}/commands/{command}", "voa"),
    ("GET", "/api/v1/nodes/{node}/inventory", "voaNR"),
    ("PUT", "/api/v1/nodes/{node}/inventory", "oaNR"),
    // A run may act for its node, but is not it.
    ("GET", "/ws/node", "N"),
    // By the badge of a replica, which none of these has.
    ("GET", "/ws/peer", ""),
    // Or with a ticket, which none of these has.
    ("GET", "/ws", "fvoa"),
    ("POST", "/api/v1/tickets", "fvoa"),
];

/// What is there to be reached for, and those who reach.
pub struct Scene {
    _agent: Agent,
    pub house: House,
    callers: Vec<(char, Client)>,
    pub ids: BTreeMap<&'static str, String>,
}

impl Scene {
    pub fn caller(&self, letter: char) -> Client {
        let found = self.callers.iter().find(|(known, _)| *known == letter);
        found.unwrap().1.clone()
    }
}

/// The paths a row of the matrix is about: nodes answer under their older name, too.
pub fn asked_as(path: &str) -> Vec<String> {
    let older = path.replace("/api/v1/nodes", "/api/v1/targets");
    let mut paths = vec![path.to_owned(), older];
    paths.dedup();
    paths
}

pub fn scene() -> Scene {
    let house = House::with(|config| config.open_rate = 10_000);
    let admin = house.admin();
    let key = |wanted: CreateKey| admin.create_key(&wanted).unwrap();
    let role = |name: &str, role| CreateKey {
        name: name.into(),
        role: Some(role),
        ..CreateKey::default()
    };
    let foreign = CreateKey {
        orgs: vec!["other".parse::<OrgId>().unwrap()],
        ..role("foreign", Role::Admin)
    };
    let discovery = CreateKey {
        name: "prometheus".into(),
        scopes: vec![Scope::Discovery],
        ..CreateKey::default()
    };

    let token = house.token(|t| t.max_uses = Some(90));
    let stranger = house.stranger();
    let opened: Validated = stranger.with_bearer(&token.token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let machine = Machine::new("gpu-01", 1).with(|r| {
        r.run_id = Some(run.id.clone());
        r.ip_address = "127.0.0.1".into();
    });
    let node = machine.register(&stranger, &token.token).unwrap().node;
    let group: aami_model::group::Group = admin
        .post("/api/v1/groups", Some(&json!({ "name": "g" })))
        .unwrap();
    let check: aami_model::check::Check = admin
        .post(
            "/api/v1/checks",
            Some(&json!({ "name": "c", "script": "exit 0" })),
        )
        .unwrap();
    let set = admin
        .create_rule_set(&aami_api::rules::CreateRuleSet {
            group: Some("g".into()),
            ..Default::default()
        })
        .unwrap();
    let prometheus: Value = admin
        .post(
            "/api/v1/prometheuses",
            Some(&json!({ "name": "p", "url": "http://127.0.0.1:1", "node": "gpu-01" })),
        )
        .unwrap();
    let spare = key(role("spare", Role::Viewer));
    // An agent holds its node's socket, so that there is a command, and an inventory.
    let (agent, _) = Agent::connect(&house, &machine);
    let command: aami_api::command::CommandView = admin
        .post(
            &format!("/api/v1/nodes/{}/commands", node.id),
            Some(&json!({ "command": { "kind": "run_checks" } })),
        )
        .unwrap();
    let inventory = format!("/api/v1/nodes/{}/inventory", node.id);
    let put = ureq::http::Method::PUT;
    admin
        .call::<_, Value>(put, &inventory, Some(&json!({ "hostname": "gpu-01" })), &[])
        .unwrap();
    let rollout = format!("/api/v1/groups/{}/rollout", group.id);
    let put = ureq::http::Method::PUT;
    admin
        .call::<_, Value>(put, &rollout, Some(&json!({ "version": "9.9.9" })), &[])
        .unwrap();
    let webhook: Value = admin
        .post(
            "/api/v1/webhooks",
            Some(&json!({ "name": "w", "url": "http://127.0.0.1:1/" })),
        )
        .unwrap();
    let webhook = webhook["id"].as_str().unwrap().to_owned();
    let delivery: Value = admin
        .post(&format!("/api/v1/webhooks/{webhook}/test"), Some(&json!({})))
        .unwrap();

    let batch = json!({ "action": { "kind": "resume" }, "all": true });
    let batch: Value = admin.post("/api/v1/batches", Some(&batch)).unwrap();

    let callers = vec![
        ('n', stranger.clone()),
        (
            'w',
            stranger.with_bearer("aamik_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ),
        ('t', stranger.with_bearer(&token.token)),
        ('f', stranger.with_bearer(&key(foreign).key)),
        ('v', stranger.with_bearer(&key(role("viewer", Role::Viewer)).key)),
        (
            'o',
            stranger.with_bearer(&key(role("operator", Role::Operator)).key),
        ),
        ('a', admin.clone()),
        ('N', stranger.with_bearer(&machine.credential)),
        ('R', stranger.with_bearer(&run.credential)),
        ('d', stranger.with_bearer(&key(discovery).key)),
    ];
    let ids = BTreeMap::from([
        ("{token}", token.view.id.to_string()),
        ("{exporter}", node.exporters[0].id.clone()),
        ("{group}", group.id.to_string()),
        ("{set}", set.body.set.id.to_string()),
        ("{prometheus}", prometheus["id"].as_str().unwrap().to_owned()),
        ("{preset}", "gpu-basic".to_owned()),
        ("{check}", check.id.to_string()),
        ("{command}", command.id.to_string()),
        ("{run}", run.id.to_string()),
        ("{key}", spare.view.id.to_string()),
        ("{node}", node.id.to_string()),
        ("{webhook}", webhook),
        ("{batch}", batch["id"].as_str().unwrap().to_owned()),
        ("{delivery}", delivery["id"].to_string()),
        ("{code}", "AAMI-P-0012".to_owned()),
        ("{page}", "enrolling".to_owned()),
        ("{path}", "amd64/aami-agent".to_owned()),
    ]);
    Scene {
        _agent: agent,
        house,
        callers,
        ids,
    }
}

/// Whether an answer let the caller in: whatever is wrong with the request otherwise is beside the point.
pub fn let_in(result: Result<(), ClientError>) -> bool {
    match result {
        Ok(()) => true,
        Err(ClientError::Refused(problem)) => {
            // A foreign caller is told that there is no such thing.
            !matches!(
                problem.code.as_str(),
                "UNAUTHENTICATED"
                    | "FORBIDDEN"
                    | "NOT_FOUND"
                    | "TOKEN_REQUIRED"
                    | "TOKEN_FOREIGN"
                    | "RATE_LIMITED"
            )
        }
        // Scripts, pages and metrics are no JSON.
        Err(ClientError::NotAami { status, .. }) => status == 200,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_route_lets_in_exactly_those_it_should() {
    let scene = scene();
    let mut wrong = Vec::new();
    let rows = MATRIX.iter().flat_map(|(method, path, allowed)| {
        asked_as(path)
            .into_iter()
            .map(move |path| (method, path, allowed))
    });
    for (method, path, allowed) in rows {
        let path = &path;
        let asked = scene
            .ids
            .iter()
            .fold(path.clone(), |path, (name, id)| path.replace(name, id));
        for (letter, client) in &scene.callers {
            // Bodies that break a rule: let in means judged, and nothing is changed by looking.
            let body = if *method == "GET" {
                None
            } else {
                Some(json!({ "name": "", "reason": "\u{1}", "labels": { "__x": "y" },
                "max_uses": 0, "events": [], "node_id": scene.ids["{node}"], "type": "custom", "port": 0, "metrics_path": "x", "timeout_seconds": 0 }))
            };
            let method: ureq::http::Method = method.parse().unwrap();
            if destroys(&method, path) && allowed.contains(*letter) {
                continue;
            }
            let result = client
                .call::<Value, Value>(method.clone(), &asked, body.as_ref(), &[])
                .map(drop);
            let text = format!("{result:?}");
            // Somebody of another organisation must not learn whether a thing exists: what is answered is
            // what is answered for one that does not.
            if *letter == 'f' && asked != *path {
                let absent = path.split('/').map(|part| {
                    if part.starts_with('{') {
                        "zzzzzzzzzzzzzzzz"
                    } else {
                        part
                    }
                });
                let absent = absent.collect::<Vec<_>>().join("/");
                let other = client
                    .call::<Value, Value>(method.clone(), &absent, body.as_ref(), &[])
                    .map(drop);
                if format!("{other:?}") == text && !allowed.contains('f') {
                    continue;
                }
            }
            // Whether an agent is there is not the question here.
            let result = match result {
                Err(ClientError::Refused(problem)) if problem.code == "AGENT_ARCH_MISSING" => Ok(()),
                other => other,
            };
            if let_in(result) != allowed.contains(*letter) {
                wrong.push(format!("{method} {path} by {letter}: {text:.200}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    drop(scene.house);
}

/// Those that would take away what the next rows need; that they let in is shown with things of their own.
pub fn destroys(method: &ureq::http::Method, path: &str) -> bool {
    method == ureq::http::Method::DELETE || path.ends_with("/cancel")
}

#[test]
fn the_matrix_knows_every_route_there_is() {
    let document = aami_server::openapi();
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.push((
                method.to_uppercase(),
                path.replace("/api/v1/targets", "/api/v1/nodes"),
            ));
        }
    }
    let generic = |path: &str| {
        path.split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect::<Vec<_>>()
            .join("/")
    };
    for (method, path) in &described {
        let known = MATRIX
            .iter()
            .any(|(m, p, _)| m == method && generic(p) == generic(path));
        assert!(known, "{method} {path} is not in the matrix");
    }
    for (method, path, _) in MATRIX {
        let known = described
            .iter()
            .any(|(m, p)| m == method && generic(p) == generic(path));
        assert!(known, "{method} {path} is in the matrix but not in the API");
    }
}

#[test]
fn a_caller_of_one_organisation_sees_only_its_own() {
    let house = House::new();
    let admin = house.admin();
    let (red, blue) = (house.admin_of("red"), house.admin_of("blue"));
    for (client, host) in [(&red, "r-1"), (&blue, "b-1")] {
        let _: Value = client
            .post(
                "/api/v1/nodes",
                Some(&json!({ "hostname": host, "ip_address": "127.9.2.1" })),
            )
            .unwrap();
    }
    let names = |client: &Client| -> Vec<String> {
        client
            .nodes("")
            .unwrap()
            .items
            .into_iter()
            .map(|node| node.hostname)
            .collect()
    };
    assert_eq!(names(&red), ["r-1"]);
    assert_eq!(names(&blue), ["b-1"]);
    assert_eq!(names(&admin).len(), 2);
    let exporter = json!({ "node_id": blue.nodes("").unwrap().items[0].id, "type": "custom", "port": 9 });
    assert_eq!(
        code_of(red.post::<_, Value>("/api/v1/exporters", Some(&exporter))),
        "NOT_FOUND"
    );
    // The same name in two organisations is two nodes.
    let _: Value = red
        .post(
            "/api/v1/nodes",
            Some(&json!({ "hostname": "b-1", "ip_address": "127.9.2.2" })),
        )
        .unwrap();
    // Neither sees the other's events, audit entries or keys, nor can give a key over the other.
    assert!(
        red.events(0, 100)
            .unwrap()
            .events
            .iter()
            .all(|event| event.org.as_str() == "red")
    );
    assert!(
        red.audit(0, 100)
            .unwrap()
            .entries
            .iter()
            .all(|entry| entry.org.as_str() == "red")
    );
    assert!(
        red.keys()
            .unwrap()
            .items
            .iter()
            .all(|key| key.orgs.iter().all(|org| org.as_str() == "red"))
    );
    let over = CreateKey {
        name: "x".into(),
        role: Some(Role::Admin),
        orgs: vec!["blue".parse().unwrap()],
        ..CreateKey::default()
    };
    assert_eq!(code_of(red.create_key(&over)), "NOT_FOUND");
    let elsewhere = json!({ "hostname": "x", "ip_address": "127.9.2.3", "org": "blue" });
    assert_eq!(
        code_of(red.post::<_, Value>("/api/v1/nodes", Some(&elsewhere))),
        "NOT_FOUND"
    );
}

#[test]
fn the_last_admin_key_cannot_be_revoked() {
    let house = House::new();
    let admin = house.admin();
    let own = admin.keys().unwrap().items.remove(0);
    let path = format!("/api/v1/keys/{}", own.id);
    assert_eq!(code_of(admin.delete(&path)), "LAST_ADMIN");
    let second = admin
        .create_key(&CreateKey {
            name: "second".into(),
            role: Some(Role::Admin),
            ..CreateKey::default()
        })
        .unwrap();
    house.stranger().with_bearer(&second.key).delete(&path).unwrap();
    assert_eq!(code_of(admin.keys()), "UNAUTHENTICATED");
}
