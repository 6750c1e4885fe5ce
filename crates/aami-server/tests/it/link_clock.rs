//! The clocks of connected nodes.

use std::time::Duration;

use aami_model::Timestamp;
use serde_json::json;

use crate::house::{House, until};
use crate::link::{Agent, enrolled, kinds, node};

#[test]
fn a_clock_that_is_off_is_a_finding_until_it_is_right() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let behind = Agent::connect_as(&house, &machine, |hello| hello.time = Timestamp::EPOCH);
    assert_eq!(node(&house, &id).findings[0].code, "CLOCK_SKEW");
    drop(behind);
    let right = Agent::connect(&house, &machine);
    assert_eq!(node(&house, &id).findings, []);
    assert!(kinds(&house, &id).contains(&"finding.closed".to_owned()));
    drop(right);
}

#[test]
fn a_clock_that_runs_away_while_connected_is_found_and_a_heartbeat_that_was_held_up_is_not() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    // What one heartbeat says, a minute after the one before it; it was taken when its load is shown.
    let mut beaten = 0.0;
    let mut beat = |off: i64| {
        house.leap(Duration::from_secs(61));
        let now = aami_server::Clock::now(&*house.clock);
        let time = Timestamp::from_millis(now.millis() + off * 1000);
        beaten += 1.0;
        let frame = json!({ "type": "heartbeat", "time": time, "resources": { "load1": beaten } });
        agent.say_text(&frame.to_string());
        until("the heartbeat is heard", || {
            let load = node(&house, &id).resources.map(|resources| resources.load1);
            if load == Some(beaten) { Ok(()) } else { Err(load) }
        });
        let findings = node(&house, &id).findings;
        let summaries: Vec<_> = findings.into_iter().map(|finding| finding.summary).collect();
        summaries.join("")
    };
    // Of each minute the best counts: the first two make one, the next two another.
    for off in [0, 0, -300, 0] {
        assert_eq!(beat(off), "", "a heartbeat that says {off}");
    }
    assert_eq!(beat(-300), "");
    assert_eq!(beat(-290), "Its clock is 290 s behind the control plane's.");
    // It is told once, and over when the clock is right again, not when it is nearly so.
    for off in [-300, -300, -25, -25, 2] {
        assert_ne!(beat(off), "", "a heartbeat that says {off}");
    }
    assert_eq!(beat(2), "");
    let kinds = kinds(&house, &id);
    let about: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("finding.")).collect();
    assert_eq!(about, ["finding.opened", "finding.closed"]);
}
