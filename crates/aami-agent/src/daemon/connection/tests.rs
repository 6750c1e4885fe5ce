use aami_model::Timestamp;

use super::*;

/// A connection with a clock that is turned by hand and a chance of one half.
struct Story {
    connection: Connection,
    now: Duration,
}

impl Story {
    fn new() -> Self {
        Self {
            connection: Connection::new(Duration::ZERO, Duration::ZERO, &mut || 0.5),
            now: Duration::ZERO,
        }
    }

    fn then(&mut self, input: Input) -> Vec<Action> {
        self.connection.take(input, self.now, &mut || 0.5)
    }

    fn after(&mut self, seconds: u64) -> Vec<Action> {
        self.now += Duration::from_secs(seconds);
        self.then(Input::Time)
    }

    fn live() -> Self {
        let mut story = Self::new();
        assert_eq!(story.after(0), [Action::Open]);
        assert_eq!(story.then(Input::Opened), [Action::Greet]);
        let live = story.then(Input::Heard(Down::ConnectionAck(ack())));
        assert_eq!(live, [Action::Live(ack())]);
        story
    }

    /// How long it stays away now.
    fn away(&self) -> u64 {
        assert!(!self.connection.is_live());
        self.connection.due(self.now).as_secs()
    }
}

fn ack() -> ConnectionAck {
    ConnectionAck {
        status: "success".to_owned(),
        node_id: "n1".parse().unwrap(),
        controller_id: "main".to_owned(),
        generation: 1,
        heartbeat_seconds: 30,
        spread_seconds: 40,
        wants_inventory: false,
        received: 0,
        time: Timestamp::EPOCH,
    }
}

fn refusal(retry: bool) -> Input {
    Input::Heard(Down::Error {
        code: "NODE_DECOMMISSIONED".to_owned(),
        message: "retired".to_owned(),
        retry,
    })
}

#[test]
fn a_greeting_that_is_answered_makes_it_live_and_it_beats_at_the_pace_it_was_told() {
    let mut story = Story::live();
    assert!(story.connection.is_live());
    assert_eq!(story.after(14), []);
    assert_eq!(story.after(1), [Action::Heartbeat]);
    assert_eq!(story.then(Input::Alive), []);
    assert_eq!(story.after(29), []);
    assert_eq!(story.after(1), [Action::Heartbeat]);
}

#[test]
fn a_half_open_socket_is_given_up_and_a_control_plane_that_stands_still_for_half_a_minute_is_not() {
    let mut story = Story::live();
    story.after(30);
    assert!(story.connection.is_live());
    story.after(40);
    assert!(story.connection.is_live());
    let given_up = story.after(5);
    assert!(matches!(&given_up[..], [Action::Close(why)] if why.contains("nothing was heard")));
    assert_eq!(story.away(), 20, "half of the spread it was told");
}

#[test]
fn a_drain_is_followed_within_its_own_spread() {
    let mut story = Story::live();
    let drained = story.then(Input::Heard(Down::Drain { spread_seconds: 60 }));
    assert!(matches!(&drained[..], [Action::Close(_)]));
    assert_eq!(story.away(), 30);
    assert_eq!(story.after(30), [Action::Open]);
}

#[test]
fn who_is_refused_asks_rarely_and_who_may_try_again_does_so_soon() {
    let mut story = Story::live();
    story.then(refusal(false));
    assert_eq!(story.away(), 1350);
    assert!(story.connection.is_refused());
    let mut story = Story::live();
    story.then(refusal(true));
    assert_eq!(story.away(), 20);
    assert!(!story.connection.is_refused());

    // Also before the greeting was answered, and where the upgrade itself was refused.
    let mut story = Story::new();
    story.after(0);
    story.then(Input::Opened);
    story.then(refusal(false));
    assert_eq!(story.away(), 1350);
    let mut story = Story::new();
    story.after(0);
    story.then(Input::NotOpened { refused: true });
    assert_eq!(story.away(), 1350);
    assert!(story.connection.is_refused());
    // Who cannot be reached any more has not said no.
    story.after(1350);
    story.then(Input::NotOpened { refused: false });
    assert!(!story.connection.is_refused());
}

#[test]
fn failures_in_a_row_keep_it_away_longer_and_a_connection_that_stood_ends_the_row() {
    let mut story = Story::new();
    let mut away = Vec::new();
    for _ in 0..9 {
        let until = story.connection.due(story.now);
        story.now += until;
        assert_eq!(story.then(Input::Time), [Action::Open]);
        story.then(Input::NotOpened { refused: false });
        away.push(story.away());
    }
    assert_eq!(away, [5, 2, 4, 8, 16, 32, 64, 128, 150]);

    story.now += Duration::from_secs(200);
    story.then(Input::Time);
    story.then(Input::Opened);
    story.then(Input::Heard(Down::ConnectionAck(ack())));
    story.then(Input::Lost);
    assert_eq!(story.away(), 150, "it stood for no time");
    story.now += Duration::from_secs(200);
    story.then(Input::Time);
    story.then(Input::Opened);
    story.then(Input::Heard(Down::ConnectionAck(ack())));
    story.now += STOOD;
    story.then(Input::Lost);
    assert_eq!(story.away(), 20);
}

#[test]
fn an_unanswered_greeting_is_given_up() {
    let mut story = Story::new();
    story.after(0);
    story.then(Input::Opened);
    assert_eq!(story.after(19), []);
    assert!(matches!(&story.after(1)[..], [Action::Close(_)]));
}

#[test]
fn what_comes_out_of_order_changes_nothing() {
    let mut story = Story::new();
    assert_eq!(story.then(Input::Heard(Down::Received { seq: 9 })), []);
    assert_eq!(story.then(Input::Lost), []);
    story.after(0);
    story.then(Input::Opened);
    for early in [
        Down::Received { seq: 9 },
        Down::Config(NodeConfig::default()),
        Down::Unknown,
    ] {
        assert_eq!(story.then(Input::Heard(early)), []);
    }
    story.then(Input::Heard(Down::ConnectionAck(ack())));
    assert_eq!(story.then(Input::Heard(Down::ConnectionAck(ack()))), []);
    assert_eq!(story.then(Input::Opened), []);
    assert!(story.connection.is_live());
}

#[test]
fn no_word_of_the_control_plane_makes_it_beat_without_end_or_never() {
    let mut connection = Connection::new(Duration::ZERO, Duration::ZERO, &mut || 0.5);
    connection.beat_every(0);
    assert_eq!(connection.heartbeat, Duration::from_secs(1));
    connection.beat_every(u32::MAX);
    assert_eq!(connection.heartbeat, Duration::from_secs(300));
}
