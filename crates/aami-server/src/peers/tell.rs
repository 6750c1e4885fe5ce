//! Telling a replica that called: `/ws/peer`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures::{SinkExt as _, StreamExt as _};

use super::frame::{Frame, NODES, RUNS, RunAt};
use crate::app::App;

/// How often it is told what is new.
const EVERY: Duration = Duration::from_millis(500);
/// How many times it may hear nothing before it is told that this one is there.
const QUIET: u32 = 10;
/// How long a frame may take to be taken.
const TAKING: Duration = Duration::from_secs(10);
/// The caller says nothing.
const LARGEST_SAID: usize = 1024;

/// Answers the request of a replica that the gate let in.
pub(crate) fn open(app: Arc<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(LARGEST_SAID)
        .max_frame_size(LARGEST_SAID)
        .on_upgrade(move |socket| async move {
            let closed = app.live.clone();
            tokio::select! { () = closed.closed() => {}, () = tell(&app, socket) => {} }
        })
}

async fn tell(app: &App, socket: WebSocket) {
    let (mut sink, mut said) = socket.split();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut since, mut noted, mut quiet) = (Duration::ZERO, 0, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            frame = said.next() => match frame {
                // Pongs and the like.
                Some(Ok(frame)) if !matches!(frame, Message::Close(_)) => continue,
                _ => return,
            }
        }
        // What is heard while this is gathered is told again the next time.
        let now = app.world.elapsed();
        let mut frames = gathered(app, since, &mut noted);
        since = now;
        quiet = if frames.is_empty() { quiet + 1 } else { 0 };
        if quiet >= QUIET {
            quiet = 0;
            frames.push(Frame::default());
        }
        for frame in frames {
            let Ok(text) = serde_json::to_string(&frame) else {
                return;
            };
            let sent = tokio::time::timeout(TAKING, sink.send(Message::Text(text.into()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// What is new since then: the nodes that were heard, and of each run what it reported last.
fn gathered(app: &App, since: Duration, noted: &mut u64) -> Vec<Frame> {
    let (news, now) = app.peers.noted_after(*noted);
    *noted = now;
    let mut runs = news.into_iter().map(|(id, fraction)| RunAt { id, fraction });
    let mut frames = Vec::new();
    let mut heard = app.live.heard_since(since).into_iter();
    loop {
        let nodes: Vec<_> = heard.by_ref().take(NODES).collect();
        if nodes.is_empty() {
            break;
        }
        frames.push(Frame {
            nodes,
            runs: Vec::new(),
        });
    }
    loop {
        let some: Vec<RunAt> = runs.by_ref().take(RUNS).collect();
        if some.is_empty() {
            return frames;
        }
        frames.push(Frame {
            nodes: Vec::new(),
            runs: some,
        });
    }
}
