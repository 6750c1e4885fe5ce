//! The socket of a dashboard, as one meets it that says nothing and believes what it is told.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use aami_api::client::Client;
use aami_api::dashboard::{Frame, Plane, What, Why};
use aami_api::node::NodeView;
use aami_api::token::Validated;
use aami_model::run::{RunEvent, RunEventKind, StepSummary};
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::house::{House, until};
use crate::link::{Agent, Refused, enrolled};

/// The longest any frame is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A dashboard.
pub struct Dashboard {
    pub socket: WebSocket<TcpStream>,
    pub epoch: String,
    /// The number it would come back with.
    pub last: u64,
    pub closed: Option<CloseFrame>,
}

impl Dashboard {
    /// Opens a socket with a key in the header, or without one; `query` is empty or begins with `?`.
    pub fn open(house: &House, bearer: Option<&str>, query: &str) -> Result<Self, Refused> {
        let address = house.running().address();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{address}/ws{query}").into_client_request().unwrap();
        if let Some(bearer) = bearer {
            let value = format!("Bearer {bearer}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self {
                socket,
                epoch: String::new(),
                last: 0,
                closed: None,
            }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = problem["code"].as_str().unwrap_or_default().to_owned();
                Err((response.status().as_u16(), code))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// An admin's, from the beginning.
    pub fn of_admin(house: &House) -> Self {
        Self::open(house, Some(&house.admin_key), "").unwrap()
    }

    /// It is cut off; what it remembers, as it is handed back.
    pub fn cut(self) -> String {
        self.remembered()
    }

    /// What it would hand back.
    pub fn remembered(&self) -> String {
        format!("?after={}&epoch={}", self.last, self.epoch)
    }

    /// An admin's, back with what it remembers.
    pub fn back(house: &House, remembered: &str) -> Self {
        Self::open(house, Some(&house.admin_key), remembered).unwrap()
    }

    /// The next frame; none when the connection is closed.
    pub fn hear(&mut self) -> Option<Frame> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Frame = serde_json::from_str(&text).unwrap();
                    // A farewell says how far it certainly is: what was on its way may have come as well.
                    let is_farewell = matches!(frame.what, What::Error { .. } | What::Drain { .. });
                    assert!(
                        is_farewell || frame.seq >= self.last,
                        "{text} after {}",
                        self.last
                    );
                    self.last = self.last.max(frame.seq);
                    if let What::Snapshot { epoch, .. } | What::Resumed { epoch } = &frame.what {
                        self.epoch.clone_from(epoch);
                    }
                    return Some(frame);
                }
                Ok(Message::Close(frame)) => {
                    self.closed = frame;
                    return None;
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("nothing was heard for {} s", PATIENCE.as_secs())
                }
                Err(_) => return None,
            }
        }
    }

    /// What is told up to and including the first frame that is `last`.
    pub fn through(&mut self, last: impl Fn(&What) -> bool) -> Vec<Frame> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            let frame = self
                .hear()
                .unwrap_or_else(|| panic!("it is closed after {heard:?}"));
            let is_last = last(&frame.what);
            heard.push(frame);
            if is_last {
                return heard;
            }
        }
        panic!("it did not come: {heard:?}");
    }

    /// What is told until it has seen everything there was.
    pub fn sync(&mut self) -> Vec<Frame> {
        self.through(|what| matches!(what, What::Synced))
    }

    /// The code it is told before it is closed, and whether it may come back.
    pub fn last_words(&mut self) -> Option<(String, bool)> {
        let mut last = None;
        while let Some(frame) = self.hear() {
            if let What::Error { code, retry, .. } = frame.what {
                last = Some((code, retry));
            }
        }
        last
    }
}

pub fn declare(client: &Client, hostname: &str) -> NodeId {
    let node: NodeView = client
        .post(
            "/api/v1/nodes",
            Some(&json!({ "hostname": hostname, "ip_address": "127.9.2.1" })),
        )
        .unwrap();
    node.id
}

pub fn call(client: &Client, path: &str) {
    let _: Value = client.post(path, Some(&json!({}))).unwrap();
}

/// The host names of the rows in these frames with their status.
pub fn rows(frames: &[Frame]) -> Vec<(String, String)> {
    frames
        .iter()
        .filter_map(|frame| match &frame.what {
            What::Status(status) => Some((status.hostname.clone()?, status.status.clone())),
            _ => None,
        })
        .collect()
}

/// The types of the events in these frames.
pub fn kinds(frames: &[Frame]) -> Vec<String> {
    frames
        .iter()
        .filter_map(|frame| match &frame.what {
            What::Event(told) => Some(told.notice.kind.clone()),
            _ => None,
        })
        .collect()
}

/// The events after a number, as the API has them: their numbers.
fn told_after(house: &House, after: u64) -> Vec<u64> {
    let page = house.admin().events(after, 500).unwrap();
    page.events.iter().map(|event| event.seq).collect()
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    let events = frames.iter().filter(|frame| matches!(frame.what, What::Event(_)));
    events.map(|frame| frame.seq).collect()
}

fn is_status(what: &What, wanted: &str) -> bool {
    matches!(what, What::Status(status) if status.status == wanted)
}

#[test]
fn first_comes_what_is_and_then_what_changes() {
    let house = House::new();
    let admin = house.admin();
    let (a, _) = (declare(&admin, "gpu-01"), declare(&admin, "gpu-02"));
    let mut dashboard = Dashboard::of_admin(&house);
    let first = dashboard.sync();
    assert!(
        matches!(&first[0].what, What::Snapshot { reason: Why::Connected, epoch } if !epoch.is_empty()),
        "{first:?}"
    );
    let mut shown = rows(&first);
    shown.sort();
    assert_eq!(
        shown,
        [
            ("gpu-01".to_owned(), "pending".to_owned()),
            ("gpu-02".to_owned(), "pending".to_owned())
        ]
    );
    // Nothing of a snapshot moves its reader on before it is whole; what happened before is not told again.
    let (last, rest) = first.split_last().unwrap();
    assert!(rest.iter().all(|frame| frame.seq == 0) && last.seq > 0);
    assert!(kinds(&first).is_empty());
    // The socket does exactly what the list says.
    let after = last.seq;
    let _: Value = admin
        .post(
            &format!("/api/v1/nodes/{a}/decommission"),
            Some(&json!({ "reason": "sold" })),
        )
        .unwrap();
    let news = dashboard.through(|what| is_status(what, "inactive"));
    assert_eq!(kinds(&news), ["node.decommissioned"]);
    assert_eq!(numbers(&news), told_after(&house, after));
    let What::Event(told) = &news[0].what else {
        panic!("the event comes before the row: {news:?}")
    };
    assert_eq!(told.notice.data["nodeName"], "gpu-01");
    assert_eq!(
        (told.text.as_str(), told.subject.as_str()),
        ("Node gpu-01 was decommissioned", format!("node:{a}").as_str())
    );
    let What::Status(status) = &news.last().unwrap().what else {
        panic!()
    };
    assert_eq!(
        (status.about.node_id.as_ref(), status.reason.as_deref()),
        (Some(&a), Some("sold"))
    );
    assert!(news.iter().all(|frame| frame.plane == Plane::State));
    // A node that is purged is a row no more.
    admin.delete(&format!("/api/v1/nodes/{a}")).unwrap();
    let news = dashboard.through(|what| matches!(what, What::Removed(_)));
    let What::Removed(about) = &news.last().unwrap().what else {
        panic!()
    };
    assert_eq!(about.node_id.as_ref(), Some(&a));
}

#[test]
fn who_comes_back_hears_what_it_missed_and_nothing_twice() {
    let house = House::new();
    let admin = house.admin();
    declare(&admin, "gpu-01");
    let mut dashboard = Dashboard::of_admin(&house);
    dashboard.sync();
    let mut heard = Vec::new();
    let begun = dashboard.last;
    // Somebody keeps looking, so that the board is there.
    let mut other = Dashboard::of_admin(&house);
    other.sync();
    for round in 0..5 {
        let remembered = dashboard.cut();
        for n in 0..3 {
            declare(&admin, &format!("late-{round}{n}"));
        }
        dashboard = Dashboard::back(&house, &remembered);
        let frames = dashboard.sync();
        assert!(matches!(frames[0].what, What::Resumed { .. }), "{frames:?}");
        assert_eq!(rows(&frames).len(), 3, "{frames:?}");
        heard.extend(numbers(&frames));
    }
    assert_eq!(heard, told_after(&house, begun));
    // With nothing in between there is nothing to be said.
    let mut back = Dashboard::back(&house, &dashboard.cut());
    assert_eq!(back.sync().len(), 2);
    // Numbers of another life of the store are not believed.
    back.epoch = "other".into();
    let frames = Dashboard::back(&house, &back.cut()).sync();
    assert!(
        matches!(
            frames[0].what,
            What::Snapshot {
                reason: Why::Epoch,
                ..
            }
        ),
        "{frames:?}"
    );
    assert_eq!(rows(&frames).len(), 16);
}

#[test]
fn after_a_restart_the_rows_come_anew_and_of_the_events_exactly_those_that_were_missed() {
    let house = House::new();
    let admin = house.admin();
    let ids: Vec<NodeId> = (0..5).map(|n| declare(&admin, &format!("gpu-{n:02}"))).collect();
    let mut dashboard = Dashboard::of_admin(&house);
    dashboard.sync();
    let begun = dashboard.last;
    call(&admin, &format!("/api/v1/nodes/{}/decommission", ids[0]));
    let mut heard = numbers(&dashboard.through(|what| is_status(what, "inactive")));
    // It is cut off and misses what happens before the stop, and after the start.
    let remembered = dashboard.cut();
    call(&admin, &format!("/api/v1/nodes/{}/decommission", ids[1]));
    let house = house.restart(|_| {});
    call(&house.admin(), &format!("/api/v1/nodes/{}/decommission", ids[2]));
    let mut back = Dashboard::back(&house, &remembered);
    let frames = back.sync();
    assert!(
        matches!(frames[0].what, What::Snapshot { reason: Why::Gap, .. }),
        "{frames:?}"
    );
    let inactive = rows(&frames)
        .iter()
        .filter(|(_, status)| status == "inactive")
        .count();
    assert_eq!((rows(&frames).len(), inactive), (5, 3));
    heard.extend(numbers(&frames));
    // And it goes on from there.
    call(&house.admin(), &format!("/api/v1/nodes/{}/decommission", ids[3]));
    heard.extend(numbers(&back.through(|what| is_status(what, "inactive"))));
    assert_eq!(heard, told_after(&house, begun));
}

#[test]
fn a_run_shows_how_far_it_is_at_most_once_a_second() {
    let house = House::new();
    let mut dashboard = Dashboard::of_admin(&house);
    dashboard.sync();
    let token = house.token(|_| {}).token;
    let opened: Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let installer = house.stranger().with_bearer(&run.credential);
    let mut seq = 0;
    let mut say = |kind| {
        seq += 1;
        let at = Timestamp::from_millis(1_800_000_000_000);
        installer
            .report(&run.id, vec![RunEvent { seq, at, kind }])
            .unwrap();
    };
    let step = |id: &str| StepSummary {
        id: id.into(),
        title: format!("Doing {id}"),
    };
    say(RunEventKind::RunStarted {
        plan: "node".into(),
        steps: vec![step("one"), step("two")],
    });
    say(RunEventKind::StepStarted {
        step: "one".into(),
        attempt: 1,
    });
    let begun = Instant::now();
    let mut n = 0.0;
    while begun.elapsed() < Duration::from_millis(2_500) {
        n = f64::min(n + 0.01, 0.98);
        say(RunEventKind::StepProgress {
            step: "one".into(),
            fraction: n,
            message: format!("{n:.2} of it"),
        });
    }
    say(RunEventKind::StepCompleted {
        step: "one".into(),
        outcome: aami_model::run::StepOutcome::Changed,
        duration_ms: 2_500,
    });
    let at_half = |what: &What| matches!(what, What::Progress(p) if p.percentage == 50 && p.stage == "two");
    let frames = dashboard.through(at_half);
    let told: Vec<(u8, String)> = frames
        .iter()
        .filter_map(|frame| match &frame.what {
            What::Progress(progress) => {
                assert_eq!(frame.plane, Plane::Live);
                assert_eq!(progress.about.run_id.as_ref(), Some(&run.id));
                Some((progress.percentage, progress.message.clone()))
            }
            _ => None,
        })
        .collect();
    // One at once, then one a second, for some three and a half seconds.
    assert!((3..=6).contains(&told.len()), "{told:?}");
    assert!(told.is_sorted_by_key(|(percentage, _)| *percentage), "{told:?}");
    assert!(
        told.iter().any(|(_, message)| message.ends_with("of it")),
        "{told:?}"
    );
    // What is said now is what a new one is shown.
    let snapshot = Dashboard::of_admin(&house).sync();
    assert!(snapshot.iter().any(|frame| at_half(&frame.what)), "{snapshot:?}");
    say(RunEventKind::StepStarted {
        step: "two".into(),
        attempt: 1,
    });
    say(RunEventKind::StepCompleted {
        step: "two".into(),
        outcome: aami_model::run::StepOutcome::AlreadySo,
        duration_ms: 1,
    });
    say(RunEventKind::RunFinished {
        status: aami_model::run::RunStatus::Completed,
        duration_ms: 3_000,
    });
    let news = dashboard.through(|what| is_status(what, "completed"));
    assert!(kinds(&news).contains(&"run.completed".to_owned()), "{news:?}");
    // It is over: neither its row nor how far it was is shown to a new one.
    let snapshot = Dashboard::of_admin(&house).sync();
    assert_eq!(snapshot.len(), 2, "{snapshot:?}");
}

#[test]
fn what_a_node_is_made_of_and_how_busy_it_is() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let mut dashboard = Dashboard::of_admin(&house);
    dashboard.sync();
    let inventory = json!({
        "cpu": { "model": "EPYC 9654", "cores": 192 }, "memory_bytes": 274_877_906_944_u64,
        "disks": [{ "name": "nvme0n1", "size_bytes": 1_000 }],
        "gpus": { "gpus": [{ "vendor": "nvidia", "model": "H100", "memory_bytes": 85_899_345_920_u64 }] },
    });
    let _: Value = house
        .admin()
        .call(
            ureq::http::Method::PUT,
            &format!("/api/v1/nodes/{id}/inventory"),
            Some(&inventory),
            &[],
        )
        .unwrap()
        .body;
    let news = dashboard.through(|what| matches!(what, What::Hardware(_)));
    let What::Hardware(told) = &news.last().unwrap().what else {
        panic!()
    };
    assert_eq!(told.about.node_id.as_ref(), Some(&id));
    assert_eq!(
        told.hardware["cpu"],
        json!({ "model": "EPYC 9654", "cores": 192 })
    );
    assert_eq!(told.hardware["memory"]["total_gb"], 256);
    assert_eq!(told.hardware["gpus"][0]["model"], "H100");
    // Nobody is told how busy a node is who did not ask.
    let (mut agent, _) = Agent::connect(&house, &machine);
    dashboard.through(|what| is_status(what, "online"));
    let watch = json!({ "type": "watch", "node_ids": [id, "zzzzzzzzzzzzzzzz"] });
    dashboard.socket.send(Message::text(watch.to_string())).unwrap();
    let busy = |percent: f64, frame: &What| {
        matches!(frame, What::Resources(presence) if presence.connected
            && presence.resources.as_ref().is_some_and(|r| f64::from(r.cpu_percent) == percent))
    };
    agent.say_text(r#"{"type":"heartbeat","resources":{"cpuPercent":37.5}}"#);
    let frame = dashboard.through(|what| busy(37.5, what)).pop().unwrap();
    assert_eq!(frame.plane, Plane::Live);
    house.forward(Duration::from_secs(1));
    agent.say_text(r#"{"type":"heartbeat","resources":{"cpuPercent":62.5}}"#);
    dashboard.through(|what| busy(62.5, what));
}

#[test]
fn while_nobody_looks_nothing_is_kept_and_the_metrics_say_who_does() {
    let house = House::new();
    let admin = house.admin();
    let metric = |name: &str| -> f64 {
        let text = admin.text("/metrics").unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not there"))
    };
    assert_eq!(metric("aami_dashboard_connections"), 0.0);
    assert_eq!(metric("aami_dashboard_resyncs_total"), 0.0);
    declare(&admin, "gpu-01");
    let mut one = Dashboard::of_admin(&house);
    let mut two = Dashboard::of_admin(&house);
    one.sync();
    two.sync();
    assert_eq!(metric("aami_dashboard_connections"), 2.0);
    drop(one);
    until("one is gone", || match metric("aami_dashboard_connections") {
        1.0 => Ok(()),
        other => Err(other),
    });
    assert_eq!(metric("aami_dashboard_connects_total"), 2.0);
    assert!(metric("aami_dashboard_frames_total") >= 6.0);
}
