//! The socket of a node between several control planes: whoever holds an older connection harms nothing, stopped or
//! killed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aami_api::link::{Down, Up};
use aami_api::node::NodeView;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, Timestamp};
use rig::Place;
use rig::engines::Etcd;

use crate::house::{House, Machine, until, until_within};
use crate::link::{Agent, enrolled, hello_at};
use crate::process::{Process, Told};

const TIMEOUT: Duration = Duration::from_secs(3);

/// A control plane of this process, and one that can be killed, on one store.
fn two(etcd: &Etcd<'_>, folder: &std::path::Path) -> (House, Process) {
    let url = format!("etcd://{}", etcd.endpoint());
    let here = House::with(|config| {
        config.store.clone_from(&url);
        config.heartbeat_timeout = TIMEOUT;
    });
    let told = Told {
        store: Some(url),
        heartbeat_timeout: Some(TIMEOUT),
        admin_key: Some(here.admin_key.clone()),
        ..Told::default()
    };
    let there = Process::start(folder, &told);
    (here, there)
}

/// Connects to the other one, by the clock of the world: nobody sets it there.
fn connect_there(there: &Process, machine: &Machine) -> Agent {
    let mut agent = Agent::open_at(there.address, &machine.credential).unwrap();
    agent.say(&Up::Hello(hello_at(now())));
    assert!(matches!(agent.hear(), Some(Down::ConnectionAck(_))));
    agent
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn until_online_there(there: &Process, id: &NodeId) {
    until("the other control plane knows the node", || {
        let known = there.admin.node(id).map(|node| node.body.status);
        match known {
            Ok(NodeStatus::Installing | NodeStatus::Online) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn disconnects(house: &House, id: &NodeId) -> usize {
    let kinds = crate::link::kinds(house, id);
    kinds.iter().filter(|kind| *kind == "node.disconnected").count()
}

fn status(house: &House, id: &NodeId) -> NodeView {
    crate::link::node(house, id)
}

#[test]
fn a_control_plane_that_was_stopped_and_writes_late_harms_no_node_that_is_connected_elsewhere() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = two(&etcd, folder.path());
    let (machine, id) = enrolled(&here, "gpu-01", 1);
    until_online_there(&there, &id);
    // Given a node that is connected to one which is stopped,
    let mut old = connect_there(&there, &machine);
    there.signal("STOP");
    // and that has gone to the other one meanwhile,
    let (mut agent, _) = Agent::connect(&here, &machine);
    let begun = Instant::now();
    until("the stop has lasted longer than a node may be silent", || {
        agent.beat();
        if begun.elapsed() > TIMEOUT * 2 {
            Ok(())
        } else {
            Err(begun.elapsed())
        }
    });

    // when it goes on,
    there.signal("CONT");

    // then it ends the old connection by the store's word, and the node was never gone.
    let told = old.last_words();
    assert!(
        matches!(&told, None | Some((_, true)))
            && told.clone().is_none_or(|(code, _)| code == "CONNECTION_REPLACED"),
        "{told:?}"
    );
    let begun = Instant::now();
    until("it had the time to write what it believes", || {
        agent.beat();
        if begun.elapsed() > TIMEOUT * 2 {
            Ok(())
        } else {
            Err(begun.elapsed())
        }
    });
    assert_eq!(
        (disconnects(&here, &id), status(&here, &id).status),
        (0, NodeStatus::Online)
    );
}

#[test]
fn of_a_killed_control_planes_nodes_only_those_are_gone_that_came_to_no_other() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (here, mut there) = two(&etcd, folder.path());
    let (machine, id) = enrolled(&here, "gpu-01", 1);
    let (lost, lost_id) = enrolled(&here, "gpu-02", 2);
    until_online_there(&there, &lost_id);
    let agents = [connect_there(&there, &machine), connect_there(&there, &lost)];
    // Given a control plane that is killed with two connections,
    there.kill();
    drop(agents);
    // when one of the nodes comes to the other control plane,
    let (mut agent, _) = Agent::connect(&here, &machine);

    // then the other node alone is gone, once the dead one's lease is over and it had a whole timeout to come.
    let lease_and_more = Duration::from_secs(40);
    until_within(lease_and_more, "the one that stays away is offline", || {
        agent.beat();
        match status(&here, &lost_id).status {
            NodeStatus::Offline => Ok(()),
            other => Err(other),
        }
    });
    assert_eq!((disconnects(&here, &id), disconnects(&here, &lost_id)), (0, 1));
    assert_eq!(status(&here, &id).status, NodeStatus::Online);
}
