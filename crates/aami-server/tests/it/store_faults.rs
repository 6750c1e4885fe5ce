//! What those who ask are told while the store is deaf, cut off, gone or full.

use std::thread::JoinHandle;

use aami_api::client::{Answer, ClientError};
use aami_store::{PageRequest, Store, Txn, TxnOutcome, keys};
use rig::Place;
use rig::engines::Etcd;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use ureq::http::Method;

use crate::house::{House, code_of, until};

#[path = "../../../aami-store/tests/it/disk.rs"]
mod disk;
#[path = "../../../aami-store/tests/it/proxy.rs"]
mod proxy;

use disk::Disk;
use proxy::Proxy;

/// What a store's connections to etcd are numbered: it asks on the first and watches on the second.
const ASKING: usize = 0;
const WATCHING: usize = 1;

/// A control plane, and an etcd that it hears only through a proxy.
struct Apart {
    house: House,
    proxy: Proxy,
    direct: std::sync::Arc<dyn Store>,
    _etcd: Etcd<'static>,
    runtime: Runtime,
}

impl Apart {
    fn new() -> Self {
        let etcd = Etcd::start(Place::Loopback).unwrap();
        let port = etcd.endpoint().rsplit(':').next().unwrap().parse().unwrap();
        let runtime = Runtime::new().unwrap();
        let proxy = runtime.block_on(Proxy::to(port));
        let house = House::with(|config| config.store = proxy.url());
        let direct = runtime.block_on(aami_store::open(&format!("etcd://127.0.0.1:{port}")));
        Self {
            house,
            proxy,
            direct: direct.unwrap(),
            _etcd: etcd,
            runtime,
        }
    }

    /// Asks for a group, which is answered when it is; under a key, so that it may be asked for again.
    fn ask(&self) -> JoinHandle<Result<Answer<Value>, ClientError>> {
        let admin = self.house.admin();
        std::thread::spawn(move || {
            let wanted = json!({ "name": "a100" });
            let key = [("Idempotency-Key", "once")];
            admin.call(Method::POST, "/api/v1/groups", Some(&wanted), &key)
        })
    }

    /// How many groups etcd has, whatever the control plane knows.
    fn kept(&self) -> usize {
        let groups = keys::groups();
        let listing = self.direct.list(&groups, PageRequest::first(10));
        self.runtime.block_on(listing).unwrap().entries.len()
    }

    fn until_applied(&self) {
        until("etcd has applied it", || match self.kept() {
            1 => Ok(()),
            other => Err(other),
        });
    }

    /// The group was made once: there is one, and one entry of the audit.
    fn made_once(&self) {
        let admin = self.house.admin();
        until("the view shows the group", || match admin.groups("") {
            Ok(page) if page.items.len() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(self.kept(), 1);
        let audit = admin.audit(0, 1000).unwrap().entries;
        let made = audit.iter().filter(|entry| entry.action == "group.create");
        assert_eq!(made.count(), 1);
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_found_by_its_own_key_and_says_that_the_view_is_behind() {
    let apart = Apart::new();
    // Given a change that etcd has made, while nothing it says is heard,
    apart.proxy.swallow_answers(true);
    let head = format!(
        "POST /api/v1/groups HTTP/1.1\r\nHost: aami\r\nConnection: close\r\nContent-Length: 15\r\n\
         Authorization: Bearer {}\r\n\r\n{{\"name\":\"a100\"}}",
        apart.house.admin_key
    );
    let (answer, revision) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| apart.house.heard_from("127.0.0.1", &head));
        apart.until_applied();
        // when the connection it was asked on is cut, and the next one is heard while the watch still is not,
        apart.proxy.swallow_answers_of(WATCHING);
        apart.proxy.swallow_answers(false);
        apart.proxy.cut_one(ASKING);
        // then the caller learns that it was made, and that lists do not show it yet.
        let answer = asking.join().unwrap();
        let member = |name: &str| {
            let found = answer.lines().find_map(|line| line.strip_prefix(name));
            found.map(str::to_owned)
        };
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert_eq!(member("aami-view: ").as_deref(), Some("behind"), "{answer}");
        let revision = member("aami-revision: ").unwrap();
        (answer.clone(), revision)
    });
    let admin = apart.house.admin();
    let least = [("AAMI-Min-Revision", revision.as_str())];
    let read = || admin.call::<Value, Value>(Method::GET, "/api/v1/groups", None, &least);
    assert_eq!(code_of(read()), "VIEW_BEHIND", "{answer}");
    // When the watch is heard again, then it is there, once.
    apart.proxy.swallow_answers_of(usize::MAX);
    apart.proxy.cut_one(WATCHING);
    apart.made_once();
    assert_eq!(read().unwrap().body["items"].as_array().unwrap().len(), 1);
}

#[test]
fn under_a_key_of_the_callers_a_write_is_found_also_where_another_replica_has_copied_what_it_told() {
    let apart = Apart::new();
    // Given a change that etcd has made, while nothing it says is heard,
    apart.proxy.swallow_answers(true);
    let asking = apart.ask();
    apart.until_applied();
    // and what it told is in the history already, of the replica that leads,
    let untold = keys::outboxes();
    let listing = apart.direct.list(&untold, PageRequest::first(100));
    let untold = apart.runtime.block_on(listing).unwrap().entries;
    assert!(!untold.is_empty());
    let copied = untold
        .into_iter()
        .fold(Txn::new(), |txn, entry| txn.delete(entry.key));
    let outcome = apart.runtime.block_on(apart.direct.txn(copied)).unwrap();
    assert!(matches!(outcome, TxnOutcome::Committed(_)), "{outcome:?}");
    // when the connection it was asked on is made anew, then the caller learns that it was made.
    apart.proxy.swallow_answers_of(WATCHING);
    apart.proxy.swallow_answers(false);
    apart.proxy.cut_one(ASKING);
    let answer = asking.join().unwrap().unwrap();
    assert_eq!(answer.body["name"], "a100");
    assert_eq!(apart.kept(), 1);
}

#[test]
fn what_became_of_a_write_that_nobody_can_find_out_is_said_and_it_may_be_repeated() {
    let apart = Apart::new();
    // Given a change that etcd has made, while nothing it says is heard for longer than anybody waits,
    apart.proxy.swallow_answers(true);
    let asking = apart.ask();
    apart.until_applied();
    apart.proxy.cut();
    // then the caller is told that nobody knows, and when to ask again;
    let Err(ClientError::Refused(problem)) = asking.join().unwrap() else {
        panic!("it cannot be known")
    };
    assert_eq!((problem.code.as_str(), problem.status), ("OUTCOME_UNKNOWN", 503));
    // and when it is asked again under the same key, it was made once.
    apart.proxy.swallow_answers(false);
    apart.proxy.cut();
    until("it is answered", || match apart.ask().join().unwrap() {
        Ok(answer) if answer.body["name"] == "a100" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    apart.made_once();
}

#[test]
fn the_page_a_person_opens_says_whether_the_store_answers() {
    let apart = Apart::new();
    let stranger = apart.house.stranger();
    let page = || stranger.text("/").unwrap();
    assert!(page().contains("<td>Store<td>answers"), "{}", page());
    // Given a store that says nothing any more, then the page says so,
    apart.proxy.swallow_answers(true);
    apart.proxy.cut();
    until("the page says that it does not answer", || {
        let page = page();
        if page.contains("<td>Store<td>does not answer") {
            Ok(())
        } else {
            Err(page)
        }
    });
    // and so does health, which balancers ask.
    assert!(stranger.health().is_err());
    apart.proxy.swallow_answers(false);
    apart.proxy.cut();
    until("the page says that it answers again", || {
        let page = page();
        if page.contains("<td>Store<td>answers") {
            Ok(())
        } else {
            Err(page)
        }
    });
}

#[test]
fn a_full_disk_refuses_changes_with_a_hint_and_everything_is_still_read() {
    let Some(disk) = Disk::new("6m") else { return };
    let store = format!("sqlite:{}", disk.path().join("store.db").display());
    let house = House::with(|config| config.store = store);
    let admin = house.admin();
    // Given changes until the disk takes no more,
    let add = |n: usize| {
        let metadata = json!({ "filler": "x".repeat(15_000) });
        let node = json!({ "hostname": format!("gpu-{n}"), "ip_address": "127.9.2.1", "metadata": metadata });
        admin.post::<_, Value>("/api/v1/nodes", Some(&node))
    };
    let (taken, refused) = (0..2000)
        .find_map(|n| add(n).err().map(|error| (n, error)))
        .expect("it is never full");
    // then the refusal says what is wrong and what to do,
    let ClientError::Refused(problem) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((problem.code.as_str(), problem.status), ("STORE_DISK_FULL", 507));
    let code = aami_model::Code::find("STORE_DISK_FULL").unwrap();
    assert_eq!(problem.hint, code.hint);
    // nothing of it is there, and what was taken is.
    assert!(taken > 10, "{taken}");
    let mut listed = Vec::new();
    let mut query = String::from("?limit=1000");
    loop {
        let page = admin.nodes(&query).unwrap();
        listed.extend(page.items);
        let Some(next) = page.next_page_token else { break };
        query = format!("?limit=1000&page_token={next}");
    }
    assert_eq!(listed.len(), taken);
}
