//! Whatever happens on the board and however slowly somebody reads: what it has seen is what there is.

use std::collections::BTreeMap;

use aami_api::dashboard::{About, Frame, Status};
use aami_model::NodeId;
use proptest::prelude::*;

use super::super::board::Board;
use super::super::frame::{Draft, Key};
use super::*;

/// How many frames that pass the board keeps here.
const ROOM: usize = 100;

fn id(n: usize) -> NodeId {
    format!("n{n}").parse().unwrap()
}

fn about(n: usize) -> About {
    About {
        node_id: Some(id(n)),
        ..About::default()
    }
}

fn org_of(n: usize) -> &'static str {
    if n.is_multiple_of(2) { "red" } else { "blue" }
}

fn row(n: usize, status: &str) -> Draft {
    let what = What::Status(Status {
        about: about(n),
        status: status.into(),
        ..Status::default()
    });
    Draft::new(
        Some(Key::Node(id(n))),
        org_of(n).parse().unwrap(),
        Stay::Row,
        Plane::State,
        &what,
    )
}

fn gone(n: usize) -> Draft {
    let what = What::Removed(about(n));
    Draft::new(
        Some(Key::Node(id(n))),
        org_of(n).parse().unwrap(),
        Stay::Passing,
        Plane::State,
        &what,
    )
}

fn happened(n: usize, seq: u64) -> Draft {
    let what = What::Other(serde_json::json!({ "type": "node.happened", "of": seq }));
    Draft::new(
        None,
        org_of(n).parse().unwrap(),
        Stay::Passing,
        Plane::State,
        &what,
    )
}

/// A board with what the store would say beside it.
struct World {
    board: Board,
    seq: u64,
    rows: BTreeMap<usize, String>,
    /// Number and organisation of each event, as the history keeps them.
    events: Vec<(u64, &'static str)>,
}

impl World {
    fn new(rows: usize) -> Self {
        let mut world = Self {
            board: Board::with_room("e1", 1_000, ROOM),
            seq: 1_000,
            rows: BTreeMap::new(),
            events: Vec::new(),
        };
        for n in 0..rows {
            world.board.lay(row(n, "s0"));
            world.rows.insert(n, "s0".into());
        }
        world
    }

    fn change(&mut self, n: usize) {
        self.seq += 64;
        let status = format!("s{}", self.seq);
        self.board.tell(self.seq, row(n, &status));
        self.rows.insert(n, status);
    }

    fn remove(&mut self, n: usize) {
        self.seq += 64;
        if self.rows.remove(&n).is_some() {
            self.board.tell(self.seq, gone(n));
        }
    }

    fn happen(&mut self, n: usize) {
        self.seq += 64;
        self.board.tell(self.seq, happened(n, self.seq));
        self.events.push((self.seq, org_of(n)));
    }
}

/// A dashboard that believes what it is told.
#[derive(Default)]
struct Screen {
    rows: BTreeMap<String, String>,
    events: Vec<u64>,
    last: u64,
    snapshots: Vec<Why>,
    synced: bool,
}

impl Screen {
    fn see(&mut self, text: &str) {
        let frame: Frame = serde_json::from_str(text).unwrap();
        assert!(frame.seq >= self.last, "{text} after {}", self.last);
        self.last = frame.seq;
        match frame.what {
            What::Snapshot { reason, .. } => {
                self.rows.clear();
                self.snapshots.push(reason);
                self.synced = false;
            }
            What::Synced => self.synced = true,
            What::Status(status) => {
                let id = status.about.node_id.unwrap().to_string();
                self.rows.insert(id, status.status);
            }
            What::Removed(about) => {
                self.rows.remove(about.node_id.unwrap().as_str());
            }
            What::Other(value) => self.events.push(value["of"].as_u64().unwrap()),
            _ => {}
        }
    }
}

/// Takes one step of a reader; false when there is nothing to do.
fn step(world: &World, reader: &mut Reader, screen: &mut Screen, org: &str) -> bool {
    let picture = world.board.picture();
    match reader.next(&picture) {
        Step::Say(frames) => frames.iter().for_each(|text| screen.see(text)),
        Step::Replay { after, through } => {
            let wanted = world
                .events
                .iter()
                .filter(|(seq, of)| (after + 1..=through).contains(seq) && (org == "all" || *of == org));
            for (seq, _) in wanted {
                screen.events.push(*seq);
                screen.last = *seq;
            }
            reader.replayed(through);
        }
        Step::Behind => reader.begin_again(&picture),
        Step::Wait => return false,
    }
    true
}

fn orgs(org: &str) -> Orgs {
    if org == "all" {
        Orgs::All
    } else {
        Orgs::Only(vec![org.parse().unwrap()])
    }
}

fn to_the_end(world: &World, reader: &mut Reader, screen: &mut Screen, org: &str) {
    for _ in 0..100_000 {
        if !step(world, reader, screen, org) {
            return;
        }
    }
    panic!("it never comes to an end");
}

/// The screen shows what there is, and has seen each event since `since` once and in order.
fn agree(world: &World, screen: &Screen, org: &str, since: u64) {
    let mine = |of: &str| org == "all" || of == org;
    let rows: BTreeMap<String, String> = world
        .rows
        .iter()
        .filter(|(n, _)| mine(org_of(**n)))
        .map(|(n, status)| (id(*n).to_string(), status.clone()))
        .collect();
    assert_eq!(screen.rows, rows);
    let events: Vec<u64> = world
        .events
        .iter()
        .filter(|(seq, of)| *seq > since && mine(of))
        .map(|(seq, _)| *seq)
        .collect();
    assert_eq!(screen.events, events);
    assert!(screen.synced);
}

#[derive(Debug, Clone)]
enum Act {
    Change(usize),
    Remove(usize),
    Happen(usize),
    Read,
    /// So much at once that whoever did not read is overtaken.
    Flood,
    /// Cut off, and back with the number it has.
    Reconnect,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..40_usize).prop_map(Act::Change),
        1 => (0..40_usize).prop_map(Act::Remove),
        4 => (0..40_usize).prop_map(Act::Happen),
        8 => Just(Act::Read),
        1 => Just(Act::Flood),
        2 => Just(Act::Reconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_missed_repeated_or_shown_to_others(
        acts in proptest::collection::vec(act(), 1..120),
        org in prop_oneof![Just("all"), Just("red"), Just("blue")],
    ) {
        let mut world = World::new(200);
        let mut screen = Screen::default();
        let mut reader = Reader::begin(&world.board.picture(), orgs(org), &From::default(), 0);
        let since = world.seq;
        // What it was told before it was first through belongs to it from there on.
        to_the_end(&world, &mut reader, &mut screen, org);
        for act in acts {
            match act {
                Act::Change(n) => world.change(n),
                Act::Remove(n) => world.remove(n),
                Act::Happen(n) => world.happen(n),
                Act::Read => { step(&world, &mut reader, &mut screen, org); }
                Act::Flood => (0..2 * ROOM).for_each(|n| world.happen(n)),
                Act::Reconnect => {
                    let from = From { after: screen.last, epoch: Some("e1".into()) };
                    reader = Reader::begin(&world.board.picture(), orgs(org), &from, 0);
                }
            }
        }
        to_the_end(&world, &mut reader, &mut screen, org);
        agree(&world, &screen, org, since);
    }
}

#[test]
fn a_slow_reader_gets_of_each_row_only_the_newest() {
    let mut world = World::new(10);
    let (mut screen, picture) = (Screen::default(), world.board.picture());
    let mut reader = Reader::begin(&picture, Orgs::All, &From::default(), 0);
    to_the_end(&world, &mut reader, &mut screen, "all");
    for n in 0..10_000 {
        world.change(n % 10);
    }
    let Step::Say(frames) = reader.next(&world.board.picture()) else {
        panic!("there is news");
    };
    assert_eq!(frames.len(), 10, "ten rows, whatever happened to them");
    frames.iter().for_each(|text| screen.see(text));
    to_the_end(&world, &mut reader, &mut screen, "all");
    agree(&world, &screen, "all", world.seq);
    assert_eq!(screen.snapshots, [Why::Connected]);
}

#[test]
fn one_that_was_overtaken_gets_a_snapshot_and_the_events_it_missed() {
    let mut world = World::new(10);
    let (mut screen, picture) = (Screen::default(), world.board.picture());
    let mut reader = Reader::begin(&picture, Orgs::All, &From::default(), 0);
    to_the_end(&world, &mut reader, &mut screen, "all");
    let since = world.seq;
    (0..3 * ROOM).for_each(|n| world.happen(n));
    world.remove(3);
    assert_eq!(reader.next(&world.board.picture()), Step::Behind);
    to_the_end(&world, &mut reader, &mut screen, "all");
    agree(&world, &screen, "all", since);
    assert_eq!(screen.snapshots, [Why::Connected, Why::Slow]);
}

#[test]
fn who_comes_back_goes_on_or_is_told_why_not() {
    let mut world = World::new(10);
    let begin = |world: &World, after, epoch: Option<&str>| {
        let from = From {
            after,
            epoch: epoch.map(str::to_owned),
        };
        let mut screen = Screen::default();
        let mut reader = Reader::begin(&world.board.picture(), Orgs::All, &from, 0);
        to_the_end(world, &mut reader, &mut screen, "all");
        screen
    };
    // From the very moment the board begins it can be resumed; from before it cannot.
    assert_eq!(begin(&world, 1_000, None).snapshots, []);
    assert_eq!(begin(&world, 1_000, None).rows.len(), 0, "nothing is said again");
    assert_eq!(begin(&world, 999, None).snapshots, [Why::Gap]);
    world.change(1);
    world.change(2);
    let screen = begin(&world, world.seq - 64, Some("e1"));
    assert_eq!((screen.snapshots.len(), screen.rows.len()), (0, 1));
    assert_eq!(screen.last, world.seq);
    // Numbers of another life of the store, and made up ones.
    assert_eq!(begin(&world, world.seq, Some("e0")).snapshots, [Why::Epoch]);
    assert_eq!(begin(&world, u64::MAX, None).snapshots, [Why::Epoch]);
    // One that another replica brought a little further waits for this one to come there.
    let ahead = begin(&world, world.seq + 64, Some("e1"));
    assert!(ahead.snapshots.is_empty() && !ahead.synced);
}

#[test]
fn it_has_seen_everything_once_the_board_has_what_the_store_had_when_it_came() {
    let mut world = World::new(2);
    let mut screen = Screen::default();
    // A change is committed, and on its way to the board.
    let goal = world.seq + 64;
    let mut reader = Reader::begin(&world.board.picture(), Orgs::All, &From::default(), goal);
    to_the_end(&world, &mut reader, &mut screen, "all");
    assert!(!screen.synced && screen.rows.len() == 2);
    world.change(0);
    to_the_end(&world, &mut reader, &mut screen, "all");
    agree(&world, &screen, "all", world.seq);
}

#[test]
fn one_to_whom_nothing_happens_still_learns_how_far_everything_is() {
    let mut world = World::new(2);
    let mut screen = Screen::default();
    let mut reader = Reader::begin(&world.board.picture(), orgs("red"), &From::default(), 0);
    to_the_end(&world, &mut reader, &mut screen, "red");
    (0..100).for_each(|_| world.change(1));
    to_the_end(&world, &mut reader, &mut screen, "red");
    assert!(screen.last < world.seq);
    let mark = reader.remark(&world.board.picture()).unwrap();
    screen.see(&mark);
    assert_eq!(screen.last, world.seq);
    assert!(reader.remark(&world.board.picture()).is_none());
}

#[test]
fn that_events_are_gone_is_said_once_however_many_pages_are_left() {
    let world = World::new(2);
    let picture = world.board.picture();
    let from = From {
        after: 500,
        epoch: None,
    };
    let mut reader = Reader::begin(&picture, Orgs::All, &from, 0);
    while let Step::Say(_) = reader.next(&picture) {}
    assert!(matches!(reader.next(&picture), Step::Replay { after: 500, .. }));
    let said = reader.gone(900).unwrap();
    assert!(said.contains("resync") && said.contains("900"), "{said}");
    // Some of what was up to there is left, and comes page by page.
    reader.replayed(600);
    assert_eq!(reader.gone(900), None);
    // More is let go meanwhile.
    assert!(reader.gone(950).is_some());
    reader.replayed(700);
    assert_eq!((reader.gone(950), reader.gone(0)), (None, None));
}
