//! What the control plane says to dashboards over `/ws`, and the little they say to it.
//!
//! The request for the upgrade carries an API key (`Authorization: Bearer aamik_...`) or, where a browser cannot set a
//! header, `?ticket=` with a [`Ticket`]. After that a dashboard need not say anything. Each text frame is one flat JSON
//! document with `seq`, `plane` and `type`; who does not know a type ignores it.
//!
//! First comes `snapshot`, every row there is, and `synced`; then what changes, as it changes. [`Frame::seq`] says how
//! far everything has been told: whoever remembers the last one, with the `epoch` of the first frame, and hands them
//! back as `?after=SEQ&epoch=EPOCH`, goes on from there (`resumed`) without a gap and without a repetition. Where that
//! is not possible, `snapshot` comes again, and the events since `after` with it: what was shown before is void. Where
//! not even those are kept any longer, `resync` says so before the first that is.
//!
//! *State* is stored and can be resumed; *live* is the present, the newest replaces what was. Who reads slowly gets of
//! each row only the newest, and where even that is too much, a snapshot again.

use aami_model::event::Event;
use aami_model::{EventId, NodeId, OrgId, RunId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::link::Resources;
use crate::notice::Notice;

/// The largest frame a dashboard may send, in bytes; a connection that sends more is closed.
pub const LARGEST_UP: usize = 4096;
/// How many nodes a dashboard may watch at once.
pub const MOST_WATCHED: usize = 32;

/// What the control plane says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Everything up to this number has been told: hand it back as `after`.
    pub seq: u64,
    /// Whether it is state or the present.
    pub plane: Plane,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Where a fact lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// In the store; can be resumed.
    State,
    /// In memory; the newest replaces what was.
    Live,
}

/// What is said. An event's `type` is its own (`node.connected`), with a dot in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// Drop what you show: every row follows, then `synced`.
    Snapshot {
        /// Which life of the store the numbers belong to.
        epoch: String,
        /// Why.
        reason: Why,
    },
    /// You have everything up to `after`; the rest follows, then `synced`.
    Resumed {
        /// Which life of the store the numbers belong to.
        epoch: String,
    },
    /// Events you have not seen are kept no longer: between what you had and what follows some may be missing for good.
    Resync {
        /// Up to this number.
        pruned_through: u64,
    },
    /// You have seen everything there was up to `seq`. Comes again from time to time.
    Synced,
    /// The status of a task, a node or a run.
    Status(Status),
    /// How far a task or a run is; at most once a second.
    Progress(Progress),
    /// What a task's machine or a node is made of, in short. Told when it changes, not part of a snapshot.
    Hardware(Hardware),
    /// A row that is no more.
    Removed(About),
    /// How busy a node is that this dashboard watches.
    Resources(Presence),
    /// The control plane stops; come back after a random part of this time.
    Drain {
        /// Over how many seconds to spread the return.
        spread_seconds: u32,
    },
    /// It cannot go on; the connection is closed after this.
    Error {
        /// The code, e.g. `UNAUTHENTICATED`.
        code: String,
        /// One sentence.
        message: String,
        /// Whether it may be otherwise later.
        retry: bool,
    },
    /// Something happened: `type` says what.
    #[serde(untagged)]
    Event(Box<Told>),
    /// What a newer control plane says and we do not know.
    #[serde(untagged)]
    Other(Value),
}

/// Why a snapshot comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The dashboard did not ask to go on from anywhere.
    Connected,
    /// What happened since `after` is not all in memory any more.
    Gap,
    /// The dashboard read more slowly than things change.
    Slow,
    /// The numbers it has are of another life of the store.
    Epoch,
}

/// What a row is about: exactly one of them says which row it is; a run also names its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// A task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// A run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// A node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
}

/// A status, with what a list shows beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Whose.
    #[serde(flatten)]
    pub about: About,
    /// Its name.
    pub status: String,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// The node's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The run's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is expected to have changed by, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_until: Option<Timestamp>,
    /// Whether the node is reached, whatever its status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
}

/// How far something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Whose.
    #[serde(flatten)]
    pub about: About,
    /// 0 to 100.
    pub percentage: u8,
    /// The stage or step it is in.
    pub stage: String,
    /// What it is doing.
    pub message: String,
}

/// What a machine is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// Whose.
    #[serde(flatten)]
    pub about: About,
    /// `cpu: {model, cores}`, `memory: {total_gb}`, `disks`, `nics`, `gpus`.
    pub hardware: Value,
}

/// A node at this moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// Which node.
    #[serde(flatten)]
    pub about: About,
    /// Whether its agent is connected.
    pub connected: bool,
    /// When it was last heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How busy it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// An event as receivers of notifications get it (`type`, `timestamp`, `data`), with the words for people and where it
/// stands in the list of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What is told everywhere.
    #[serde(flatten)]
    pub notice: Notice,
    /// A few words.
    pub title: String,
    /// One sentence.
    pub text: String,
    /// Its id, the same wherever it is delivered.
    pub id: EventId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// What it is about, e.g. `node:abc`; `remote:abc` where another control plane told it.
    pub subject: String,
    /// Who caused it, e.g. `key:abc`.
    pub actor: String,
}

impl From<&Event> for Told {
    fn from(event: &Event) -> Self {
        let notice = Notice::of(event);
        Self {
            title: notice.title(),
            text: notice.text(),
            notice,
            id: event.id.clone(),
            org: event.org.clone(),
            subject: event.subject.clone(),
            actor: event.actor.clone(),
        }
    }
}

/// What a dashboard may say. It need not say anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// Tell how busy these nodes are; replaces what was watched before.
    Watch {
        /// At most [`MOST_WATCHED`]; none ends it.
        node_ids: Vec<NodeId>,
    },
    /// What a newer dashboard says and we do not know.
    #[serde(other)]
    Unknown,
}

/// POST `/api/v1/tickets`: lets its bearer open one `/ws`, as whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// `/ws?ticket=` and this; good for one connection.
    pub ticket: String,
    /// Until when.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(frame: &Frame) -> Value {
        serde_json::to_value(frame).expect("it is JSON")
    }

    fn about_task() -> About {
        About {
            task_id: Some("t1".parse().expect("an id")),
            ..About::default()
        }
    }

    #[test]
    fn the_three_documented_frames_are_flat_with_seq_and_plane_added() {
        let frame = |plane, what| Frame { seq: 7, plane, what };
        let progress = frame(
            Plane::Live,
            What::Progress(Progress {
                about: about_task(),
                percentage: 45,
                stage: "downloading".into(),
                message: "Downloaded 450 MB / 1000 MB".into(),
            }),
        );
        assert_eq!(
            value(&progress),
            json!({ "seq": 7, "plane": "live", "type": "progress", "task_id": "t1", "percentage": 45,
                    "stage": "downloading", "message": "Downloaded 450 MB / 1000 MB" })
        );
        let status = frame(
            Plane::State,
            What::Status(Status {
                about: about_task(),
                status: "installing".into(),
                ..Status::default()
            }),
        );
        assert_eq!(
            value(&status),
            json!({ "seq": 7, "plane": "state", "type": "status", "task_id": "t1", "status": "installing",
                    "org": "default" })
        );
        let hardware = frame(
            Plane::State,
            What::Hardware(Hardware {
                about: about_task(),
                hardware: json!({ "cpu": { "model": "x", "cores": 28 }, "memory": { "total_gb": 256 } }),
            }),
        );
        assert_eq!(
            value(&hardware),
            json!({ "seq": 7, "plane": "state", "type": "hardware", "task_id": "t1",
                    "hardware": { "cpu": { "model": "x", "cores": 28 }, "memory": { "total_gb": 256 } } })
        );
        for frame in [progress, status, hardware] {
            assert_eq!(
                serde_json::from_value::<Frame>(value(&frame)).expect("it is read"),
                frame
            );
        }
    }

    #[test]
    fn an_event_keeps_its_documented_members() {
        let event: Event = serde_json::from_value(json!({
            "seq": 64, "id": "e1", "at": "2025-12-11T12:05:00.000Z", "type": "node.resumed", "org": "red",
            "subject": "node:n1", "actor": "key:k", "data": { "hostname": "gpu-1", "status": "online" },
        }))
        .expect("an event");
        let frame = Frame {
            seq: event.seq,
            plane: Plane::State,
            what: What::Event(Box::new(Told::from(&event))),
        };
        let text = value(&frame);
        assert_eq!(
            (&text["type"], &text["timestamp"], &text["data"]["nodeName"]),
            (
                &json!("node.resumed"),
                &json!("2025-12-11T12:05:00.000Z"),
                &json!("gpu-1")
            )
        );
        assert_eq!(
            (&text["seq"], &text["plane"], &text["subject"]),
            (&json!(64), &json!("state"), &json!("node:n1"))
        );
        assert_eq!(serde_json::from_value::<Frame>(text).expect("it is read"), frame);
    }

    #[test]
    fn what_a_newer_side_says_is_not_an_error() {
        let frame: Frame =
            serde_json::from_value(json!({ "seq": 1, "plane": "live", "type": "dance", "steps": 3 }))
                .expect("it is read");
        assert!(matches!(frame.what, What::Other(_)), "{frame:?}");
        let said: Said = serde_json::from_value(json!({ "type": "hum" })).expect("it is read");
        assert_eq!(said, Said::Unknown);
    }
}
