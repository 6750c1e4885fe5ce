//! The update of a group's agents, with agents that do as they are told, or do not come up.

use std::time::Duration;

use aami_api::command::Commands;
use aami_api::group::CreateGroup;
use aami_api::link::{CommandResult, Down, Order, Up};
use aami_api::node::PatchNode;
use aami_api::rollout::{RolloutView, Rollouts};
use aami_model::NodeId;
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::group::Group;
use aami_model::rollout::{RolloutPlan, RolloutStatus};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::house::{House, Machine, code_of, until};
use crate::link::{Agent, enrolled};

const PATH: &str = "/api/v1/groups/racks/rollout";

/// Waits until a look gives something.
pub fn awaited<T, E: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let mut seen = None;
    until(what, || look().map(|found| seen = Some(found)));
    seen.unwrap()
}

/// A node with its agent.
struct Member {
    machine: Machine,
    id: NodeId,
    agent: Agent,
    version: String,
    config: Option<String>,
}

impl Member {
    fn join(house: &House, at: u8) -> Self {
        let (machine, id) = enrolled(house, &format!("gpu-{at:02}"), at);
        let patch = PatchNode {
            groups: Some(vec!["racks".into()]),
            ..PatchNode::default()
        };
        let _: Value = house
            .admin()
            .patch(&format!("/api/v1/nodes/{id}"), &patch)
            .unwrap();
        let (agent, _) = Agent::connect(house, &machine);
        Self {
            machine,
            id,
            agent,
            version: "1.0.0".into(),
            config: None,
        }
    }

    /// Connects again, as what it is by now.
    fn connect(&mut self, house: &House) {
        let (agent, _) = Agent::connect_as(house, &self.machine, |hello| {
            hello.agent_version.clone_from(&self.version);
            hello.config_revision.clone_from(&self.config);
        });
        self.agent = agent;
    }

    /// Takes the update it is told.
    fn take(&mut self) -> Order {
        let order = self.heard();
        let command_id = order.command_id.clone();
        self.agent.say(&Up::Accepted { command_id });
        order
    }

    /// The next command it is told, without a word about it.
    fn heard(&mut self) -> Order {
        loop {
            match self.agent.hear() {
                Some(Down::Command(order)) => return order,
                Some(Down::Received { .. } | Down::Config(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn end(&mut self, order: &Order, ok: bool) {
        self.agent.say(&Up::Result(CommandResult {
            command_id: order.command_id.clone(),
            ok,
            code: (!ok).then(|| "UPDATE_ROLLED_BACK".to_owned()),
            message: if ok { "it runs" } else { "it did not start" }.to_owned(),
            output: String::new(),
        }));
    }

    /// Does as it is told: comes back as the new version, and says so.
    fn update(&mut self, house: &House) {
        let order = self.take();
        let NodeCommand::UpdateAgent { version } = &order.command else {
            panic!("{order:?}")
        };
        self.version.clone_from(version);
        self.connect(house);
        self.end(&order, true);
    }

    /// Tries, and goes back.
    fn fail(&mut self) {
        let order = self.take();
        self.end(&order, false);
    }
}

fn racks(house: &House) {
    let wanted = CreateGroup {
        name: "racks".into(),
        ..CreateGroup::default()
    };
    let _: Group = house.admin().post("/api/v1/groups", Some(&wanted)).unwrap();
}

fn set(house: &House, plan: &RolloutPlan) -> RolloutView {
    let answer = house.admin().call(Method::PUT, PATH, Some(plan), &[]).unwrap();
    answer.body
}

fn view(house: &House) -> RolloutView {
    house.admin().get(PATH).unwrap()
}

/// Waits until a node is told, and says which of these.
fn told(house: &House, members: &[Member]) -> usize {
    awaited("a node is told", || {
        let is_told = |member: &&Member| {
            let all: Commands = house
                .admin()
                .get(&format!("/api/v1/nodes/{}/commands", member.id))
                .unwrap();
            all.commands
                .iter()
                .any(|command| command.status == CommandStatus::Sent)
        };
        let found: Vec<usize> = (0..members.len()).filter(|at| is_told(&&members[*at])).collect();
        match found.as_slice() {
            [one, ..] => Ok(*one),
            [] => Err(Box::new(view(house))),
        }
    })
}

fn until_rollout(house: &House, what: &str, is_so: impl Fn(&RolloutView) -> bool) -> RolloutView {
    awaited(what, || {
        let now = view(house);
        if is_so(&now) { Ok(now) } else { Err(Box::new(now)) }
    })
}

#[test]
fn a_canary_goes_first_and_the_others_follow_when_it_has_stood() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=3).map(|at| Member::join(&house, at)).collect();
    let plan = RolloutPlan {
        soak_seconds: 300,
        at_once: 1,
        ..RolloutPlan::to("1.1.0")
    };
    set(&house, &plan);
    let first = told(&house, &members);
    assert_eq!(view(&house).nodes.updating, 1);
    members[first].update(&house);
    let watched = until_rollout(&house, "the first is there", |view| view.nodes.updated == 1);
    assert_eq!(watched.status, RolloutStatus::Canary);
    assert_eq!(watched.reason, "the first nodes are watched for a while");
    assert_eq!(
        watched.versions,
        [("1.0.0".to_owned(), 2), ("1.1.0".to_owned(), 1)].into()
    );
    // When it has stood for long enough, the others follow, one at a time.
    house.forward(Duration::from_secs(301));
    for _ in 0..2 {
        let next = told(&house, &members);
        assert_eq!(view(&house).nodes.updating, 1);
        members[next].update(&house);
    }
    until_rollout(&house, "all are there", |view| view.status == RolloutStatus::Done);
    // A node that joins later is behind, and gets its turn.
    members.push(Member::join(&house, 4));
    let late = told(&house, &members);
    assert_eq!(late, 3);
    members[3].update(&house);
    let done = until_rollout(&house, "it is there as well", |view| {
        view.status == RolloutStatus::Done && view.nodes.updated == 4
    });
    assert_eq!(done.failed, []);
    let events: Value = house.admin().get("/api/v1/events?after=0&limit=1000").unwrap();
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    let rollout: Vec<&&str> = kinds.iter().filter(|kind| kind.starts_with("rollout.")).collect();
    assert_eq!(
        rollout,
        [
            &"rollout.started",
            &"rollout.canaries_stood",
            &"rollout.done",
            &"rollout.went_on",
            &"rollout.done",
        ]
    );
}

#[test]
fn a_new_agent_that_does_not_come_up_halts_it_and_an_operator_lets_it_go_on() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=3).map(|at| Member::join(&house, at)).collect();
    set(&house, &RolloutPlan::to("1.1.0"));
    let first = told(&house, &members);
    members[first].fail();
    let halted = until_rollout(&house, "it halts", |view| view.status == RolloutStatus::Halted);
    assert_eq!(
        halted.reason,
        "1 of the 1 nodes that tried went back to their old agent"
    );
    assert_eq!(halted.failed.len(), 1);
    assert_eq!(halted.failed[0].node_id, members[first].id);
    assert_eq!(halted.failed[0].code.as_deref(), Some("UPDATE_ROLLED_BACK"));
    let metrics = || house.admin().text("/metrics").unwrap();
    assert!(metrics().contains("aami_rollout_halted{org=\"default\",group=\"racks\"} 1\n"));
    assert!(
        metrics().contains("aami_rollout_nodes{org=\"default\",group=\"racks\",standing=\"failed\"} 1\n")
    );
    // It outlives a restart of the control plane, and nobody is told meanwhile.
    let house = house.restart(|_| {});
    for member in &mut members {
        member.connect(&house);
    }
    assert_eq!(view(&house).status, RolloutStatus::Halted);
    // Let go on, it begins with a canary again: what failed is tried again.
    house.forward(Duration::from_secs(1));
    let _: RolloutView = house
        .admin()
        .post(&format!("{PATH}/resume"), None::<&()>)
        .unwrap();
    let again = told(&house, &members);
    members[again].update(&house);
    until_rollout(&house, "the canary is there", |view| {
        view.nodes.updated == 1 && view.nodes.failed == 0
    });
}

#[test]
fn a_new_agent_that_dies_after_it_was_connected_takes_no_other_with_it() {
    let house = House::with(|config| config.heartbeat_timeout = Duration::from_secs(5));
    racks(&house);
    let mut members: Vec<Member> = (1..=3).map(|at| Member::join(&house, at)).collect();
    set(&house, &RolloutPlan::to("1.1.0"));
    // Given a canary that came up with it, and is gone,
    let first = told(&house, &members);
    members[first].update(&house);
    until_rollout(&house, "the canary is there", |view| view.nodes.updated == 1);
    drop(members.remove(first));
    // then it keeps its place, and nobody else is told,
    until_rollout(&house, "it is missed", |view| {
        view.nodes.lost == 1 && view.reason.contains("are not connected")
    });
    // and once it is written off, it is one of one that failed.
    let halted = awaited("it halts", || {
        for member in &mut members {
            member.agent.beat();
        }
        let now = view(&house);
        assert_eq!(now.nodes.updating, 0);
        if now.status == RolloutStatus::Halted {
            Ok(now)
        } else {
            Err(Box::new(now))
        }
    });
    assert_eq!((halted.nodes.failed, halted.nodes.waiting), (1, 2));
    assert_eq!(halted.failed[0].code.as_deref(), Some("NODE_NOT_CONNECTED"));
    // Let go on, what was lost before is waited for and not held against it.
    house.forward(Duration::from_secs(1));
    let _: RolloutView = house
        .admin()
        .post(&format!("{PATH}/resume"), None::<&()>)
        .unwrap();
    told(&house, &members);
}

#[test]
fn a_node_that_takes_nothing_holds_nobody_up_and_is_told_again() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=2).map(|at| Member::join(&house, at)).collect();
    let plan = RolloutPlan {
        soak_seconds: 0,
        at_once: 1,
        ..RolloutPlan::to("1.1.0")
    };
    set(&house, &plan);
    // Given a node that is connected and does not take what it is told, when its time is over, then the other one
    // goes first.
    let silent = told(&house, &members);
    let unheeded = members[silent].heard();
    house.forward(Duration::from_secs(31));
    let after = awaited("the other one is told", || match told(&house, &members) {
        next if next != silent => Ok(next),
        same => Err(same),
    });
    until_rollout(&house, "it is counted", |view| view.nodes.silent == 1);
    members[after].update(&house);
    let left = until_rollout(&house, "the other one is there", |view| view.nodes.updated == 1);
    assert_ne!(left.status, RolloutStatus::Done);
    assert_eq!(left.failed, []);
    until_rollout(&house, "it says why it waits", |view| {
        view.reason.contains("did not take what they were told")
    });
    // It is told again over the same connection, and is busy then, which is no try either.
    house.forward(Duration::from_secs(31));
    assert_eq!(told(&house, &members), silent);
    let order = members[silent].heard();
    assert_ne!(order.command_id, unheeded.command_id);
    members[silent].agent.say(&Up::Result(CommandResult {
        command_id: order.command_id,
        ok: false,
        code: Some("COMMAND_BUSY".to_owned()),
        message: "one after the other".to_owned(),
        output: String::new(),
    }));
    until_rollout(&house, "it was busy", |view| view.nodes.silent == 1);
    house.forward(Duration::from_secs(61));
    members[silent].update(&house);
    until_rollout(&house, "all are there", |view| view.status == RolloutStatus::Done);
}

#[test]
fn nodes_that_have_the_version_already_are_no_canaries() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=3).map(|at| Member::join(&house, at)).collect();
    // Given a node with a newer agent, by its own word, that stands for long enough,
    members[0].version = "1.2.0".into();
    members[0].connect(&house);
    house.forward(Duration::from_secs(60));
    let plan = RolloutPlan {
        soak_seconds: 30,
        max_failed_percent: 30,
        ..RolloutPlan::to("1.1.0")
    };
    set(&house, &plan);
    // then one that was told is watched nevertheless, and alone.
    let first = told(&house, &members);
    let seen = view(&house);
    assert_eq!(
        (
            seen.status,
            seen.nodes.updated,
            seen.nodes.untried,
            seen.nodes.updating
        ),
        (RolloutStatus::Canary, 1, 1, 1)
    );
    // When it goes back, it is one of one that tried.
    members[first].fail();
    let halted = until_rollout(&house, "it halts", |view| view.status == RolloutStatus::Halted);
    assert_eq!(
        halted.reason,
        "1 of the 1 nodes that tried went back to their old agent"
    );
}

#[test]
fn what_failed_within_bounds_is_tried_again_and_nobody_is_overruled_unseen() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=2).map(|at| Member::join(&house, at)).collect();
    let plan = RolloutPlan {
        canaries: 0,
        max_failed_percent: 100,
        ..RolloutPlan::to("1.1.0")
    };
    let admin = house.admin();
    let put = |plan: &RolloutPlan, seen: &str| {
        admin.call::<RolloutPlan, RolloutView>(Method::PUT, PATH, Some(plan), &[("If-Match", seen)])
    };
    // Given a rollout that ended with a node that went back,
    let begun = admin.call::<_, RolloutView>(Method::PUT, PATH, Some(&plan), &[]);
    let begun = begun.unwrap().etag.unwrap();
    members[0].fail();
    members[1].update(&house);
    let done = until_rollout(&house, "it is done", |view| view.status == RolloutStatus::Done);
    assert_eq!((done.nodes.failed, done.nodes.updated), (1, 1));
    // when somebody acts on what they saw before, they are told how it is by now,
    let resume = |seen: &str| {
        let path = format!("{PATH}/resume");
        admin.call::<(), RolloutView>(Method::POST, &path, None, &[("If-Match", seen)])
    };
    let stop = admin.call::<(), Value>(Method::DELETE, PATH, None, &[("If-Match", &begun)]);
    assert_eq!(code_of(stop), "PRECONDITION_FAILED");
    assert_eq!(
        code_of(put(&RolloutPlan::to("1.2.0"), &begun)),
        "PRECONDITION_FAILED"
    );
    match resume(&begun) {
        Err(aami_api::client::ClientError::Refused(problem)) => {
            assert_eq!(problem.code, "PRECONDITION_FAILED");
            assert_eq!(problem.current.unwrap()["status"], "done");
        }
        other => panic!("{other:?}"),
    }
    // and who has seen it has what failed tried again.
    let seen = admin
        .call::<(), RolloutView>(Method::GET, PATH, None, &[])
        .unwrap();
    house.forward(Duration::from_secs(1));
    let on = resume(&seen.etag.unwrap()).unwrap();
    assert_eq!(on.body.status, RolloutStatus::Rolling);
    members[0].update(&house);
    let all = until_rollout(&house, "all are there", |view| view.status == RolloutStatus::Done);
    assert_eq!((all.nodes.failed, all.nodes.updated), (0, 2));
}

#[test]
fn a_control_plane_that_is_started_anew_in_the_middle_goes_on_where_its_nodes_are() {
    let house = House::new();
    racks(&house);
    let mut members: Vec<Member> = (1..=2).map(|at| Member::join(&house, at)).collect();
    let plan = RolloutPlan {
        soak_seconds: 0,
        ..RolloutPlan::to("1.1.0")
    };
    set(&house, &plan);
    let first = told(&house, &members);
    let order = members[first].take();
    until_rollout(&house, "it was taken", |view| view.nodes.updating == 1);
    // The control plane ends while the node is at work, and is back when that is done.
    let house = house.restart(|_| {});
    assert_eq!(view(&house).nodes.updating, 1, "it is remembered");
    members[first].version = "1.1.0".into();
    for member in &mut members {
        member.connect(&house);
    }
    members[first].end(&order, true);
    let second = told(&house, &members);
    assert_ne!(second, first, "nobody is told twice");
    members[second].update(&house);
    until_rollout(&house, "all are there", |view| view.status == RolloutStatus::Done);
}

#[test]
fn a_pinned_group_takes_newer_agents_back_and_tells_them_that_they_may() {
    let house = House::new();
    racks(&house);
    let mut member = Member::join(&house, 1);
    member.version = "1.2.0".into();
    member.connect(&house);
    // Given a wish for an older version, which leaves a newer agent alone
    let plan = RolloutPlan {
        soak_seconds: 0,
        ..RolloutPlan::to("1.1.0")
    };
    set(&house, &plan);
    until_rollout(&house, "it is met", |view| view.status == RolloutStatus::Done);
    // when the group is pinned to it, then the node is told so before it is told to go there.
    let pinned = RolloutPlan { pinned: true, ..plan };
    set(&house, &pinned);
    match member.agent.hear() {
        Some(Down::Config(config)) => {
            assert_eq!(config.agent_version.as_deref(), Some("1.1.0"));
            member.config = Some(config.revision);
        }
        other => panic!("{other:?}"),
    }
    member.update(&house);
    assert_eq!(member.version, "1.1.0");
    until_rollout(&house, "it is back", |view| {
        view.status == RolloutStatus::Done && view.nodes.updated == 1
    });
    // Without the wish it is not pinned any more.
    house.admin().delete(PATH).unwrap();
    match member.agent.hear() {
        Some(Down::Config(config)) => assert_eq!(config.agent_version, None),
        other => panic!("{other:?}"),
    }
    assert_eq!(code_of(house.admin().get::<Value>(PATH)), "NOT_FOUND");
}

#[test]
fn held_is_held_and_what_makes_no_sense_is_refused() {
    let house = House::new();
    racks(&house);
    let mut member = Member::join(&house, 1);
    let put = |path: &str, body: &Value| {
        house
            .admin()
            .call::<Value, Value>(Method::PUT, path, Some(body), &[])
    };
    for body in [
        json!({ "version": "../../etc" }),
        json!({ "version": "latest" }),
        json!({ "version": "1.1.0", "at_once": 0 }),
        json!({ "version": "1.1.0", "max_failed_percent": 101 }),
        json!({ "version": "1.1.0", "canaries": 100_000 }),
    ] {
        assert_eq!(code_of(put(PATH, &body)), "INVALID", "{body}");
    }
    assert_eq!(code_of(put(PATH, &json!({}))), "MALFORMED");
    assert_eq!(
        code_of(put(
            "/api/v1/groups/nobody/rollout",
            &json!({ "version": "1.1.0" })
        )),
        "NOT_FOUND"
    );
    assert_eq!(
        code_of(house.admin().post::<(), Value>(&format!("{PATH}/pause"), None)),
        "NOT_FOUND"
    );
    // Held before anybody is told: a node that is not connected cannot be told.
    drop(member.agent.socket.close(None));
    set(&house, &RolloutPlan::to("1.1.0"));
    let held: RolloutView = house.admin().post(&format!("{PATH}/pause"), None::<&()>).unwrap();
    assert_eq!(held.status, RolloutStatus::Paused);
    let again: RolloutView = house.admin().post(&format!("{PATH}/pause"), None::<&()>).unwrap();
    assert_eq!(again.status_since, held.status_since);
    member.connect(&house);
    let other: Rollouts = house.admin_of("other").get("/api/v1/rollouts").unwrap();
    assert_eq!(other.rollouts, []);
    assert_eq!(code_of(house.admin_of("other").get::<Value>(PATH)), "NOT_FOUND");
    // The same command given by hand is refused for what it is not.
    let by_hand = json!({ "command": { "kind": "update_agent", "version": "1.1.0; rm -rf /" } });
    let path = format!("/api/v1/nodes/{}/commands", member.id);
    assert_eq!(
        code_of(house.admin().post::<Value, Value>(&path, Some(&by_hand))),
        "INVALID"
    );
    // Nobody was told while it was held; once it goes on, the node is.
    let commands: Commands = house.admin().get(&path).unwrap();
    assert_eq!(commands.commands, []);
    let _: RolloutView = house
        .admin()
        .post(&format!("{PATH}/resume"), None::<&()>)
        .unwrap();
    member.update(&house);
    until_rollout(&house, "it is there", |view| view.nodes.updated == 1);
}
