//! Who may take something away, or call it off: everybody who is let in does it to one of their own.

use aami_api::client::Client;
use aami_api::key::CreateKey;
use aami_api::token::{CreateToken, Validated};
use aami_model::access::Role;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::access::{MATRIX, Scene, asked_as, destroys, let_in, scene};
use crate::house::Machine;

/// Makes things to take away, each with a name and an address of its own.
struct Maker<'a> {
    scene: &'a Scene,
    made: u8,
}

impl Maker<'_> {
    fn next(&mut self) -> u8 {
        self.made += 1;
        self.made
    }

    fn post(&self, path: &str, body: Value) -> String {
        let made: Value = self.scene.house.admin().post(path, Some(&body)).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// A group's name and id.
    fn group(&mut self) -> (String, String) {
        let name = format!("away-{}", self.next());
        let id = self.post("/api/v1/groups", json!({ "name": name }));
        (name, id)
    }

    /// One more of what a path names, and who `letter` is to it: those who act by what they are in it are others for
    /// each node.
    fn fresh(&mut self, path: &str, letter: char) -> (String, Client) {
        let admin = self.scene.house.admin();
        let caller = self.scene.caller(letter);
        let n = self.next();
        let id = match path {
            "/api/v1/bootstrap-tokens/{token}" => self.scene.house.token(|_| {}).view.id.to_string(),
            "/api/v1/exporters/{exporter}" => self.post(
                "/api/v1/exporters",
                json!({ "node_id": self.scene.ids["{node}"], "type": "custom", "port": 10_000 + u16::from(n) }),
            ),
            "/api/v1/groups/{group}" => self.group().1,
            "/api/v1/groups/{group}/rollout" => {
                let (_, group) = self.group();
                let rollout = format!("/api/v1/groups/{group}/rollout");
                let wanted = json!({ "version": "9.9.9" });
                admin
                    .call::<_, Value>(Method::PUT, &rollout, Some(&wanted), &[])
                    .unwrap();
                group
            }
            "/api/v1/checks/{check}" => self.post(
                "/api/v1/checks",
                json!({ "name": format!("away-{n}"), "script": "exit 0" }),
            ),
            "/api/v1/alerts/rules/{set}" => {
                let (group, _) = self.group();
                let wanted = aami_api::rules::CreateRuleSet {
                    group: Some(group),
                    ..Default::default()
                };
                admin.create_rule_set(&wanted).unwrap().body.set.id.to_string()
            }
            "/api/v1/prometheuses/{prometheus}" => self.post(
                "/api/v1/prometheuses",
                json!({ "name": format!("away-{n}"), "url": format!("http://127.0.0.1:{n}"), "node": "gpu-01" }),
            ),
            "/api/v1/webhooks/{webhook}" => self.post(
                "/api/v1/webhooks",
                json!({ "name": format!("away-{n}"), "url": "http://127.0.0.1:1/" }),
            ),
            "/api/v1/keys/{key}" => {
                let wanted = CreateKey {
                    name: format!("away-{n}"),
                    role: Some(Role::Viewer),
                    ..CreateKey::default()
                };
                admin.create_key(&wanted).unwrap().view.id.to_string()
            }
            "/api/v1/runs/{run}/cancel" => self.opened(|_| {}).1.run.unwrap().id.to_string(),
            "/api/v1/batches/{batch}/cancel" => self.post(
                "/api/v1/batches",
                json!({ "action": { "kind": "resume" }, "all": true }),
            ),
            "/api/v1/nodes/{node}" | "/api/v1/targets/{node}" => return self.node(letter, caller),
            other => panic!("{other} takes something away, and there is nothing to take away"),
        };
        (id, caller)
    }

    fn opened(&self, change: impl FnOnce(&mut CreateToken)) -> (Client, Validated) {
        let token = self.scene.house.token(change).token;
        let bearer = self.scene.house.stranger().with_bearer(&token);
        let opened = bearer.validate().unwrap().body;
        (bearer, opened)
    }

    fn node(&mut self, letter: char, caller: Client) -> (String, Client) {
        let n = self.next();
        let (token, opened) = self.opened(|_| {});
        let run = opened.run.unwrap();
        let machine = Machine::new(&format!("away-{n}"), 100 + n).with(|r| {
            r.run_id = Some(run.id.clone());
            r.ip_address = "127.0.0.1".into();
        });
        let body = serde_json::to_vec(&machine.request).unwrap();
        let proof = machine.sign(&body);
        let node = token.register(&body, Some(&proof), None).unwrap().node;
        let stranger = self.scene.house.stranger();
        let caller = match letter {
            't' => token,
            'N' => stranger.with_bearer(&machine.credential),
            'R' => stranger.with_bearer(&run.credential),
            _ => caller,
        };
        (node.id.to_string(), caller)
    }
}

#[test]
fn whoever_may_take_something_away_can() {
    let scene = scene();
    let mut maker = Maker {
        scene: &scene,
        made: 0,
    };
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (method, path, allowed) in MATRIX {
        let method: Method = method.parse().unwrap();
        if !destroys(&method, path) {
            continue;
        }
        for path in asked_as(path) {
            for letter in allowed.chars() {
                let (id, caller) = maker.fresh(&path, letter);
                let whole = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { id.as_str() } else { part })
                    .collect::<Vec<_>>()
                    .join("/");
                let body = (method != Method::DELETE).then(|| json!({}));
                let result = caller
                    .call::<Value, Value>(method.clone(), &whole, body.as_ref(), &[])
                    .map(drop);
                tried += 1;
                // A batch over nothing may be done before it is called off; all else is there to be taken.
                let taken = if path.contains("{batch}") {
                    let_in(result)
                } else {
                    result.is_ok()
                };
                if !taken {
                    wrong.push(format!("{method} {path} by {letter}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 28, "{tried}");
}
