//! What is kept no longer: whoever asks for it is told so, and nobody takes what is left for all there was.

use std::time::{Duration, Instant};

use aami_api::dashboard::What;

use crate::dashboards::{Dashboard, declare, kinds};
use crate::house::House;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Starts it again as one that keeps events for a day, until it has let old ones go. It does so when it starts; what
/// had not come to the history by then goes the next time.
fn tidied(mut house: House) -> House {
    for _ in 0..10 {
        house = house.restart(|config| config.history_keep = DAY);
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            if house.admin().events(0, 1).unwrap().pruned_through > 0 {
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
    let house = tidied(house);
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
