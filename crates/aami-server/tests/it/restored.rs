//! A backup that is put back in part: the store and the history are of different days, and that is said.

use std::path::{Path, PathBuf};

use aami_api::event::Events;
use aami_model::event::Event;
use rusqlite::Connection;
use serde_json::Value;

use crate::dashboards::{Dashboard, declare};
use crate::deliveries::{arrives, quick, received, turn, webhook};
use crate::house::{House, until};
use crate::lost_events::{declared, shown, sql};
use crate::receiver::Receiver;

const FILES: [&str; 3] = ["", "-wal", "-shm"];

/// A database of a control plane that is stopped, put aside whole.
struct Backup {
    of: PathBuf,
    folder: tempfile::TempDir,
}

impl Backup {
    fn of(house: &House, name: &str) -> Self {
        let of = house.folder.path().join("data").join(name);
        let folder = tempfile::tempdir().unwrap();
        for file in FILES {
            let _ = std::fs::copy(with(&of, file), with(&folder.path().join("kept"), file));
        }
        assert!(folder.path().join("kept").exists());
        Self { of, folder }
    }

    fn put_back(&self) {
        for file in FILES {
            let _ = std::fs::remove_file(with(&self.of, file));
            let _ = std::fs::copy(with(&self.folder.path().join("kept"), file), with(&self.of, file));
        }
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn all(house: &House) -> Events {
    house.admin().events(0, 1000).unwrap()
}

fn of_node(house: &House, node: &str) -> (Vec<Event>, u64) {
    let told: Value = house
        .admin()
        .get(&format!("/api/v1/nodes/{node}/history"))
        .unwrap();
    let events = serde_json::from_value(told["events"].clone()).unwrap();
    (events, told["pruned_through"].as_u64().unwrap())
}

/// Stops it once nothing is left to be copied to the history.
fn stopped(mut house: House) -> House {
    let store = house.folder.path().join("data/store.db");
    until("all is copied", || {
        let store = Connection::open(&store).unwrap();
        let left: i64 = store
            .query_row("SELECT count(*) FROM kv WHERE key LIKE 's/outbox/%'", [], |row| {
                row.get(0)
            })
            .unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    });
    house.stop();
    house
}

#[test]
fn a_history_that_is_older_than_the_store_says_what_it_lacks_also_after_it_has_gone_on() {
    // Given a node of which more was told after a backup was made,
    let house = House::new();
    let node = declare(&house.admin(), "gpu-old").to_string();
    let house = stopped(house);
    let backup = Backup::of(&house, "history.db");
    let house = house.restart(|_| {});
    turn(&house, &node);
    let whole = of_node(&house, &node);
    assert_eq!((whole.0.len(), whole.1), (3, 0), "{whole:?}");
    let lacking = whole.0[2].seq;

    // when of that backup the history alone is put back,
    let house = stopped(house);
    backup.put_back();
    let house = house.restart(|_| {});

    // then what is left is shown, and that something is not there: of the node, of all, of who changed what;
    let (events, gone) = of_node(&house, &node);
    assert_eq!(events, whole.0[..1], "what the backup has");
    assert!(gone >= lacking, "{gone} {lacking}");
    assert_eq!(all(&house).pruned_through, gone);
    let audit = house.admin().audit(0, 1000).unwrap();
    assert!(audit.pruned_through > 0, "{audit:?}");

    // and still so when more was copied there, and after another start.
    declare(&house.admin(), "gpu-new");
    let house = stopped(house).restart(|_| {});
    let (events, still) = of_node(&house, &node);
    assert_eq!((events, still), (whole.0[..1].to_vec(), gone));
    let after = house.admin().events(gone, 1000).unwrap();
    assert_eq!(
        after.events.len(),
        1,
        "who goes on from there misses nothing: {after:?}"
    );
    // A dashboard that was told of what is lacking, and no more, has missed nothing; one that was not has.
    let mut back = Dashboard::back(&house, &format!("?after={}&epoch=", whole.0[0].seq));
    let heard = serde_json::to_string(&back.sync()).unwrap();
    assert!(heard.contains("resync"), "{heard}");
}

#[test]
fn a_destination_gets_what_an_older_history_has_left_whatever_it_is_told_of_what_is_gone() {
    // Given a destination that is not there, events for it, and more of them after a backup was made,
    let port = Receiver::new().port;
    let house = House::with(quick);
    let hook = webhook(&house, |wanted| {
        wanted.url = format!("http://127.0.0.1:{port}/in");
        wanted.events = vec!["node.*".into()];
    });
    for n in 0..20 {
        declare(&house.admin(), &format!("gpu-{n}"));
    }
    let house = stopped(house);
    let backup = Backup::of(&house, "history.db");
    let house = house.restart(quick);
    declare(&house.admin(), "gpu-gone");

    // when of that backup the history alone is put back, what is gone is told, and nothing can be delivered still,
    let house = stopped(house);
    backup.put_back();
    let house = house.restart(quick);
    until("it is told", || match shown(&house, &hook.view.id).lost_through {
        Some(_) => Ok(()),
        None => Err(()),
    });

    // then it gets all that is left once it is there, also from a control plane that was started anew meanwhile.
    let house = house.restart(quick);
    let receiver = Receiver::at(port);
    arrives(&house, &receiver);
    assert_eq!(received(&receiver.got()).len(), 20);
}

#[test]
fn what_is_taken_out_of_the_outbox_is_known_to_be_copied_at_once() {
    // Given a control plane that copies what happens to its history, and cannot say in its store how far it is,
    let house = House::new();
    let data = house.folder.path().join("data");
    sql(
        &data.join("store.db"),
        "CREATE TRIGGER unwritten BEFORE INSERT ON kv WHEN NEW.key = 's/meta/copied'
         BEGIN SELECT RAISE(FAIL, 'the disk is broken there'); END;
         CREATE TRIGGER unchanged BEFORE UPDATE ON kv WHEN NEW.key = 's/meta/copied'
         BEGIN SELECT RAISE(FAIL, 'the disk is broken there'); END",
    );
    for n in 0..120 {
        declared(&house, &format!("gpu-{n}"));
    }
    let nodes = |house: &House| {
        let events = all(house).events.into_iter();
        let told = events.filter(|event| event.kind.starts_with("node."));
        told.map(|event| event.subject)
            .collect::<std::collections::BTreeSet<String>>()
            .len()
    };
    assert_eq!(nodes(&house), 120);
    until("all is copied", || {
        let history = Connection::open(data.join("history.db")).unwrap();
        let count = "SELECT count(DISTINCT subject) FROM record WHERE subject LIKE 'node:%'";
        match history.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() {
            120 => Ok(()),
            less => Err(less),
        }
    });

    // when it ends, and whoever goes on has another history,
    let mut house = house;
    house.stop();
    sql(
        &data.join("store.db"),
        "DROP TRIGGER unwritten; DROP TRIGGER unchanged",
    );
    for file in FILES {
        let _ = std::fs::remove_file(with(&data.join("history.db"), file));
    }
    let house = house.restart(|_| {});

    // then nothing is gone without a word: all of it still waits to be copied.
    assert_eq!(nodes(&house), 120);
}

#[test]
fn a_history_that_is_lost_altogether_is_not_taken_for_one_of_which_nothing_is_gone() {
    let house = House::new();
    let node = declare(&house.admin(), "gpu-old").to_string();
    let told = of_node(&house, &node).0[0].seq;
    let house = stopped(house);
    for file in FILES {
        let _ = std::fs::remove_file(with(&house.folder.path().join("data/history.db"), file));
    }
    let house = house.restart(|_| {});
    let (events, gone) = of_node(&house, &node);
    assert!(events.is_empty() && gone >= told, "{events:?} {gone}");
}

#[test]
fn a_store_that_is_older_than_the_history_goes_on_above_all_that_was_told() {
    // Given a backup, and events that were told after it was made,
    let house = House::new();
    let node = declare(&house.admin(), "gpu-old").to_string();
    let house = stopped(house);
    let backup = Backup::of(&house, "store.db");
    let house = house.restart(|_| {});
    let remembered = {
        let mut dashboard = Dashboard::of_admin(&house);
        dashboard.sync();
        dashboard.remembered()
    };
    for n in 0..20 {
        declare(&house.admin(), &format!("gpu-{n}"));
    }
    let before = all(&house);

    // when of that backup the store alone is put back,
    let house = stopped(house);
    backup.put_back();
    let house = house.restart(|_| {});
    let new = declare(&house.admin(), "gpu-new").to_string();

    // then what happens from now on is kept, with greater numbers than all before, which are still there,
    let house = stopped(house).restart(|_| {});
    let after = all(&house);
    assert_eq!(after.events[..before.events.len()], before.events);
    let told = &after.events[before.events.len()..];
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].subject, format!("node:{new}"));
    assert!(told[0].seq > before.last_seq);
    assert_eq!((after.pruned_through, of_node(&house, &node).0.len()), (0, 1));
    // and whoever was told of another life of the store is shown everything anew.
    let mut back = Dashboard::back(&house, &remembered);
    let frames = serde_json::to_string(&back.sync()).unwrap();
    assert!(
        frames.contains("\"snapshot\"") && frames.contains("gpu-new"),
        "{frames}"
    );
}
