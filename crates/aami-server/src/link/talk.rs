//! The long part of a connection: what the node says is taken, what it is to be told is sent, silence is noticed.

use std::time::Duration;

use aami_api::link::{Down, GpuUse, Heartbeat, Report, Resources, Up};
use aami_model::{Timestamp, code};
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures::{FutureExt as _, SinkExt as _};

use super::clock::Clock;
use super::large::Large;
use super::pace::Pace;
use super::{Fault, TAKING, read, unreadable};
use crate::app::App;
use crate::app::connections::{DUPLICATE_CREDENTIAL, Off};
use crate::live::{Link, Seen};

/// How many frames that have come already are dealt with before what is to be sent is sent.
const TOGETHER: usize = 32;
/// A node shows at most so many GPUs.
const MOST_GPUS: usize = 64;
/// After so long alone on its credential, a node has no twin any more.
const ALONE: Duration = Duration::from_secs(600);
/// How often a report is tried while the store does not answer, and how long the first pause is.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// How far a connection is.
struct Talk<'a> {
    app: &'a App,
    link: &'a Link,
    spool: &'a str,
    /// The reports up to this one are durable.
    received: u64,
    /// What of it the node was told.
    acknowledged: u64,
    /// Whether a report came yet: the first may follow a gap, where this control plane was restored.
    begun: bool,
    opened: Duration,
    pace: Pace,
    clock: Clock,
    large: Large,
}

/// Talks until the connection ends; answers what is to be said last.
pub(super) async fn talk(
    app: &App,
    link: &Link,
    spool: &str,
    received: u64,
    socket: &mut WebSocket,
) -> Option<Down> {
    let now = app.world.elapsed();
    let mut talk = Talk {
        app,
        link,
        spool,
        received,
        acknowledged: received,
        begun: false,
        opened: now,
        pace: Pace::new(now),
        clock: Clock::new(),
        large: Large::default(),
    };
    let timeout = app.config.heartbeat_timeout;
    // A healthy node is heard more often; one that only lives is asked, one that does not answer is gone.
    let quiet = timeout / 2;
    let mut asked = false;
    let mut alarm = Box::pin(tokio::time::sleep(quiet));
    loop {
        if let Some(ending) = link.ended() {
            // What waits is said before the end, e.g. the acknowledgement.
            if Box::pin(talk.flush(socket)).await.is_err() {
                return None;
            }
            return Some(ending.frame());
        }
        tokio::select! {
            biased;
            () = link.news() => {}
            frame = socket.recv() => {
                alarm.as_mut().reset(tokio::time::Instant::now() + quiet);
                asked = false;
                match Box::pin(talk.take_all(frame, socket)).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(fault) => {
                        app.counters.link_refused(fault.code.symbol);
                        tracing::info!(node = %link.node(), code = %fault.code, error = fault.message, "a node's connection is closed");
                        return Some(fault.frame());
                    }
                }
            }
            () = alarm.as_mut() => {
                if asked {
                    tracing::debug!(node = %link.node(), "nobody is at the other end of a connection");
                    return None;
                }
                asked = true;
                let ping = tokio::time::timeout(TAKING, socket.send(Message::Ping(Bytes::new())));
                if !matches!(Box::pin(ping).await, Ok(Ok(()))) {
                    return None;
                }
                alarm.as_mut().reset(tokio::time::Instant::now() + quiet);
            }
        }
        // Boxed like whatever else is there for a moment only: the talk itself stays for days, thousands of times.
        if Box::pin(talk.flush(socket)).await.is_err() {
            return None;
        }
    }
}

impl Talk<'_> {
    /// Deals with a frame and with those that have come as well. False when the node closed.
    async fn take_all(
        &mut self,
        first: Option<Result<Message, axum::Error>>,
        socket: &mut WebSocket,
    ) -> Result<bool, Fault> {
        let mut next = first;
        for taken in 1..=TOGETHER {
            let text = match next {
                None | Some(Ok(Message::Close(_))) => return Ok(false),
                Some(Err(error)) => {
                    // A connection that broke is no fault of the node's, and nobody is there to be told.
                    let fault = unreadable(&error);
                    return if fault.code == code::TOO_LARGE {
                        Err(fault)
                    } else {
                        Ok(false)
                    };
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                Some(Ok(Message::Binary(_))) => {
                    return Err(Fault::new(code::MALFORMED, "a frame is text, not binary"));
                }
                Some(Ok(Message::Text(text))) => Some(text),
            };
            if let Some(text) = text {
                self.take(&text).await?;
                self.large.taken(text);
            }
            // What is taken off the socket is dealt with: of more than these it is left there.
            if self.link.ended().is_some() || taken == TOGETHER {
                return Ok(true);
            }
            match socket.recv().now_or_never() {
                Some(frame) => next = frame.map_or(Some(Ok(Message::Close(None))), Some),
                None => return Ok(true),
            }
        }
        Ok(true)
    }

    async fn take(&mut self, text: &str) -> Result<(), Fault> {
        let wait = self.pace.take(text.len(), self.app.world.elapsed());
        if !wait.is_zero() {
            // Nothing is read meanwhile, so the network holds the node back.
            tokio::select! {
                () = self.link.over() => return Ok(()),
                () = tokio::time::sleep(wait.min(TAKING)) => {}
            }
        }
        let frame = read(text)?;
        let resources = match frame {
            Up::Heartbeat(Heartbeat { time, resources }) => {
                if let Some(time) = time {
                    self.judge_clock(time).await?;
                }
                resources.map(cleaned)
            }
            Up::Report(report) => {
                self.heard(None).await?;
                let link = self.link;
                tokio::select! {
                    biased;
                    // Whether it is durable or not, it was not acknowledged: the node says it again.
                    () = link.over() => return Ok(()),
                    taken = self.take_report(&report) => taken?,
                }
                None
            }
            Up::Accepted { command_id } => {
                self.app.command_accepted(self.link.node(), &command_id).await?;
                None
            }
            Up::Result(result) => {
                self.app.command_ended(self.link.node(), &result).await?;
                None
            }
            Up::Bye { reason } => {
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
                self.app.live.said_bye(self.link, &reason);
                None
            }
            Up::Hello(_) => return Err(Fault::new(code::OUT_OF_ORDER, "a node greets once")),
            Up::Unknown => None,
        };
        self.heard(resources).await
    }

    /// Notes that the node is there. Nothing is written, unless it counted as gone.
    async fn heard(&self, resources: Option<Resources>) -> Result<(), Fault> {
        let seen = Seen {
            elapsed: self.app.world.elapsed(),
            at: self.app.world.now(),
        };
        let (node, generation) = (self.link.node(), self.link.generation());
        if !self.app.live.heard(self.link, seen, resources) {
            return Ok(());
        }
        if self.app.counts_as_gone(node) {
            self.app.revive(node, generation).await?;
        }
        if seen.elapsed.saturating_sub(self.opened) > ALONE
            && self.app.has_observed(node, DUPLICATE_CREDENTIAL)
        {
            self.app.has_no_twin(node, generation).await?;
        }
        Ok(())
    }

    /// Sees whether a node's clock is right. Nothing is written, unless that is news.
    async fn judge_clock(&mut self, time: Timestamp) -> Result<(), Fault> {
        let off = Off::of(time, self.app.world.now());
        if let Some(off) = self.clock.take(off, self.app.world.elapsed()) {
            let (node, generation) = (self.link.node(), self.link.generation());
            self.app.clock_is_off(node, generation, off).await?;
        }
        Ok(())
    }

    /// Takes a report once it is its turn; it is acknowledged when it is durable.
    async fn take_report(&mut self, report: &Report) -> Result<(), Fault> {
        if report.seq <= self.received {
            // Whoever says again what was taken goes on from there without a gap.
            self.begun = true;
            return Ok(());
        }
        let follows = report.seq == self.received + 1;
        let lost = match report.what {
            aami_api::link::Told::Lost { count } => report.seq - self.received - 1 <= count,
            _ => false,
        };
        if self.begun && !follows && !lost {
            return Err(Fault::new(
                code::OUT_OF_ORDER,
                format!("report {} came after report {}", report.seq, self.received),
            ));
        }
        let mut pause = PAUSE;
        for tried in 1.. {
            let taken = self
                .app
                .take_report(self.link.node(), self.link.generation(), self.spool, report);
            match taken.await {
                Ok(()) => break,
                Err(refusal) if tried < TRIES && refusal.retry_after.is_some() => {
                    // The store is away: the node keeps the report, and asking again is the condition waited for.
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        (self.received, self.begun) = (report.seq, true);
        Ok(())
    }

    /// Sends what waits, in one piece.
    async fn flush(&mut self, socket: &mut WebSocket) -> Result<(), ()> {
        let waiting = self.link.take();
        let acknowledges = self.received > self.acknowledged;
        if waiting.is_empty() && !acknowledges {
            return Ok(());
        }
        let received = self.received;
        let sending = async {
            for text in waiting {
                socket.feed(Message::Text(text)).await?;
            }
            if acknowledges {
                let frame = Down::Received { seq: received };
                let text = serde_json::to_string(&frame).unwrap_or_default();
                socket.feed(Message::Text(text.into())).await?;
            }
            socket.flush().await
        };
        match tokio::time::timeout(TAKING, sending).await {
            Ok(Ok(())) => {
                self.acknowledged = received;
                Ok(())
            }
            _ => Err(()),
        }
    }
}

/// Figures of a stranger: bounded, and numbers that are numbers.
fn cleaned(resources: Resources) -> Resources {
    let percent = |value: f32| {
        if value.is_finite() {
            value.clamp(0.0, 100.0)
        } else {
            0.0
        }
    };
    let gpus = resources.gpus.into_iter().take(MOST_GPUS);
    let gpus = gpus.map(|gpu| GpuUse {
        pci: gpu.pci.chars().filter(|c| !c.is_control()).take(32).collect(),
        utilization_percent: gpu.utilization_percent.map(percent),
        temperature_celsius: gpu.temperature_celsius.filter(|value| value.is_finite()),
        power_watts: gpu.power_watts.filter(|value| value.is_finite()),
        ..gpu
    });
    Resources {
        cpu_percent: percent(resources.cpu_percent),
        load1: if resources.load1.is_finite() {
            resources.load1
        } else {
            0.0
        },
        gpus: gpus.collect(),
        ..resources
    }
}
