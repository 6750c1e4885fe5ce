//! One dashboard's connection, from the upgrade to the end.
//!
//! It takes from the board as fast as the other end takes it, and waits otherwise: for news, for what the dashboard
//! says, for its key to end. Every wait has a deadline.

use std::sync::Arc;
use std::time::Duration;

use aami_api::dashboard::{About, LARGEST_UP, MOST_WATCHED, Plane, Presence, Said, What};
use aami_model::NodeId;
use aami_model::access::Caller;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use futures::{FutureExt as _, SinkExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Unsynced;
use super::board::Picture;
use super::frame::encode;
use super::hall::{Ending, Seat, Seated};
use super::reader::{From, Reader, Step};
use super::rows;
use crate::app::events::{Wanted, newest};
use crate::app::{App, Refusal};
use crate::http::Bucket;

/// A connection's buffers. The usual ones would be most of what a connection costs.
const READS: usize = 512;
const WRITES: usize = 4096;
/// More than the largest frame there is.
const MOST_UNSENT: usize = 1024 * 1024;
/// How long a few frames may take to be taken.
const TAKING: Duration = Duration::from_secs(20);
/// How long the board may take to be there.
const LAYING: Duration = Duration::from_secs(20);
/// How long a dashboard may say nothing before it is asked whether it is there, and after that again.
const QUIET: Duration = Duration::from_secs(30);
/// How many frames it may send each second, and at once.
const SAYS: f64 = 2.0;
const SAYS_AT_ONCE: f64 = 20.0;
/// How many events are read from the history at once.
const PAGE: usize = 200;
/// How long one that was overtaken waits for its snapshot, the first time and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How often a watched node is looked at.
const WATCHING: Duration = Duration::from_secs(1);

/// Where a dashboard wants to go on, as it asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) after: u64,
    pub(crate) epoch: Option<String>,
}

/// Answers the request for a socket, for a caller who may look.
pub(crate) fn open(
    app: Arc<App>,
    caller: Caller,
    asked: Asked,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let seated = app.dashboards.hall.enter(caller)?;
    app.dashboards.rouse();
    Ok(upgrade
        .read_buffer_size(READS)
        .write_buffer_size(WRITES)
        .max_write_buffer_size(MOST_UNSENT)
        .max_message_size(LARGEST_UP)
        .max_frame_size(LARGEST_UP)
        .on_upgrade(move |socket| serve(app, seated, asked, socket)))
}

/// One connection's whole life.
async fn serve(app: Arc<App>, seated: Seated, asked: Asked, mut socket: WebSocket) {
    app.counters.dashboard_opened();
    let mut told = asked.after;
    let ending = talk(&app, &seated.seat, asked, &mut told, &mut socket).await;
    app.counters
        .dashboard_closed(ending.map(|ending| ending.code().symbol));
    if let Some(ending) = ending {
        Box::pin(say_last(&mut socket, told, ending)).await;
    }
    // Whoever waits for the last seat waits for what its task holds, the store not least.
    drop(socket);
    drop(app);
    drop(seated);
}

/// Says why, and closes, as far as it is taken.
async fn say_last(socket: &mut WebSocket, told: u64, ending: Ending) {
    let code = match ending {
        Ending::Draining { .. } => close_code::RESTART,
        Ending::TooLarge => close_code::SIZE,
        Ending::Revoked | Ending::Flooding | Ending::Malformed | Ending::Silent => close_code::POLICY,
    };
    let frame = CloseFrame {
        code,
        reason: ending.code().symbol.into(),
    };
    let saying = async {
        let text = encode(told, Plane::Live, &ending.what());
        socket.send(Message::Text(text)).await?;
        socket.send(Message::Close(Some(frame))).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), saying).await;
}

/// How far a connection is.
struct Talk<'a> {
    app: &'a App,
    seat: &'a Seat,
    says: Bucket,
    watched: Vec<Watched>,
}

/// A node a dashboard wants to see more of.
struct Watched {
    node: NodeId,
    told: Option<Presence>,
}

/// What ended a talk: nothing when the dashboard left by itself.
type Over = Option<Ending>;

/// Talks until the connection ends; answers why, where it was ended from here. `told` follows how far the dashboard is.
async fn talk(app: &App, seat: &Seat, asked: Asked, told: &mut u64, socket: &mut WebSocket) -> Over {
    let mut shown = app.dashboards.picture.subscribe();
    let from = From {
        after: asked.after,
        epoch: asked.epoch,
    };
    let mut talk = Talk {
        app,
        seat,
        says: Bucket::full(SAYS_AT_ONCE, std::time::Instant::now()),
        watched: Vec::new(),
    };
    let Some(first) = talk.picture(&mut shown).await else {
        return seat.ended().or(Some(Ending::Silent));
    };
    // What is committed by now belongs to what it is shown first, also where it is on its way to the board.
    let mut unsynced = Some(Unsynced::new(&app.dashboards.unsynced));
    let goal = newest(&app.view.current());
    let mut reader = Reader::begin(&first, seat.caller.orgs.clone(), &from, goal);
    drop(first);
    let quiet = (app.config.heartbeat_timeout / 2).min(QUIET);
    let mut asked_whether = false;
    let mut alarm = Box::pin(tokio::time::sleep(quiet));
    let mut back_off = BACK_OFF.0;
    let mut heard = Instant::now();
    let mut look_at = heard;
    loop {
        *told = reader.told();
        if let Some(ending) = seat.ended() {
            return Some(ending);
        }
        // What has come is dealt with also while there is much to be told.
        while let Some(frame) = socket.recv().now_or_never() {
            (asked_whether, heard) = (false, Instant::now());
            if let Err(over) = talk.hear(frame) {
                return over;
            }
        }
        let Some(picture) = talk.picture(&mut shown).await else {
            return seat.ended().or(Some(Ending::Silent));
        };
        match reader.next(&picture) {
            Step::Say(frames) => {
                drop(picture);
                if frames.is_empty() {
                    tokio::task::yield_now().await;
                } else if let Err(over) = talk.say(socket, frames).await {
                    return over;
                }
                continue;
            }
            Step::Replay { after, through } => {
                drop(picture);
                if let Err(over) = Box::pin(talk.replay(socket, &mut reader, after, through)).await {
                    return over;
                }
                continue;
            }
            Step::Behind => {
                drop(picture);
                app.counters.dashboard_resynced();
                tokio::select! {
                    () = seat.over.cancelled() => continue,
                    () = tokio::time::sleep(back_off) => {}
                }
                back_off = (back_off * 2).min(BACK_OFF.1);
                if let Some(picture) = talk.picture(&mut shown).await {
                    reader.begin_again(&picture);
                }
                continue;
            }
            Step::Wait => drop(picture),
        }
        if reader.is_synced() {
            back_off = BACK_OFF.0;
            unsynced = None;
        } else if unsynced.is_none() {
            unsynced = Some(Unsynced::new(&app.dashboards.unsynced));
        }
        if alarm.deadline() != heard + quiet {
            alarm.as_mut().reset(heard + quiet);
        }
        tokio::select! {
            biased;
            () = seat.over.cancelled() => {}
            frame = socket.recv() => {
                (asked_whether, heard) = (false, Instant::now());
                if let Err(over) = talk.hear(frame) {
                    return over;
                }
            }
            changed = shown.changed() => {
                if changed.is_err() {
                    return None;
                }
            }
            () = tokio::time::sleep_until(look_at), if !talk.watched.is_empty() => {
                look_at = Instant::now() + WATCHING;
                let frames = talk.look(reader.told());
                if let Err(over) = talk.say(socket, frames).await {
                    return over;
                }
            }
            () = alarm.as_mut() => {
                if asked_whether {
                    return Some(Ending::Silent);
                }
                (asked_whether, heard) = (true, Instant::now());
                let mark = shown.borrow().clone().and_then(|picture| reader.remark(&picture));
                let asking = async {
                    if let Some(mark) = mark {
                        socket.feed(Message::Text(mark)).await?;
                    }
                    socket.send(Message::Ping(Bytes::new())).await
                };
                if !matches!(tokio::time::timeout(TAKING, asking).await, Ok(Ok(()))) {
                    return Some(Ending::Silent);
                }
            }
        }
    }
}

impl Talk<'_> {
    /// The board as it is; waits for it where there is none yet. None when it does not come.
    async fn picture(&self, shown: &mut watch::Receiver<Option<Arc<Picture>>>) -> Option<Arc<Picture>> {
        let now = shown.borrow_and_update().clone();
        if now.is_some() {
            return now;
        }
        self.app.dashboards.rouse();
        tokio::select! {
            () = self.seat.over.cancelled() => None,
            there = tokio::time::timeout(LAYING, shown.wait_for(Option::is_some)) => there.ok()?.ok()?.clone(),
        }
    }

    /// Sends these in one piece.
    async fn say(&self, socket: &mut WebSocket, frames: Vec<Utf8Bytes>) -> Result<(), Over> {
        let count = frames.len();
        let sending = async {
            for text in frames {
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        let sent = tokio::select! {
            sent = tokio::time::timeout(TAKING, sending) => sent,
            // Whoever takes nothing is not waited for by a control plane that stops.
            () = self.seat.over.cancelled() => return Err(self.seat.ended()),
        };
        match sent {
            Ok(Ok(())) => {
                self.app.counters.dashboard_told(count);
                Ok(())
            }
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Ending::Silent)),
        }
    }

    /// Tells a page of the events that are not on the board any more.
    async fn replay(
        &self,
        socket: &mut WebSocket,
        reader: &mut Reader,
        after: u64,
        through: u64,
    ) -> Result<(), Over> {
        let wanted = Wanted {
            after,
            limit: PAGE,
            subject: None,
        };
        let page = {
            let replays = &self.app.dashboards.replays;
            let _turn = tokio::select! {
                turn = replays.acquire() => turn,
                () = self.seat.over.cancelled() => return Err(self.seat.ended()),
            };
            self.app.events(&self.seat.caller, &wanted).await
        };
        match page {
            Ok(page) => {
                let resync = reader.gone(page.pruned_through);
                let events = page.events.iter().filter(|event| event.seq <= through);
                let events = events.map(|event| rows::event(event).number(event.seq).text());
                self.say(socket, resync.into_iter().chain(events).collect())
                    .await?;
                reader.replayed(page.last_seq.min(through));
                Ok(())
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "events cannot be read; a dashboard waits");
                tokio::time::sleep(BACK_OFF.0).await;
                Ok(())
            }
        }
    }

    /// Takes what the dashboard says. It need not say anything, and whatever it says changes nothing.
    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        let text = match frame {
            None | Some(Ok(Message::Close(_))) => return Err(None),
            Some(Err(error)) => {
                return Err(crate::link::is_too_large(&error).then_some(Ending::TooLarge));
            }
            Some(Ok(Message::Binary(_))) => return Err(Some(Ending::Malformed)),
            Some(Ok(Message::Ping(_))) => None,
            Some(Ok(Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => Some(text),
        };
        if self
            .says
            .take(SAYS, SAYS_AT_ONCE, std::time::Instant::now())
            .is_err()
        {
            return Err(Some(Ending::Flooding));
        }
        match text.map(|text| serde_json::from_str::<Said>(&text)) {
            Some(Ok(Said::Watch { node_ids })) => {
                let mut node_ids = node_ids;
                node_ids.truncate(MOST_WATCHED);
                self.watched = node_ids
                    .into_iter()
                    .map(|node| Watched { node, told: None })
                    .collect();
                Ok(())
            }
            Some(Ok(Said::Unknown)) | None => Ok(()),
            Some(Err(_)) => Err(Some(Ending::Malformed)),
        }
    }

    /// What is new of the nodes this dashboard watches.
    fn look(&mut self, seq: u64) -> Vec<Utf8Bytes> {
        let snapshot = self.app.view.current();
        let mut frames = Vec::new();
        for watched in &mut self.watched {
            if snapshot.node(&watched.node, &self.seat.caller.orgs).is_none() {
                continue;
            }
            let shown = self.app.live.shown(&watched.node);
            let now = Presence {
                about: About {
                    node_id: Some(watched.node.clone()),
                    ..About::default()
                },
                connected: self.app.is_connected(&snapshot, &watched.node),
                last_seen: shown.last_seen,
                resources: shown.resources,
            };
            if watched.told.as_ref() != Some(&now) {
                watched.told = Some(now.clone());
                frames.push(encode(seq, Plane::Live, &What::Resources(now)));
            }
        }
        frames
    }
}
