//! Dashboards of several control planes on one etcd, a real one.

use aami_api::dashboard::{Ticket, What};
use rig::Place;
use rig::engines::Etcd;
use serde_json::json;

use crate::dashboards::{Dashboard, call, declare, kinds, rows};
use crate::house::until;
use crate::replicas::two;

#[test]
fn a_dashboard_goes_on_at_another_replica_with_a_ticket_of_the_first() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let node = declare(&first.admin(), "gpu-01");
    until("the other replica knows the key", || {
        second
            .admin()
            .status()
            .map(drop)
            .map_err(|error| error.to_string())
    });
    // Somebody looks on there as well, and is shown what the first one wrote.
    let mut there = Dashboard::of_admin(&second);
    there.sync();
    let mut here = Dashboard::of_admin(&first);
    assert_eq!(rows(&here.sync()), [("gpu-01".to_owned(), "pending".to_owned())]);
    let remembered = here.cut();
    call(&first.admin(), &format!("/api/v1/nodes/{node}/decommission"));
    let inactive = |what: &What| matches!(what, What::Status(status) if status.status == "inactive");
    let decommissioned =
        |what: &What| matches!(what, What::Event(told) if told.notice.kind == "node.decommissioned");
    // (which of the two comes first is nobody's promise)
    let heard = there.through(decommissioned);
    if !heard.iter().any(|frame| inactive(&frame.what)) {
        there.through(inactive);
    }

    let ticket: Ticket = first.admin().post("/api/v1/tickets", Some(&json!({}))).unwrap();
    let query = format!("{remembered}&ticket={}", ticket.ticket);
    let mut back = Dashboard::open(&second, None, &query).unwrap();
    let frames = back.sync();
    assert!(
        matches!(frames[0].what, What::Resumed { .. } | What::Snapshot { .. }),
        "{frames:?}"
    );
    // Whichever of the two it was: what it missed, once.
    assert_eq!(kinds(&frames), ["node.decommissioned"]);
    assert!(frames.iter().any(|frame| inactive(&frame.what)), "{frames:?}");
    // The ticket is used up at both.
    for house in [&first, &second] {
        let again = Dashboard::open(house, None, &query);
        assert_eq!(again.err(), Some((401, "UNAUTHENTICATED".to_owned())));
    }
}
