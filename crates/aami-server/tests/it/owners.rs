//! Whose things are whose: what belongs to one organisation is nowhere shown to another, along every route there is.

use std::collections::BTreeSet;

use aami_api::client::{Client, ClientError};
use aami_api::event::Events;
use aami_api::key::CreateKey;
use aami_api::node::NodeView;
use aami_api::token::CreateToken;
use aami_model::OrgId;
use aami_model::access::Role;
use serde_json::{Value, json};

use crate::batches::declare;
use crate::house::{House, Machine, code_of, until};
use crate::receiver::Receiver;

/// An admin of one organisation, who is the person `user`.
fn admin_of(house: &House, org: &str, user: &str) -> Client {
    let wanted = CreateKey {
        name: format!("{org}-admin"),
        role: Some(Role::Admin),
        orgs: vec![org.parse::<OrgId>().unwrap()],
        user: Some(user.parse().unwrap()),
        ..CreateKey::default()
    };
    let key = house.admin().create_key(&wanted).unwrap();
    house.stranger().with_bearer(&key.key)
}

/// Something of every kind, named after the organisation. Answers what each is called by: words that no other
/// organisation may read.
fn furnish(house: &House, org: &str, client: &Client, receiver: &Receiver) -> Vec<(&'static str, String)> {
    let name = |kind: &str| format!("{org}{kind}");
    let post = |path: &str, body: Value| -> Value { client.post(path, Some(&body)).unwrap() };
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let declared = declare(client, &name("declared"), "A1");
    let group = post("/api/v1/groups", json!({ "name": name("group") }));
    let check = post(
        "/api/v1/checks",
        json!({ "name": name("check"), "script": "exit 0" }),
    );
    // Only who rules everywhere may let one lead to this machine.
    let webhook =
        json!({ "name": name("webhook"), "url": receiver.url(), "allow_private": true, "org": org });
    let webhook: Value = house.admin().post("/api/v1/webhooks", Some(&webhook)).unwrap();
    let key = post("/api/v1/keys", json!({ "name": name("key"), "role": "viewer" }));
    let token = client
        .create_token(&CreateToken {
            name: name("token"),
            ..CreateToken::default()
        })
        .unwrap();
    let opened = house
        .stranger()
        .with_bearer(&token.token)
        .validate()
        .unwrap()
        .body;
    let run = opened.run.unwrap().id;
    let seed = u8::try_from(org.len()).unwrap();
    let machine = Machine::new(&name("enrolled"), seed).with(|r| r.run_id = Some(run.clone()));
    let node = machine.register(&house.stranger(), &token.token).unwrap().node;
    let batch = post(
        "/api/v1/batches",
        json!({ "action": { "kind": "label", "set": { "owner": name("label") } }, "all": true }),
    );
    until("its events are delivered", || match receiver.got().len() {
        0 => Err(()),
        _ => Ok(()),
    });
    vec![
        ("node", declared.to_string()),
        ("node", node.id.to_string()),
        ("exporter", node.exporters[0].id.clone()),
        ("group", id(&group)),
        ("check", id(&check)),
        ("webhook", id(&webhook)),
        ("key", id(&key)),
        ("token", token.view.id.to_string()),
        ("run", run.to_string()),
        ("batch", id(&batch)),
    ]
}

/// What a route says to somebody, as a text; what cannot be read as JSON is a text anyway.
fn said(client: &Client, path: &str) -> String {
    match client.get::<Value>(path) {
        Ok(value) => value.to_string(),
        Err(ClientError::NotAami { status: 200, .. }) => client.text(path).unwrap(),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn no_route_shows_to_one_organisation_what_belongs_to_another() {
    let house = House::with(|config| config.open_rate = 10_000);
    let (receiver, other) = (Receiver::new(), Receiver::new());
    let red = admin_of(&house, "red", "alice");
    let blue = admin_of(&house, "blue", "bob");
    let reds = furnish(&house, "red", &red, &receiver);
    let blues = furnish(&house, "blue", &blue, &other);
    let is_foreign = |text: &str, org: &str, things: &[(&str, String)]| -> Option<String> {
        let ids = things.iter().map(|(_, id)| id.clone());
        let names = [
            "declared", "enrolled", "group", "check", "webhook", "key", "token", "label", "-admin",
        ];
        let names = names.map(|kind| format!("{org}{kind}"));
        let person = match org {
            "red" => "\"alice\"",
            _ => "\"bob\"",
        };
        ids.chain(names)
            .chain([person.to_owned(), format!("\"{org}\"")])
            .find(|word| text.contains(word))
    };

    // Lists, and whatever else has no id in its path.
    let document = aami_server::openapi();
    let paths = document["paths"].as_object().unwrap();
    let gets: Vec<&String> = (paths.iter())
        .filter(|(_, verbs)| verbs.get("get").is_some())
        .map(|(path, _)| path)
        .collect();
    let mut shown = BTreeSet::new();
    for path in gets
        .iter()
        .filter(|path| !path.contains('{') && !path.starts_with("/ws"))
    {
        let text = said(&red, path);
        let foreign = is_foreign(&text, "blue", &blues);
        assert_eq!(foreign, None, "{path} tells red of blue's: {text:.2000}");
        shown.extend(is_foreign(&text, "red", &reds).map(|_| (*path).clone()));
    }
    // The lists do show what is one's own, so that this is a test of something.
    for list in [
        "nodes",
        "targets",
        "groups",
        "checks",
        "webhooks",
        "keys",
        "runs",
        "batches",
        "events",
        "audit",
        "deliveries",
        "exporters",
        "bootstrap-tokens",
        "sd/prometheus",
    ] {
        assert!(
            shown.contains(&format!("/api/v1/{list}")),
            "{list} shows nothing: {shown:?}"
        );
    }

    // Single things: what is another's is not there, whatever is asked about it.
    let nouns = [
        ("node", "nodes"),
        ("node", "targets"),
        ("exporter", "exporters"),
        ("group", "groups"),
        ("check", "checks"),
        ("webhook", "webhooks"),
        ("key", "keys"),
        ("token", "bootstrap-tokens"),
        ("run", "runs"),
        ("batch", "batches"),
        ("group", "sd/prometheus/group"),
    ];
    for (kind, noun) in nouns {
        for (_, id) in blues.iter().filter(|(of, _)| *of == kind) {
            for (path, verbs) in paths {
                let below = path.strip_prefix(&format!("/api/v1/{noun}/{{id}}"));
                let Some(below) = below.filter(|below| !below.contains('{')) else {
                    continue;
                };
                for verb in verbs.as_object().unwrap().keys() {
                    let method: ureq::http::Method = verb.to_uppercase().parse().unwrap();
                    // The same answer as about what there is not: neither is it shown, nor that it is there.
                    let body = (verb != "get").then(|| json!({}));
                    // An exporter's id begins with its node's.
                    let absent = id
                        .rsplit_once('.')
                        .map_or(String::new(), |(_, rest)| format!(".{rest}"));
                    let absent = format!("zzzzzzzzzzzzzzzz{absent}");
                    let answer = |id: &str| {
                        let asked = format!("/api/v1/{noun}/{id}{below}");
                        let result = red.call::<Value, Value>(method.clone(), &asked, body.as_ref(), &[]);
                        match result.map(|answer| answer.body) {
                            Err(ClientError::Refused(problem)) => (problem.code, problem.detail),
                            other => panic!("{verb} {asked}: {other:?}"),
                        }
                    };
                    assert_eq!(answer(id), answer(&absent), "{verb} /api/v1/{noun}/{id}{below}");
                }
            }
        }
    }
    // Nothing of it was done.
    let left: NodeView = blue.get(&format!("/api/v1/nodes/{}", blues[0].1)).unwrap();
    assert_eq!(left.hostname, "bluedeclared");

    // Red's bulk action over all nodes touched red's, and red's destination was told of red's.
    assert!(!left.labels.0.values().any(|value| value.starts_with("red")));
    for got in receiver.got() {
        let text = String::from_utf8(got.body).unwrap();
        assert_eq!(is_foreign(&text, "blue", &blues), None, "{text}");
    }
}

#[test]
fn what_somebody_makes_is_theirs_and_its_events_say_so() {
    let house = House::new();
    let red = admin_of(&house, "red", "alice");
    // Declared, and enrolled with a token of theirs
    let declared: NodeView = red.node(&declare(&red, "gpu-01", "A1")).unwrap().body;
    assert_eq!(
        (declared.org.as_str(), declared.user.as_ref().unwrap().as_str()),
        ("red", "alice")
    );
    let token = red
        .create_token(&CreateToken {
            name: "t".into(),
            ..CreateToken::default()
        })
        .unwrap();
    let machine = Machine::new("gpu-02", 2).with(|r| r.exporters.clear());
    let id = machine.register(&house.stranger(), &token.token).unwrap().node.id;
    assert_eq!(red.node(&id).unwrap().body.user.unwrap().as_str(), "alice");
    let told: Events = red.events(0, 100).unwrap();
    let owners: Vec<&Value> = (told.events.iter())
        .filter(|event| event.kind == "node.registered")
        .map(|event| &event.data["owner"])
        .collect();
    assert_eq!(owners, vec![&json!({ "orgId": "red", "userId": "alice" }); 2]);

    // It may be given to somebody else, or to nobody.
    let path = format!("/api/v1/nodes/{id}");
    let give = |user: &str| red.patch::<_, NodeView>(&path, &json!({ "user": user }));
    assert_eq!(give("bob").unwrap().user.unwrap().as_str(), "bob");
    assert_eq!(give("").unwrap().user, None);
    assert_eq!(code_of(give("not a user")), "INVALID");
    // What an admin of no particular person makes is nobody's.
    let id = declare(&house.admin(), "gpu-03", "A1");
    assert_eq!(house.admin().node(&id).unwrap().body.user, None);
}
