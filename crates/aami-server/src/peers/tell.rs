//! Telling a replica that called: `/ws/peer`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aami_model::RunId;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::frame::{Frame, NODES, RUNS, RunAt};
use crate::app::App;
use crate::dashboards::Fraction;

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
    let mut progress = app.peers.progress.subscribe();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut since, mut quiet) = (Duration::ZERO, 0);
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
        let mut frames = gathered(app, since, &mut progress);
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

/// What is new since then: the nodes that were heard, and of each run the last that was reported.
fn gathered(app: &App, since: Duration, progress: &mut Receiver<(RunId, Fraction)>) -> Vec<Frame> {
    let mut latest = HashMap::new();
    loop {
        match progress.try_recv() {
            Ok((run, fraction)) => {
                latest.insert(run, fraction);
            }
            // What was overtaken is told with the run's next step.
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    let runs: Vec<RunAt> = latest
        .into_iter()
        .take(RUNS)
        .map(|(id, fraction)| RunAt { id, fraction })
        .collect();
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
    if !runs.is_empty() {
        frames.push(Frame {
            nodes: Vec::new(),
            runs,
        });
    }
    frames
}
