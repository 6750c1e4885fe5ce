//! Configuration by group, and exporters that agents found.

use aami_api::group::CreateGroup;
use aami_api::link::{Down, NodeConfig, Told};
use aami_api::node::{FoundView, PatchNode};
use aami_api::page::Page;
use aami_model::agent_config::AgentConfig;
use aami_model::group::Group;
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};

use crate::fleet::awaited;
use crate::house::{House, code_of, until};
use crate::link::{Agent, enrolled, kinds, node};

fn group(house: &House, name: &str, agents: AgentConfig) -> Group {
    let wanted = CreateGroup {
        name: name.into(),
        agents,
        ..CreateGroup::default()
    };
    house.admin().post("/api/v1/groups", Some(&wanted)).unwrap()
}

fn join(house: &House, id: &NodeId, groups: &[&str]) {
    let patch = PatchNode {
        groups: Some(groups.iter().map(|name| (*name).to_owned()).collect()),
        ..PatchNode::default()
    };
    let _: Value = house
        .admin()
        .patch(&format!("/api/v1/nodes/{id}"), &patch)
        .unwrap();
}

fn heartbeats(seconds: u32) -> AgentConfig {
    AgentConfig {
        heartbeat_seconds: Some(seconds),
        ..AgentConfig::default()
    }
}

fn configured(agent: &mut Agent) -> NodeConfig {
    loop {
        match agent.hear() {
            Some(Down::Config(config)) => return config,
            Some(Down::Received { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn tell(agent: &mut Agent, seq: u64, what: &Told) {
    let frame = json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": what });
    agent.say_text(&frame.to_string());
}

#[test]
fn a_node_runs_by_the_configuration_of_its_groups_and_says_so() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    // Given two groups, of which the later in the node's own list stands above
    group(
        &house,
        "all",
        AgentConfig {
            resources_seconds: Some(120),
            ..heartbeats(20)
        },
    );
    group(&house, "quick", heartbeats(10));
    join(&house, &id, &["all", "quick"]);
    // when it connects, then it is told at once,
    let (mut agent, _) = Agent::connect(&house, &machine);
    let config = configured(&mut agent);
    assert_eq!(
        (config.heartbeat_seconds, config.resources_seconds),
        (Some(10), Some(120))
    );
    let standing = node(&house, &id).config.unwrap();
    assert_eq!(
        (standing.wanted.as_deref(), standing.applied),
        (Some(config.revision.as_str()), None)
    );
    // and what it runs by is shown.
    let told = Told::Configured {
        revision: config.revision.clone(),
        refused: None,
    };
    tell(&mut agent, 1, &told);
    until("it is applied", || {
        let standing = node(&house, &id).config.unwrap();
        (standing.applied == standing.wanted)
            .then_some(())
            .ok_or(standing)
    });
    // A change of the group reaches it where it is; a change of nothing does not.
    let same: Group = house
        .admin()
        .patch(
            "/api/v1/groups/quick",
            &json!({ "agents": { "heartbeat_seconds": 10 } }),
        )
        .unwrap();
    assert_eq!(same.agents, heartbeats(10));
    let _: Group = house
        .admin()
        .patch(
            "/api/v1/groups/quick",
            &json!({ "agents": { "heartbeat_seconds": 15, "discover": false } }),
        )
        .unwrap();
    let next = configured(&mut agent);
    assert_eq!((next.heartbeat_seconds, next.discover), (Some(15), Some(false)));
    assert_ne!(next.revision, config.revision);
    // One that refuses says why.
    let told = Told::Configured {
        revision: next.revision,
        refused: Some("too\u{1b} fast".to_owned()),
    };
    tell(&mut agent, 2, &told);
    until("it is refused", || {
        let standing = node(&house, &id).config.unwrap();
        (standing.refused.as_deref() == Some("too fast"))
            .then_some(())
            .ok_or(standing)
    });
    assert!(kinds(&house, &id).contains(&"node.configuration_refused".to_owned()));
}

#[test]
fn a_node_that_has_it_is_not_told_again_and_one_that_left_its_group_is() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    group(&house, "quick", heartbeats(10));
    join(&house, &id, &["quick"]);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let config = configured(&mut agent);
    // Given it says at its next greeting what it has, also after a restart of the control plane,
    drop(agent);
    let house = house.restart(|_| {});
    let has = |hello: &mut aami_api::link::Hello| hello.config_revision = Some(config.revision.clone());
    let (mut agent, _) = Agent::connect_as(&house, &machine, has);
    // when it leaves the group, then the first it hears of it is that nothing is wanted any more.
    join(&house, &id, &[]);
    let none = configured(&mut agent);
    assert_eq!(
        none,
        NodeConfig {
            revision: "none".into(),
            ..NodeConfig::default()
        }
    );
    // A node without groups never hears of any of this: the next frame is what it waited for.
    let (machine, other) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &machine);
    tell(&mut agent, 1, &Told::Lost { count: 1 });
    assert!(matches!(agent.hear(), Some(Down::Received { seq: 1 })));
    assert_eq!(node(&house, &other).config, None);
}

#[test]
fn a_heartbeat_so_rare_that_its_nodes_would_count_as_gone_is_refused() {
    let house = House::new();
    for (agents, good) in [
        (json!({ "heartbeat_seconds": 60 }), true),
        (json!({ "heartbeat_seconds": 61 }), false),
        (json!({ "heartbeat_seconds": 0 }), false),
        (json!({ "resources_seconds": 5 }), false),
        (json!({ "resources_seconds": 3601 }), false),
    ] {
        let body =
            json!({ "name": format!("g{agents}").chars().take(60).collect::<String>(), "agents": agents });
        let made = house.admin().post::<Value, Group>("/api/v1/groups", Some(&body));
        match made {
            Ok(_) => assert!(good, "{agents}"),
            Err(error) => {
                assert!(!good, "{agents}");
                assert_eq!(code_of::<()>(Err(error)), "INVALID");
            }
        }
    }
}

#[test]
fn an_exporter_that_was_found_is_offered_until_somebody_takes_it() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let found = json!([
        { "exporter": "custom", "name": "smartctl_exporter", "port": 9633 },
        { "exporter": "dcgm_exporter", "name": "dcgm-exporter", "port": 9400 },
        // One that it registered itself.
        { "exporter": "node_exporter", "port": 1 },
    ]);
    let frame = json!({ "type": "report", "seq": 1, "at": Timestamp::EPOCH,
        "what": { "kind": "discovered", "exporters": found } });
    agent.say_text(&frame.to_string());
    let list = |path: &str| -> Vec<FoundView> {
        let page: Page<FoundView> = house.admin().get(path).unwrap();
        page.items
    };
    let offered = awaited("it is offered", || {
        let offered = list("/api/v1/exporters/found");
        if offered.len() == 2 {
            Ok(offered)
        } else {
            Err(offered)
        }
    });
    assert_eq!(
        (offered[0].name.as_str(), offered[0].port),
        ("smartctl_exporter", 9633)
    );
    assert_eq!(offered[0].hostname, "gpu-01");
    assert_eq!(list(&format!("/api/v1/exporters/found?node={id}")), offered);
    // Nothing is enabled by itself, and strangers to the node see nothing.
    assert_eq!(node(&house, &id).exporters.len(), 1);
    let foreign: Page<FoundView> = house.admin_of("other").get("/api/v1/exporters/found").unwrap();
    assert_eq!(foreign.items, []);
    assert_eq!(
        code_of(
            house
                .admin_of("other")
                .get::<Value>(&format!("/api/v1/exporters/found?node={id}"))
        ),
        "NOT_FOUND"
    );
    // Once it is registered it is no news any more.
    let wanted = json!({ "node_id": id, "type": "custom", "port": 9633 });
    let _: Value = house.admin().post("/api/v1/exporters", Some(&wanted)).unwrap();
    assert_eq!(list("/api/v1/exporters/found").len(), 1);
    assert_eq!(node(&house, &id).exporters.len(), 2);
}
