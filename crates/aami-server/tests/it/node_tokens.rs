//! Install tokens of one node: what is answered, what is refused, what ends with the next one, and a node's identity
//! taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_api::client::Client;
use aami_api::node::{CreateNode, NodeView};
use aami_api::node_token::{GenerateToken, GeneratedToken};
use aami_api::token::{TokenState, TokenView};
use aami_model::node_status::NodeStatus;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepSummary};
use aami_model::{NodeId, RunId, Timestamp};
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of};
use crate::link::{Agent, enrolled, events, kinds, node};
use crate::script::{ARCH, house_with, place};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Declares a node.
pub fn declared(house: &House, hostname: &str) -> NodeId {
    let wanted = CreateNode {
        hostname: hostname.into(),
        ip_address: "127.9.2.10".into(),
        ..CreateNode::default()
    };
    let view: NodeView = house.admin().post("/api/v1/nodes", Some(&wanted)).unwrap();
    view.id
}

/// Makes its install token.
pub fn token(house: &House, id: &NodeId) -> GeneratedToken {
    house.admin().node_token(id, &GenerateToken::default()).unwrap()
}

fn house() -> House {
    house_with("an agent")
}

/// Opens a run with a token, as the script does.
fn begun(house: &House, token: &str) -> (Client, RunId) {
    let opened = house.stranger().with_bearer(token).validate().unwrap().body;
    let run = opened.run.unwrap();
    (house.stranger().with_bearer(&run.credential), run.id)
}

fn report(installer: &Client, run: &RunId, from: u64, kinds: Vec<RunEventKind>) {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let numbered = (from..).zip(kinds).map(|(seq, kind)| RunEvent { seq, at, kind });
    installer.report(run, numbered.collect()).unwrap();
}

fn started(steps: &[&str]) -> RunEventKind {
    let step = |id: &&str| StepSummary {
        id: (*id).into(),
        title: (*id).into(),
    };
    RunEventKind::RunStarted {
        plan: "node".into(),
        steps: steps.iter().map(step).collect(),
    }
}

fn failed(details: &[(&str, &str)]) -> RunEventKind {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    RunEventKind::StepFailed {
        step: "integrity".into(),
        code: "CHECKSUM_MISMATCH".into(),
        message: "Downloaded binary checksum does not match".into(),
        hint: String::new(),
        details: details.iter().map(pair).collect::<BTreeMap<_, _>>(),
        duration_ms: 5,
    }
}

fn ended(status: RunStatus) -> RunEventKind {
    RunEventKind::RunFinished {
        status,
        duration_ms: 9,
    }
}

#[test]
fn the_answer_is_the_documents_and_the_token_is_for_this_node_once() {
    // Given a declared node and an agent to hand out
    let house = house();
    let id = declared(&house, "gpu-01");

    // when its token is asked for without a word,
    let made = token(&house, &id);

    // then every member says what it promises,
    let now = aami_server::Clock::now(&*house.clock);
    assert_eq!(made.expires_at, now.plus(Duration::from_secs(86_400)));
    assert_eq!(
        (made.install_method.as_str(), made.daemon_version.as_str()),
        ("systemd", VERSION)
    );
    let https = house.base.replace("http:", "https:");
    assert_eq!(made.download_url, format!("{https}/dist/{ARCH}/aami-agent"));
    let sum = "sha256:".to_owned() + &sha256(b"an agent");
    assert_eq!(made.checksum, sum);
    assert_eq!(made.documentation_url, format!("{https}/docs/guide/enrolling"));
    assert!(
        house
            .stranger()
            .text("/docs/guide/enrolling")
            .unwrap()
            .contains("Enrolling a node")
    );
    // the script carries the same,
    for part in [
        id.as_str(),
        "gpu-01",
        made.token.as_str(),
        &sum["sha256:".len()..],
        &made.download_url,
    ] {
        assert!(made.install_script.contains(part), "{part}");
    }
    // and the token enrols this node, once.
    let views: Vec<TokenView> = house.admin().tokens("").unwrap().items;
    assert_eq!(
        (views.len(), views[0].max_uses, views[0].name.as_str()),
        (1, 1, "gpu-01")
    );
    let client = house.stranger();
    assert_eq!(
        code_of(Machine::new("gpu-02", 2).register(&client, &made.token)),
        "TOKEN_FOR_ANOTHER_NODE"
    );
    let registered = Machine::new("gpu-01", 1).register(&client, &made.token).unwrap();
    assert_eq!(registered.node.id, id);
    assert_eq!(
        code_of(Machine::new("gpu-01", 3).register(&client, &made.token)),
        "TOKEN_EXHAUSTED"
    );
}

#[test]
fn what_breaks_the_documents_rules_is_refused_and_nothing_is_made() {
    let house = house();
    let id = declared(&house, "gpu-01");
    let path = format!("/api/v1/nodes/{id}/token");
    let before = token(&house, &id);
    for (body, code, names) in [
        (
            json!({ "expiresIn": 3599 }),
            "INVALID",
            "expiresIn: it is 3600 to 31536000",
        ),
        (json!({ "expiresIn": 31_536_001 }), "INVALID", "expiresIn"),
        (json!({ "expiresIn": -1 }), "MALFORMED", ""),
        (json!({ "expiresIn": "1h" }), "MALFORMED", ""),
        (json!({ "osType": "windows" }), "INVALID", "osType: it is linux"),
        (json!({ "osType": 1 }), "MALFORMED", ""),
        (
            json!({ "installMethod": "docker" }),
            "INVALID",
            "installMethod: it is systemd",
        ),
        (json!({ "daemonVersion": "../1.0.0" }), "INVALID", "daemonVersion"),
        (
            json!({ "daemonVersion": "1.0.0'; reboot" }),
            "INVALID",
            "daemonVersion",
        ),
        (
            json!({ "daemonVersion": "99.0.0" }),
            "AGENT_VERSION_MISSING",
            "99.0.0",
        ),
        (json!("3600"), "MALFORMED", ""),
    ] {
        let refused = house.admin().post::<_, Value>(&path, Some(&body));
        let said = format!("{refused:?}");
        assert_eq!(code_of(refused), code, "{body}");
        assert!(said.contains(names), "{body}: {said}");
    }
    // The bounds themselves fit, and so does the version's other spelling.
    for body in [
        json!({ "expiresIn": 3600, "osType": "linux", "installMethod": "systemd" }),
        json!({ "expiresIn": 31_536_000, "daemonVersion": format!("v{VERSION}") }),
    ] {
        house.admin().post::<_, Value>(&path, Some(&body)).unwrap();
    }
    let made: Value = house
        .admin()
        .post(&path, Some(&json!({ "daemonVersion": format!("v{VERSION}") })))
        .unwrap();
    assert_eq!(made["daemonVersion"], format!("v{VERSION}"));
    // None of the refusals ended the token there was; the first good one did.
    assert_eq!(house.admin().tokens("").unwrap().items.len(), 4);
    assert_eq!(
        code_of(house.stranger().with_bearer(&before.token).validate()),
        "TOKEN_REVOKED"
    );
    // A node there is none of, and one that was retired.
    let absent = house
        .admin()
        .node_token(&"zzzzzzzzzzzzzzzz".parse().unwrap(), &GenerateToken::default());
    assert_eq!(code_of(absent), "NOT_FOUND");
    house.admin().retire(&id).unwrap();
    let retired = house.admin().node_token(&id, &GenerateToken::default());
    assert_eq!(code_of(retired), "NODE_DECOMMISSIONED");
    let retired = house.admin().rotate_node(&id, &GenerateToken::default());
    assert_eq!(code_of(retired), "NODE_DECOMMISSIONED");
}

#[test]
fn what_is_configured_about_releases_stands_in_the_answer() {
    let sum = "ab".repeat(32);
    let configured = sum.clone();
    let house = House::with(move |config| {
        config.releases.base_url = Some("https://releases.example.com/aami".into());
        config.releases.docs_base_url = Some("https://docs.example.com".into());
        config.releases.default_version = Some("v1.0.0".into());
        let key = ("1.0.0".to_owned(), "amd64".to_owned());
        config.releases.checksums.insert(key, configured);
    });
    let id = declared(&house, "gpu-01");
    let made = token(&house, &id);
    assert_eq!(made.daemon_version, "v1.0.0");
    assert_eq!(
        made.download_url,
        "https://releases.example.com/aami/1.0.0/amd64/aami-agent"
    );
    assert_eq!(made.checksum, format!("sha256:{sum}"));
    assert_eq!(made.documentation_url, "https://docs.example.com/guide/enrolling");
    // What was built here is no release of the other web server.
    place(&house, "an agent");
    let own = GenerateToken {
        daemon_version: Some(VERSION.into()),
        ..GenerateToken::default()
    };
    assert_eq!(
        code_of(house.admin().node_token(&id, &own)),
        "AGENT_VERSION_MISSING"
    );
    // A release whose folder lies here is known by its own bytes.
    let folder = house.folder.path().join("data/dist/2.0.0").join(ARCH);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("aami-agent"), "release 2").unwrap();
    let other = GenerateToken {
        daemon_version: Some("2.0.0".into()),
        ..GenerateToken::default()
    };
    let made = house.admin().node_token(&id, &other).unwrap();
    assert_eq!(made.checksum, format!("sha256:{}", sha256(b"release 2")));
    assert_eq!(
        made.download_url,
        format!("https://releases.example.com/aami/2.0.0/{ARCH}/aami-agent")
    );
}

#[test]
fn a_new_token_ends_those_before_it_and_what_was_opened_with_them() {
    // Given a token that is in other hands, with a run that was opened with it
    let house = house();
    let id = declared(&house, "gpu-01");
    let stolen = token(&house, &id);
    let other = house.token(|t| t.only_node = Some(id.clone())).token;
    let elsewhere = declared(&house, "gpu-02");
    let unconcerned = token(&house, &elsewhere);
    let (installer, run) = begun(&house, &stolen.token);

    // when another is made,
    let fresh = token(&house, &id);

    // then those before are refused at once, their runs too, and no other node's.
    let client = house.stranger();
    for gone in [&stolen.token, &other] {
        assert_eq!(code_of(client.with_bearer(gone).validate()), "TOKEN_REVOKED");
        assert_eq!(
            code_of(Machine::new("gpu-01", 9).register(&client, gone)),
            "TOKEN_REVOKED"
        );
    }
    let spoken = installer.report(&run, vec![]);
    assert_eq!(code_of(spoken), "UNAUTHENTICATED");
    client.with_bearer(&unconcerned.token).validate().unwrap();
    client.with_bearer(&fresh.token).validate().unwrap();
    let states: Vec<TokenState> = (house.admin().tokens("").unwrap().items.iter())
        .map(|token| token.state)
        .collect();
    let revoked = states
        .iter()
        .filter(|state| **state == TokenState::Revoked)
        .count();
    assert_eq!((states.len(), revoked), (4, 2), "{states:?}");
    let told: Vec<String> = house
        .admin()
        .events(0, 100)
        .unwrap()
        .events
        .into_iter()
        .map(|e| e.kind)
        .collect();
    assert_eq!(
        told.iter().filter(|kind| *kind == "token.revoked").count(),
        2,
        "{told:?}"
    );
}

#[test]
fn a_machine_is_its_node_with_and_without_its_domain() {
    let house = house();
    let client = house.stranger();
    for (declared_as, calls_itself, seed) in [
        ("gpu-01", "gpu-01.example.com", 1),
        ("gpu-02.example.com", "gpu-02", 2),
        ("gpu-03", "GPU-03", 3),
    ] {
        let id = declared(&house, declared_as);
        let made = token(&house, &id);
        let registered = Machine::new(calls_itself, seed)
            .register(&client, &made.token)
            .unwrap();
        assert_eq!(registered.node.id, id, "{declared_as}");
    }
    let id = declared(&house, "gpu-04.a.example.com");
    let made = token(&house, &id);
    for other in ["gpu-04.b.example.com", "gpu-0", "gpu-044", "a.example.com"] {
        let refused = Machine::new(other, 4).register(&client, &made.token);
        let said = format!("{refused:?}");
        assert_eq!(code_of(refused), "TOKEN_FOR_ANOTHER_NODE", "{other}");
        assert!(
            said.contains("gpu-04.a.example.com") && said.contains(other),
            "{said}"
        );
    }
}

#[test]
fn a_run_tells_of_its_node_before_it_enrols_and_speaks_for_it_only_afterwards() {
    // Given a pending node and a run that its script opened
    let house = house();
    let id = declared(&house, "gpu-01");
    let made = token(&house, &id);
    let (installer, run) = begun(&house, &made.token);
    assert_eq!(node(&house, &id).status, NodeStatus::Pending);

    // when the script says that it began, then the node is installing,
    report(&installer, &run, 1, vec![started(&["download", "integrity"])]);
    assert_eq!(node(&house, &id).status, NodeStatus::Installing);
    // but whoever has the token reads and retires nothing with it.
    assert_eq!(code_of(installer.node(&id)), "FORBIDDEN");
    assert_eq!(code_of(installer.retire(&id)), "FORBIDDEN");

    // When the download is not what it must be, then the node is in error, and the event says by how much,
    let details = [("expected", "abc123"), ("actual", "def456")];
    report(&installer, &run, 2, vec![failed(&details)]);
    report(&installer, &run, 3, vec![ended(RunStatus::Failed)]);
    let view = node(&house, &id);
    assert_eq!(view.status, NodeStatus::Error);
    let reason = "CHECKSUM_MISMATCH: Downloaded binary checksum does not match";
    assert_eq!(view.status_reason.as_deref(), Some(reason));
    let told = events(&house, &id);
    let last = told.last().unwrap();
    assert_eq!(last["type"], "node.installation_failed", "{last}");
    assert_eq!(
        last["data"]["error"],
        json!({
            "code": "CHECKSUM_MISMATCH",
            "message": "Downloaded binary checksum does not match",
            "details": { "expected": "abc123", "actual": "def456" },
        })
    );

    // when it is run again, and the agent goes on in the same run with steps of its own,
    let (installer, run) = begun(&house, &made.token);
    report(&installer, &run, 1, vec![started(&["download"])]);
    report(&installer, &run, 4, vec![started(&["register", "download"])]);
    let machine = Machine::new("gpu-01", 1).with(|r| {
        r.run_id = Some(run.clone());
        r.exporters[0].port = 1;
    });
    machine.register(&house.stranger(), &made.token).unwrap();

    // then they are one list, and now the run speaks for the node.
    let shown: Value = house.admin().get(&format!("/api/v1/runs/{run}")).unwrap();
    let steps: Vec<&str> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|s| s["id"].as_str())
        .collect();
    assert_eq!(steps, ["download", "register"]);
    assert_eq!(installer.node(&id).unwrap().body.id, id);
    assert_eq!(
        kinds(&house, &id),
        [
            "node.registered",
            "node.installation_started",
            "node.installation_failed",
            "node.installation_started"
        ]
    );
}

#[test]
fn a_token_for_a_node_at_work_changes_nothing_about_it_until_it_is_used() {
    let house = house();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let made = token(&house, &id);
    let (installer, run) = begun(&house, &made.token);
    report(
        &installer,
        &run,
        1,
        vec![started(&["download"]), failed(&[]), ended(RunStatus::Failed)],
    );
    assert_eq!(node(&house, &id).status, NodeStatus::Online);
    assert_eq!(code_of(installer.node(&id)), "FORBIDDEN");
    agent.beat();
    // The machine was installed anew and lost its key: this is the leave to enrol again.
    let anew = Machine::new("gpu-01", 2).with(|r| r.exporters[0].port = 1);
    assert_eq!(anew.register(&house.stranger(), &made.token).unwrap().node.id, id);
    assert_eq!(agent.last_words(), Some(("UNAUTHENTICATED".into(), false)));
}

#[test]
fn what_was_rotated_away_opens_nothing_any_more_and_its_socket_is_closed() {
    // Given a connected node whose key and credential are in other hands
    let house = house();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let earlier = token(&house, &id);
    let client = house.stranger();
    client.with_bearer(&machine.credential).node(&id).unwrap();

    // when they are rotated,
    let made = house.admin().rotate_node(&id, &GenerateToken::default()).unwrap();

    // then the socket is closed for good and the credential refused at once,
    assert_eq!(agent.last_words(), Some(("UNAUTHENTICATED".into(), false)));
    assert_eq!(
        code_of(client.with_bearer(&machine.credential).node(&id)),
        "UNAUTHENTICATED"
    );
    let refused = Agent::open(&house, &machine.credential).err();
    assert_eq!(refused, Some((401, "UNAUTHENTICATED".into())));
    assert_eq!(
        code_of(client.with_bearer(&earlier.token).validate()),
        "TOKEN_REVOKED"
    );
    // also with the new token, each of the two,
    let credential = &machine.request.credential_hash;
    let mut half = Machine::new("gpu-01", 2).with(|r| r.credential_hash.clone_from(credential));
    assert_eq!(
        code_of(machine.register(&client, &made.token)),
        "CREDENTIAL_REVOKED"
    );
    assert_eq!(code_of(half.register(&client, &made.token)), "CREDENTIAL_REVOKED");
    half = machine.clone().with(|r| r.credential_hash = Some("c".repeat(64)));
    assert_eq!(code_of(half.register(&client, &made.token)), "CREDENTIAL_REVOKED");
    // and the machine is back as itself with new ones.
    let renewed = Machine::new("gpu-01", 3).with(|r| r.exporters[0].port = 1);
    assert_eq!(renewed.register(&client, &made.token).unwrap().node.id, id);
    Agent::connect(&house, &renewed);
    let told = kinds(&house, &id);
    assert!(told.contains(&"node.credential_revoked".to_owned()), "{told:?}");
    let audit = house.admin().audit(0, 200).unwrap().entries;
    assert!(
        audit.iter().any(|entry| entry.action == "node.rotate"),
        "{audit:?}"
    );

    // Retired and restored, it still is.
    house.admin().retire(&id).unwrap();
    house
        .admin()
        .post::<(), NodeView>(&format!("/api/v1/nodes/{id}/restore"), None)
        .unwrap();
    let again = token(&house, &id);
    assert_eq!(
        code_of(machine.register(&client, &again.token)),
        "CREDENTIAL_REVOKED"
    );
}

#[test]
fn a_rotated_node_is_brought_back_by_no_other_good_token_of_its_group() {
    // Given a node that enrolled with its group's token, which is still good,
    let house = house();
    let _: Value = house
        .admin()
        .post("/api/v1/groups", Some(&json!({ "name": "rack-a" })))
        .unwrap();
    let of_group = house.token(|t| (t.group, t.max_uses) = (Some("rack-a".into()), Some(5)));
    let open = house.token(|t| t.allow_reenrol = true);
    let machine = Machine::new("gpu-01", 1).with(|r| r.exporters[0].port = 1);
    let client = house.stranger();
    let id = machine.register(&client, &of_group.token).unwrap().node.id;

    // when it is rotated, since what it had is in other hands,
    let made = house.admin().rotate_node(&id, &GenerateToken::default()).unwrap();

    // then its name opens it to nobody who has some other token,
    let thief = Machine::new("gpu-01", 9);
    for other in [&of_group.token, &open.token] {
        let refused = thief.register(&client, other);
        let said = format!("{refused:?}");
        assert_eq!(code_of(refused), "CREDENTIAL_REVOKED");
        assert!(said.contains("only a token made for it alone"), "{said}");
    }
    // and the one that was made for it brings it back. From then on its group's token is what it was.
    let renewed = Machine::new("gpu-01", 3).with(|r| r.exporters[0].port = 1);
    assert_eq!(renewed.register(&client, &made.token).unwrap().node.id, id);
    assert!(renewed.register(&client, &of_group.token).unwrap().known);
    assert_eq!(
        code_of(thief.register(&client, &of_group.token)),
        "ALREADY_ENROLLED"
    );
}

#[test]
fn an_install_token_takes_its_node_out_neither_before_nor_after_it_is_used() {
    let house = house();
    let id = declared(&house, "gpu-01");
    let made = token(&house, &id);
    let holder = house.stranger().with_bearer(&made.token);
    assert_eq!(code_of(holder.retire(&id)), "FORBIDDEN");
    let machine = Machine::new("gpu-01", 1);
    machine.register(&house.stranger(), &made.token).unwrap();
    assert_eq!(code_of(holder.retire(&id)), "FORBIDDEN");
    assert_ne!(node(&house, &id).status, NodeStatus::Inactive);
    // Its own credential still does.
    house
        .stranger()
        .with_bearer(&machine.credential)
        .retire(&id)
        .unwrap();
}

#[test]
fn the_script_fetched_with_the_token_brings_the_version_that_was_asked_for() {
    let house = house();
    let folder = house.folder.path().join("data/dist/2.0.0").join(ARCH);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("aami-agent"), "release 2").unwrap();
    let id = declared(&house, "gpu-01");
    let fetched = |made: &GeneratedToken| {
        let holder = house.stranger().with_bearer(&made.token);
        holder.text("/bootstrap.sh").unwrap()
    };
    let usual = token(&house, &id);
    assert_eq!(fetched(&usual), usual.install_script);
    let wanted = GenerateToken {
        daemon_version: Some("v2.0.0".into()),
        ..GenerateToken::default()
    };
    let made = house.admin().node_token(&id, &wanted).unwrap();
    let script = fetched(&made);
    assert!(script.contains(&sha256(b"release 2")), "{script}");
    assert_eq!(script, made.install_script);
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}
