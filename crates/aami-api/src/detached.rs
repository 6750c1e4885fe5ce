//! What a detached run on a node says: `aami-agent run start|follow|status|list|cancel`.
//!
//! Somebody far away (the operator's `aami nodes install`, over SSH) starts a run on a node, and from then on only
//! reads its event file, through `aami-agent run follow`. This file is the one place where the shape of those lines is
//! written down; [`Line::parse`] reads one, whatever a newer agent says beside it.
//!
//! The rules both sides rely on:
//! - Every line of the event file has a `seq`: 1, 2, 3, ... without a gap, also across attempts. Whoever lost its
//!   connection goes on with `--after` the last number it has.
//! - An attempt ends with a [`Kind::Ended`]. A run that was resumed has several; the last one counts. Where the run's
//!   process died without one (power cut, `kill -9`), the follower says one itself, without a `seq`.
//! - A [`Kind::Alive`] has no `seq` either: the follower says it whenever it was silent for [`SILENCE`].

use std::time::Duration;

use aami_model::Timestamp;
use aami_model::run::{RunEventKind, RunStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a follower is silent at most. Whoever reads it may take three times as much for a connection that is gone.
pub const SILENCE: Duration = Duration::from_secs(10);

/// No run's name is longer.
const LONGEST_NAME: usize = 63;

/// Whether a text can be a run's name: 1 to 63 of `a-z`, `0-9` and `-`, not beginning with `-`. It is a folder's name and
/// part of a unit's.
pub fn is_run_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One line of a run, as it stands in the event file or as a follower says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number; none where the follower says it by itself.
    pub seq: Option<u64>,
    /// When, by the node's clock.
    pub at: Option<Timestamp>,
    /// What.
    pub kind: Kind,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// One of the plan's own events; their `type` is `run_started`, `step_...` or `run_finished`.
    Event(RunEventKind),
    /// An attempt ended; its `type` is `run_ended`.
    Ended(Ended),
    /// The command ended badly: sentence, hint, code; its `type` is `error`.
    Error(Told),
    /// Something to know that stops nothing; its `type` is `warning`.
    Warning(String),
    /// A line that the command wrote and that is none of these, or that no program is meant to read; `output`.
    Output(String),
    /// Nothing happened, and the follower is still there; `alive`.
    Alive,
    /// Whatever else: `node` with what there is now after a bootstrap, `uninstalled`, and what newer agents say.
    Other {
        /// Its `type`.
        name: String,
        /// The whole line.
        value: Value,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Completed, failed, interrupted (it can be resumed) or cancelled (by `run cancel`).
    pub status: RunStatus,
    /// The exit code of the command; the follower's own, too.
    pub exit: u8,
    /// 1 for the first attempt under this name.
    pub attempt: u32,
    /// Why nobody else said so, where the process died without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An error as commands say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The symbol, e.g. `PORT_IN_USE`.
    pub code: String,
    /// The number, e.g. `AAMI-P-0012`.
    #[serde(default)]
    pub id: String,
    /// One sentence.
    pub message: String,
    /// What to do next.
    #[serde(default)]
    pub hint: String,
}

impl Line {
    /// Reads a line. `None` for what is no JSON object with a `type`: a login's own words, for example.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text.trim()).ok()?;
        let name = value.get("type")?.as_str()?.to_owned();
        let said = |member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
        let kind = match name.as_str() {
            "alive" => Some(Kind::Alive),
            "run_ended" => serde_json::from_value(value.clone()).ok().map(Kind::Ended),
            "error" => serde_json::from_value(value.clone()).ok().map(Kind::Error),
            "warning" => said("message").map(Kind::Warning),
            "output" => said("message").map(Kind::Output),
            _ => serde_json::from_value(value.clone()).ok().map(Kind::Event),
        };
        Some(Self {
            seq: value.get("seq").and_then(Value::as_u64),
            at: value
                .get("at")
                .and_then(|at| serde_json::from_value(at.clone()).ok()),
            kind: kind.unwrap_or(Kind::Other { name, value }),
        })
    }
}

/// How a run stands: the answer of `run start --json` and `run status --json`, and one of those in `run list --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub id: String,
    /// `running`, or how its last attempt ended. A run whose process died without a word is `interrupted`.
    pub status: RunStatus,
    /// Of `run start` alone: whether this call began an attempt. Otherwise there was a run of this name already, and it
    /// is to be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<bool>,
    /// Which attempt it is or was.
    pub attempt: u32,
    /// The number of its last line.
    pub last_seq: u64,
    /// When it was first started.
    pub started_at: Timestamp,
    /// How its last attempt ended, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// Its process, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What it runs.
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_read_for_what_it_is() {
        let event =
            r#"{"seq":3,"at":"2026-01-01T00:00:00.000Z","type":"step_started","step":"checks","attempt":1}"#;
        let line = Line::parse(event).unwrap();
        assert_eq!(line.seq, Some(3));
        assert!(matches!(line.kind, Kind::Event(RunEventKind::StepStarted { .. })));

        let ended = r#"{"seq":9,"type":"run_ended","status":"failed","exit":1,"attempt":2}"#;
        let Kind::Ended(ended) = Line::parse(ended).unwrap().kind else {
            panic!()
        };
        assert_eq!(
            (ended.status, ended.exit, ended.attempt),
            (RunStatus::Failed, 1, 2)
        );

        let error =
            r#"{"seq":4,"type":"error","code":"NOT_ROOT","id":"AAMI-I-1","message":"m","hint":"h","exit":4}"#;
        assert!(matches!(Line::parse(error).unwrap().kind, Kind::Error(told) if told.code == "NOT_ROOT"));
        assert_eq!(Line::parse(r#"{"type":"alive"}"#).unwrap().kind, Kind::Alive);
        assert_eq!(
            Line::parse(r#"{"type":"output","message":"x","seq":1}"#)
                .unwrap()
                .kind,
            Kind::Output("x".to_owned())
        );
    }

    #[test]
    fn what_a_newer_agent_says_is_kept_and_what_is_no_line_is_none() {
        for text in [
            "",
            "Welcome to gpu-01",
            "{}",
            "[1]",
            r#"{"type":7}"#,
            "{\"type\":\"al",
        ] {
            assert_eq!(Line::parse(text), None, "{text:?}");
        }
        for text in [
            r#"{"seq":1,"type":"node","node":{"hostname":"gpu-01"}}"#,
            r#"{"seq":1,"type":"run_ended","status":"vanished","exit":1,"attempt":1}"#,
            r#"{"seq":1,"type":"warning","message":7}"#,
        ] {
            let line = Line::parse(text).unwrap();
            assert!(matches!(line.kind, Kind::Other { .. }), "{text}");
            assert_eq!(line.seq, Some(1));
        }
    }

    #[test]
    fn a_runs_name_leads_nowhere() {
        assert!(is_run_name("install-2026-11-21"));
        for text in ["", "-x", "a/b", "..", "A", "a b", "a\n", &"x".repeat(64)] {
            assert!(!is_run_name(text), "{text:?}");
        }
    }
}
