use aami_model::code;
use aami_ssh::ErrorClass;

use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("gpu{n}")).collect()
}

fn fault() -> Fault {
    Fault::new(
        ErrorClass::Refused,
        code::SSH_REFUSED,
        "10.0.0.2:22 refuses connections",
    )
}

fn begun(picture: &mut Picture, host: usize) {
    assert_eq!(picture.saw(Event::Started { host, attempt: 1 }, at(1)), None);
}

#[test]
fn a_few_nodes_have_a_line_each() {
    let mut picture = Picture::new(&names(5), false);
    for host in 0..4 {
        begun(&mut picture, host);
    }
    let said = Event::Progress {
        host: 0,
        text: "installing node_exporter".into(),
    };
    assert_eq!(picture.saw(said, at(2)), None);
    let failed = Event::Ended {
        host: 1,
        outcome: Outcome::Failed(fault()),
    };
    let stays = picture.saw(failed, at(3));
    let id = code::SSH_REFUSED.id();
    assert_eq!(
        stays,
        Some(Stays::Complaint(format!(
            "gpu2: {id} 10.0.0.2:22 refuses connections"
        )))
    );
    let ok = Event::Ended {
        host: 2,
        outcome: Outcome::Ok,
    };
    assert_eq!(picture.saw(ok, at(3)), None);
    let again = Event::Retrying {
        host: 3,
        attempt: 1,
        after: at(4),
        fault: fault(),
    };
    assert_eq!(picture.saw(again, at(3)), None);
    let lines = picture.lines(20, at(4));
    assert_eq!(
        lines,
        [
            "⠋ gpu1  3.0 s  installing node_exporter".to_owned(),
            format!("✗ gpu2  {id} 10.0.0.2:22 refuses connections"),
            "✓ gpu3  ok".to_owned(),
            format!("… gpu4  again in 3.0 s: {id} 10.0.0.2:22 refuses connections"),
            "· gpu5  waiting".to_owned(),
            "2/5 nodes, 1 ok, 1 failed  4.0 s".to_owned(),
        ]
    );
}

#[test]
fn of_many_nodes_those_at_work_are_shown() {
    let mut picture = Picture::new(&names(1_000), false);
    for host in 0..50 {
        begun(&mut picture, host);
    }
    let ok = Event::Ended {
        host: 0,
        outcome: Outcome::Ok,
    };
    picture.saw(ok, at(2));
    let lines = picture.lines(4, at(2));
    assert_eq!(
        lines,
        [
            "⠋ gpu2  1.0 s  running",
            "⠋ gpu3  1.0 s  running",
            "⠋ gpu4  1.0 s  running",
            "1/1000 nodes, 1 ok, 46 more at work  2.0 s",
        ]
    );
    assert_eq!(picture.lines(0, at(2)).len(), 1);
}

#[test]
fn where_nothing_is_redrawn_there_are_sentences() {
    let mut picture = Picture::new(&names(2), true);
    begun(&mut picture, 0);
    let again = Event::Retrying {
        host: 0,
        attempt: 1,
        after: at(2),
        fault: fault(),
    };
    let id = code::SSH_REFUSED.id();
    assert_eq!(
        picture.saw(again, at(2)),
        Some(Stays::Remark(format!(
            "[2.0 s] gpu1: attempt 1 failed ({id} 10.0.0.2:22 refuses connections), the next one in 2.0 s"
        )))
    );
    let ok = Event::Ended {
        host: 0,
        outcome: Outcome::Ok,
    };
    assert_eq!(
        picture.saw(ok, at(75)),
        Some(Stays::Remark("[ 75 s] gpu1: ok (74 s)".into()))
    );
    let skipped = Event::Ended {
        host: 1,
        outcome: Outcome::NotStarted(Stop::Told),
    };
    assert_eq!(picture.saw(skipped, at(75)), None);
}

#[test]
fn what_a_node_says_moves_no_cursor() {
    let mut picture = Picture::new(&["gpu\u{1b}[2J".to_owned()], false);
    begun(&mut picture, 0);
    let line = Event::Line {
        host: 0,
        stream: Stream::Stdout,
        text: "\u{1b}]0;owned\u{7}hello".into(),
    };
    let Some(Stays::Data(text)) = picture.saw(line, at(1)) else {
        panic!("it is data");
    };
    assert!(!text.contains('\u{1b}') && text.ends_with("hello"), "{text:?}");
    assert!(
        picture
            .lines(10, at(1))
            .iter()
            .all(|line| !line.contains('\u{1b}'))
    );
}

#[test]
fn who_stops_is_told_what_goes_on() {
    let mut picture = Picture::new(&names(10), false);
    begun(&mut picture, 0);
    let stopping = Event::Stopping {
        why: Stop::Told,
        left: 9,
    };
    let Some(Stays::Remark(text)) = picture.saw(stopping, at(1)) else {
        panic!("it is a remark");
    };
    assert!(
        text.contains("1 nodes that were begun") && text.contains("9 are not begun"),
        "{text}"
    );
    // An event about a host nobody knows changes nothing.
    assert_eq!(picture.saw(Event::Started { host: 99, attempt: 1 }, at(1)), None);
}
