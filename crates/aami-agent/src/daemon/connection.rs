//! What a connection is in, and what comes next: `away`, `opening`, `greeting`, `live`. Pure: time and chance come
//! in, what is to be done goes out, and [`super::link`] does it.
//!
//! A connection is lost when nothing was heard for [`SILENCE`] or two and a half heartbeats, whichever is longer: a
//! control plane that stands still for half a minute is waited for, a half-open socket is not.

use std::time::Duration;

use aami_api::link::{ConnectionAck, Down, NodeConfig, Order, USUAL_HEARTBEAT};

use super::pause::{Pauses, Random};

/// How long the answer to a greeting may take.
const GREETING: Duration = Duration::from_secs(20);
/// A connection that says nothing for less is never given up.
const SILENCE: Duration = Duration::from_secs(45);
/// One that stood this long ended a row of failures.
const STOOD: Duration = Duration::from_secs(30);
/// Between two heartbeats, in seconds. A control plane that soon calls a node gone wants to hear it every second.
const HEARTBEATS: (u32, u32) = (1, 300);

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// Nothing but time.
    Time,
    /// The socket is open.
    Opened,
    /// It could not be opened; whether only somebody can change that.
    NotOpened {
        /// Refused, rather than failed.
        refused: bool,
    },
    /// The peer lives: a frame that needs no answer.
    Alive,
    /// The control plane said something.
    Heard(Down),
    /// The socket is gone, or what comes through it is no frame.
    Lost,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Open the socket.
    Open,
    /// Say who this is.
    Greet,
    /// The node is connected: tell what is left to tell.
    Live(ConnectionAck),
    /// Say that it is there, and see whether anybody hears.
    Heartbeat,
    /// Forget the reports up to this number.
    Settle(u64),
    /// Do something.
    Take(Order),
    /// Be configured so.
    Configure(NodeConfig),
    /// Close the socket, where it is open.
    Close(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Away {
        until: Duration,
    },
    Opening,
    Greeting {
        until: Duration,
    },
    Live {
        since: Duration,
        heard: Duration,
        beat: Duration,
    },
}

/// The connection.
#[derive(Debug)]
pub(super) struct Connection {
    phase: Phase,
    pauses: Pauses,
    heartbeat: Duration,
    refused: bool,
}

impl Connection {
    /// Begins after a part of `spread`: nodes are switched on together, too.
    pub(super) fn new(now: Duration, spread: Duration, random: Random<'_>) -> Self {
        Self {
            phase: Phase::Away {
                until: now + spread.mul_f64(random()),
            },
            pauses: Pauses::default(),
            heartbeat: Duration::from_secs(USUAL_HEARTBEAT.into()),
            refused: false,
        }
    }

    /// Whether the control plane hears this node.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Whether it stays away since the control plane said no: then it asks rarely, and only somebody can change that.
    pub(super) const fn is_refused(&self) -> bool {
        self.refused && matches!(self.phase, Phase::Away { .. })
    }

    /// When time alone brings the next action.
    pub(super) fn due(&self, now: Duration) -> Duration {
        let at = match &self.phase {
            Phase::Away { until } | Phase::Greeting { until } => *until,
            Phase::Opening => return Duration::ZERO,
            Phase::Live { heard, beat, .. } => (*beat).min(*heard + self.silence()),
        };
        at.saturating_sub(now)
    }

    /// How often to send a heartbeat from now on, within what is sensible.
    pub(super) fn beat_every(&mut self, seconds: u32) {
        self.heartbeat = Duration::from_secs(seconds.clamp(HEARTBEATS.0, HEARTBEATS.1).into());
    }

    fn silence(&self) -> Duration {
        (self.heartbeat * 5 / 2).max(SILENCE)
    }

    /// Takes what happened and answers what to do about it, in this order.
    pub(super) fn take(&mut self, input: Input, now: Duration, random: Random<'_>) -> Vec<Action> {
        match (input, &mut self.phase) {
            (Input::Time, _) => self.passed(now, random),
            (Input::Opened, Phase::Opening) => {
                self.phase = Phase::Greeting {
                    until: now + GREETING,
                };
                vec![Action::Greet]
            }
            (Input::NotOpened { refused: true }, Phase::Opening) => {
                self.refused = true;
                self.stay_away(now, Pauses::refused(random), None)
            }
            (Input::NotOpened { refused: false }, Phase::Opening) => self.lost(now, None, random),
            (Input::Alive, Phase::Live { heard, .. }) => {
                *heard = now;
                Vec::new()
            }
            (Input::Heard(down), Phase::Greeting { .. } | Phase::Live { .. }) => {
                self.heard(down, now, random)
            }
            (Input::Lost, Phase::Greeting { .. } | Phase::Live { .. }) => self.lost(now, None, random),
            // Something late of a connection that is no more.
            (
                Input::Opened | Input::NotOpened { .. } | Input::Alive | Input::Heard(_) | Input::Lost,
                Phase::Away { .. } | Phase::Opening | Phase::Greeting { .. } | Phase::Live { .. },
            ) => Vec::new(),
        }
    }

    fn passed(&mut self, now: Duration, random: Random<'_>) -> Vec<Action> {
        let silence = self.silence();
        match &mut self.phase {
            Phase::Away { until } if now >= *until => {
                self.phase = Phase::Opening;
                vec![Action::Open]
            }
            Phase::Greeting { until } if now >= *until => {
                self.lost(now, Some("the greeting was not answered"), random)
            }
            Phase::Live { heard, .. } if now >= *heard + silence => {
                self.lost(now, Some("nothing was heard for too long"), random)
            }
            Phase::Live { beat, since, .. } if now >= *beat => {
                *beat = now + self.heartbeat;
                if now.saturating_sub(*since) >= STOOD {
                    self.pauses.forget();
                }
                vec![Action::Heartbeat]
            }
            Phase::Away { .. } | Phase::Opening | Phase::Greeting { .. } | Phase::Live { .. } => Vec::new(),
        }
    }

    fn heard(&mut self, down: Down, now: Duration, random: Random<'_>) -> Vec<Action> {
        let live = match &mut self.phase {
            Phase::Live { heard, .. } => {
                *heard = now;
                true
            }
            Phase::Away { .. } | Phase::Opening | Phase::Greeting { .. } => false,
        };
        match down {
            Down::ConnectionAck(ack) if !live => {
                self.beat_every(ack.heartbeat_seconds);
                self.pauses
                    .spread_over(Duration::from_secs(ack.spread_seconds.into()));
                self.phase = Phase::Live {
                    since: now,
                    heard: now,
                    // All who return together shall not beat together.
                    beat: now + self.heartbeat.mul_f64(random()),
                };
                vec![Action::Live(ack)]
            }
            Down::Received { seq } if live => vec![Action::Settle(seq)],
            Down::Command(order) if live => vec![Action::Take(order)],
            Down::Config(config) if live => vec![Action::Configure(config)],
            Down::Drain { spread_seconds } => {
                let spread = Duration::from_secs(spread_seconds.into());
                self.refused = false;
                let pause = self.pauses.drained(spread, random);
                self.stay_away(now, pause, Some("the control plane stops".to_owned()))
            }
            Down::Error { code, message, retry } => {
                self.refused = !retry;
                let pause = if retry {
                    self.pauses.next(random)
                } else {
                    Pauses::refused(random)
                };
                self.stay_away(now, pause, Some(format!("{code}: {message}")))
            }
            // Out of order, or of a newer control plane.
            Down::ConnectionAck(_)
            | Down::Received { .. }
            | Down::Command(_)
            | Down::Config(_)
            | Down::Unknown => Vec::new(),
        }
    }

    fn lost(&mut self, now: Duration, why: Option<&str>, random: Random<'_>) -> Vec<Action> {
        if let Phase::Live { since, .. } = self.phase
            && now.saturating_sub(since) >= STOOD
        {
            self.pauses.forget();
        }
        self.refused = false;
        let pause = self.pauses.next(random);
        self.stay_away(now, pause, why.map(str::to_owned))
    }

    fn stay_away(&mut self, now: Duration, pause: Duration, why: Option<String>) -> Vec<Action> {
        self.phase = Phase::Away { until: now + pause };
        vec![Action::Close(why.unwrap_or_default())]
    }
}

#[cfg(test)]
mod tests;
