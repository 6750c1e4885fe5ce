//! What is kept no longer: whoever asks for it is told so, and nobody takes what is left for all there was.

use std::time::{Duration, Instant};

use aami_api::dashboard::What;
use aami_api::page::Page;
use aami_api::webhook::{CreatedWebhook, WebhookView};
use aami_model::NodeId;
use aami_server::Config;
use serde_json::{Value, json};

use crate::dashboards::{Dashboard, declare, kinds};
use crate::deliveries::{arrives, webhook};
use crate::house::{House, until};
use crate::receiver::Receiver;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// Starts it again as one that keeps events for a day, until it has let one go that has a greater number. It does so when
/// it starts; what had not come to the history by then goes the next time.
pub fn tidied(mut house: House, after: u64, change: impl Fn(&mut Config)) -> House {
    for _ in 0..10 {
        house = house.restart(|config| {
            config.history_keep = DAY;
            change(config);
        });
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            if house.admin().events(0, 1).unwrap().pruned_through > after {
                return house;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("nothing was let go");
}

#[test]
fn who_was_away_for_longer_than_events_are_kept_is_told_that_some_are_gone() {
    // Given events, of which a program has read the first and a dashboard has seen the first,
    let house = House::new();
    declare(&house.admin(), "gpu-seen");
    let whole = house.admin().events(1, 100).unwrap();
    assert_eq!(whole.pruned_through, 0, "nothing is missing while all is kept");
    let mut dashboard = Dashboard::of_admin(&house);
    dashboard.sync();
    let remembered = dashboard.cut();
    declare(&house.admin(), "gpu-missed");

    // when they come back after two days to a control plane that keeps events for one,
    house.forward(DAY * 2);
    let house = tidied(house, whole.last_seq, |_| {});
    let new = declare(&house.admin(), "gpu-new");

    // then the old events are gone, and the program is told up to where, of events and of who changed what;
    let admin = house.admin();
    let page = admin.events(1, 100).unwrap();
    assert!(page.pruned_through > whole.last_seq, "{page:?}");
    let told = serde_json::to_string(&page.events).unwrap();
    assert!(
        !told.contains("gpu-seen") && !told.contains("gpu-missed"),
        "{told}"
    );
    assert!(page.events.iter().all(|event| event.seq > page.pruned_through));
    assert!(
        page.events
            .iter()
            .any(|event| event.subject == format!("node:{new}"))
    );
    assert!(admin.audit(1, 100).unwrap().pruned_through > 0);
    let of_node: Value = admin.get(&format!("/api/v1/nodes/{new}/history")).unwrap();
    assert_eq!(of_node["pruned_through"], page.pruned_through, "{of_node}");
    assert_eq!(of_node["events"].as_array().map(Vec::len), Some(1), "{of_node}");
    // whoever goes on from there has missed nothing;
    let rest = admin.events(page.pruned_through, 100).unwrap();
    assert_eq!(
        (rest.events, rest.pruned_through),
        (page.events, page.pruned_through)
    );

    // and the dashboard hears it before the first event that is left, and then goes on as ever.
    let mut back = Dashboard::back(&house, &remembered);
    let frames = back.sync();
    let place = |wanted: fn(&What) -> bool| frames.iter().position(|frame| wanted(&frame.what));
    let resync = place(|what| matches!(what, What::Resync { .. })).expect("it is told of the gap");
    let event = place(|what| matches!(what, What::Event(_))).expect("it is told what is left");
    assert!(resync < event, "{frames:?}");
    assert!(
        matches!(frames[resync].what, What::Resync { pruned_through } if pruned_through == rest.pruned_through),
        "{frames:?}"
    );
    let resyncs = frames
        .iter()
        .filter(|frame| matches!(frame.what, What::Resync { .. }));
    assert_eq!(resyncs.count(), 1);
    assert!(
        kinds(&frames).contains(&"node.registered".to_owned()),
        "{frames:?}"
    );
    // Who missed nothing hears nothing of it.
    let frames = Dashboard::back(&house, &back.cut()).sync();
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame.what, What::Resync { .. })),
        "{frames:?}"
    );
}

#[test]
fn a_destination_that_was_off_for_longer_than_events_are_kept_is_told_so_once_and_goes_on() {
    // Given a destination that was told of a node, and is switched off while another is declared,
    let house = House::new();
    let receiver = Receiver::new();
    let hook = webhook(&house, |wanted| wanted.url = receiver.url()).view.id;
    declare(&house.admin(), "gpu-told");
    arrives(&house, &receiver);
    let switch = |house: &House, enabled: bool| {
        let path = format!("/api/v1/webhooks/{hook}");
        let wanted = json!({ "enabled": enabled });
        let _: CreatedWebhook = house.admin().patch(&path, &wanted).unwrap();
    };
    switch(&house, false);
    let before = house.admin().events(0, 1000).unwrap().last_seq;
    declare(&house.admin(), "gpu-missed");

    // when it is switched on again after that is kept no longer,
    house.forward(DAY * 2);
    let house = tidied(house, before, |_| {});
    switch(&house, true);

    // then it is told that something is gone, up to where, and once, though it has several lanes;
    let lost = || -> Vec<Value> {
        let got = receiver.got().into_iter().map(|got| got.json());
        got.filter(|told| told["type"] == "webhook.events_lost").collect()
    };
    until("it is told", || match lost().as_slice() {
        [] => Err("nothing yet"),
        _ => Ok(()),
    });
    let admin = house.admin();
    let pruned = admin.events(before, 1).unwrap().pruned_through;
    assert_eq!(lost()[0]["data"]["prunedThrough"], pruned);
    assert_eq!(lost()[0]["data"]["name"], "hook");
    // whoever looks at it sees so, and a rule too;
    let page: Page<WebhookView> = admin.get("/api/v1/webhooks").unwrap();
    assert_eq!(page.items[0].lost_through, Some(pruned));
    let metrics = admin.text("/metrics").unwrap();
    assert!(
        metrics.contains("aami_delivery_gaps_total{destination=\"hook\"} 1\n"),
        "{metrics}"
    );
    // and what happens from now on arrives, in each lane, and nothing of what is gone.
    let new: Vec<NodeId> = (0..8).map(|n| declare(&admin, &format!("gpu-new-{n}"))).collect();
    until("what is new arrives", || {
        let got = receiver.got();
        let has = |id: &NodeId| got.iter().any(|got| got.json()["data"]["nodeId"] == id.as_str());
        let missing: Vec<&NodeId> = new.iter().filter(|id| !has(id)).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing.len())
        }
    });
    assert_eq!(lost().len(), 1);
    let named = |got: &Value| got["data"]["nodeName"] == "gpu-missed";
    assert!(!receiver.got().iter().any(|got| named(&got.json())));
}
