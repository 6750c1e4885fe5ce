//! What a connected node and the control plane say to each other over `/ws/node`.
//!
//! The node asks for the upgrade with its own credential (`Authorization: Bearer aamin_...`). Each text frame is one
//! JSON document, camelCase, told apart by `type`; binary frames are refused. The node speaks first ([`Hello`], within
//! ten seconds), the control plane answers `connection_ack` or `error` and closes. Both ignore members and, after the
//! greeting, types they do not know, so that either may be the newer one.
//!
//! Two kinds of things go up. What is *live* (heartbeats, resources) is lost when the connection is: the next one
//! replaces it. A *report* carries a number that ascends within one [`Hello::spool`]; the node keeps it until the
//! control plane has `received` that number, and sends it again after a reconnection. A report may therefore come
//! twice: the control plane takes each number of a spool once.

use aami_model::check::RunAs;
use aami_model::command::NodeCommand;
use aami_model::finding::Finding;
use aami_model::{CommandId, NodeId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The version of what is said here.
pub const PROTOCOL: u32 = 1;
/// The largest frame the control plane reads, in bytes; a connection that sends more is closed.
pub const LARGEST_UP: usize = 1024 * 1024;
/// The largest frame a node reads, in bytes.
pub const LARGEST_DOWN: usize = 256 * 1024;
/// How often a node says that it is there, in seconds, unless it is told otherwise.
pub const USUAL_HEARTBEAT: u32 = 30;
/// The longest output a command's result carries, in bytes; what is longer is cut at its beginning.
pub const LONGEST_OUTPUT: usize = 256 * 1024;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Up {
    /// Who it is and where it stands; the first frame.
    Hello(Hello),
    /// It is there.
    Heartbeat(Heartbeat),
    /// Something to be kept.
    Report(Report),
    /// It has taken a command.
    Accepted {
        /// Which.
        #[serde(rename = "commandId")]
        command_id: CommandId,
    },
    /// How a command ended.
    Result(CommandResult),
    /// It ends by itself: stopped, updated, shut down.
    Bye {
        /// Why, one sentence.
        reason: String,
    },
    /// What a newer node says and we do not know.
    #[serde(other)]
    Unknown,
}

/// What the control plane says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Down {
    /// The node is connected.
    ConnectionAck(ConnectionAck),
    /// Every report of this spool up to this number is durable.
    Received {
        /// The highest number.
        seq: u64,
    },
    /// Something to do.
    Command(Order),
    /// What the node is configured to be.
    Config(NodeConfig),
    /// The control plane stops; come back after a random part of this time.
    Drain {
        /// Over how many seconds nodes spread their return.
        #[serde(rename = "spreadSeconds")]
        spread_seconds: u32,
    },
    /// It cannot go on; the connection is closed after this.
    Error {
        /// The code, e.g. `NODE_DECOMMISSIONED`.
        code: String,
        /// One sentence.
        message: String,
        /// Whether it may be otherwise later. A node that is told `false` waits for an operator and asks rarely.
        retry: bool,
    },
    /// What a newer control plane says and we do not know.
    #[serde(other)]
    Unknown,
}

/// The first frame of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`PROTOCOL`] of the node.
    pub protocol: u32,
    /// The agent's version.
    pub agent_version: String,
    /// `amd64` or `arm64`.
    pub arch: String,
    /// Another one means that the machine was started anew: the kernel's boot id, and what tells containers on one
    /// kernel apart.
    pub boot_id: String,
    /// Which numbering its reports belong to; made anew where the spool is made anew.
    pub spool: String,
    /// SHA-256 of the inventory it has, lower-case hex; sent as a report only where the control plane has another.
    pub inventory_sha256: String,
    /// The revision of the configuration it runs by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_revision: Option<String>,
    /// Its clock.
    pub time: Timestamp,
}

/// The answer to a greeting. `status`, `nodeId` and `controllerId` are the members older programs know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionAck {
    /// `success`.
    pub status: String,
    /// Who the node is.
    pub node_id: NodeId,
    /// Which control plane answers.
    pub controller_id: String,
    /// The generation of this connection: a later one of the same node ends it.
    pub generation: u64,
    /// How often to send a heartbeat, in seconds.
    pub heartbeat_seconds: u32,
    /// Over how many seconds to spread a return after the connection is lost.
    pub spread_seconds: u32,
    /// Whether the inventory the node has is not the one known here: send it.
    pub wants_inventory: bool,
    /// Reports of this spool up to this number are durable already.
    pub received: u64,
    /// The control plane's clock.
    pub time: Timestamp,
}

/// A node is there, and how it is. Never stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// Its clock; an older node does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// How busy it is; not with every heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// How busy a node is at this moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Resources {
    /// Of all cores, 0 to 100.
    pub cpu_percent: f32,
    /// The load over a minute.
    pub load1: f32,
    /// Memory in use, in bytes: total without what is available.
    pub memory_used: u64,
    /// Memory, in bytes.
    pub memory_total: u64,
    /// Of the file system the system is on, in bytes.
    pub disk_used: u64,
    /// Its size, in bytes.
    pub disk_total: u64,
    /// Seconds since the kernel started.
    pub uptime_seconds: u64,
    /// Its GPUs, in the order of their PCI addresses; at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuUse>,
}

/// How busy one GPU is. What its tool does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GpuUse {
    /// Its PCI address.
    pub pci: String,
    /// Of its compute, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<f32>,
    /// Memory in use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f32>,
    /// Watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f32>,
}

/// Something to be kept, with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Ascends by one within a spool, from 1.
    pub seq: u64,
    /// When, by the node's clock.
    pub at: Timestamp,
    /// What.
    pub what: Told,
}

/// What a report tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Told {
    /// What the host is: the document of `aami-agent inventory --json`.
    Inventory {
        /// SHA-256 of the document's bytes as the node hashed them, lower-case hex.
        sha256: String,
        /// The document.
        inventory: Value,
    },
    /// All its findings; what is not among them is over.
    Findings {
        /// At most [`aami_model::finding::MOST_FINDINGS`].
        findings: Vec<Finding>,
    },
    /// How its checks ended last; only those that changed their status.
    Checks {
        /// At most 256.
        checks: Vec<CheckTold>,
    },
    /// An Xid or SXid of the kernel's log.
    Xid(XidTold),
    /// The oldest reports that waited were dropped, since the spool was full: this one stands at the number of the
    /// last of them.
    Lost {
        /// How many, those of earlier such reports that were dropped as well among them.
        count: u64,
    },
    /// The configuration it runs by now, or why it does not.
    Configured {
        /// The revision.
        revision: String,
        /// Why it was not taken, where it was not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// An exporter that answers on a port we know and that we do not have. Offered, never enabled by itself.
    Discovered {
        /// The ports, at most 16.
        exporters: Vec<FoundExporter>,
    },
    /// What a newer node tells and we do not know.
    #[serde(other)]
    Unknown,
}

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckTold {
    /// Its name.
    pub name: String,
    /// `ok`, `warning`, `critical`, `unknown`, `timeout`, `failed`, as its metrics say.
    pub status: String,
    /// One sentence of the script's.
    #[serde(default)]
    pub message: String,
    /// As whom it ran.
    #[serde(default)]
    pub run_as: RunAs,
    /// When.
    pub at: Timestamp,
}

/// An Xid (of a GPU) or SXid (of an NVSwitch) as the kernel's log had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XidTold {
    /// Whether an NVSwitch reported it.
    #[serde(default)]
    pub is_sxid: bool,
    /// The number.
    pub code: u32,
    /// The PCI address.
    pub pci: String,
    /// The process, where the log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What it is, from the catalogue.
    pub name: String,
    /// What to do, from the catalogue.
    pub action: String,
    /// How grave it is.
    pub severity: aami_model::finding::Severity,
    /// The line, without control characters, at most 500 characters.
    pub line: String,
    /// How many like this one were folded into this report.
    pub count: u64,
}

/// An exporter somebody else runs on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FoundExporter {
    /// What it seems to be.
    pub exporter: aami_model::exporter::ExporterKind,
    /// What it is called, e.g. `smartctl_exporter`: several are of the kind `custom`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where.
    pub port: u16,
}

/// Something to do, and until when it is worth doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its id; the node does each once, however often it comes.
    pub command_id: CommandId,
    /// What.
    #[serde(deserialize_with = "command")]
    pub command: NodeCommand,
    /// How long it may take, in seconds, from when it is taken.
    pub timeout_seconds: u32,
}

/// What is not known here, in whole or in part, is one unknown command: the node refuses it by its id and stays
/// connected.
fn command<'de, D: Deserializer<'de>>(from: D) -> Result<NodeCommand, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or(NodeCommand::Unknown))
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    /// Which.
    pub command_id: CommandId,
    /// Whether it was done.
    pub ok: bool,
    /// The code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// What it gave, at most [`LONGEST_OUTPUT`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// How a node is to behave. What is absent stays as the node's own files say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeConfig {
    /// Names this configuration; the node reports it back.
    pub revision: String,
    /// How often to send a heartbeat, in seconds: 5 to 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds: Option<u32>,
    /// How often resources go along, in seconds: 10 to 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources_seconds: Option<u32>,
    /// Whether to look for exporters that somebody else runs; where absent, it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discover: Option<bool>,
    /// The version the agent is pinned to: the one older release that it may be updated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_members_its_document_shows() {
        let ack = Down::ConnectionAck(ConnectionAck {
            status: "success".to_owned(),
            node_id: "n1".parse().expect("an id"),
            controller_id: "main".to_owned(),
            generation: 7,
            heartbeat_seconds: USUAL_HEARTBEAT,
            spread_seconds: 10,
            wants_inventory: true,
            received: 0,
            time: Timestamp::from_millis(0),
        });
        let text = serde_json::to_value(ack).expect("it is JSON");
        assert_eq!(text["type"], "connection_ack");
        assert_eq!(text["status"], "success");
        assert_eq!(text["nodeId"], "n1");
        assert_eq!(text["controllerId"], "main");
        let accepted = Up::Accepted {
            command_id: "c1".parse().expect("an id"),
        };
        let text = serde_json::to_value(accepted).expect("it is JSON");
        assert_eq!(text["commandId"], "c1");
    }

    #[test]
    fn a_command_that_is_not_known_whole_is_one_to_refuse() {
        let read = |command: &str| {
            let text =
                format!(r#"{{"type":"command","commandId":"c1","command":{command},"timeoutSeconds":60}}"#);
            match serde_json::from_str::<Down>(&text).expect("it is read") {
                Down::Command(order) => order.command,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            read(r#"{"kind":"run_checks","deep":true}"#),
            NodeCommand::RunChecks
        );
        for unknown in [
            r#"{"kind":"dance","steps":3}"#,
            r#"{"kind":"restart_exporter","exporter":"future_exporter"}"#,
            r#"{"kind":"update_agent"}"#,
            r#"{"kind":"unknown"}"#,
            "null",
            "[1]",
        ] {
            assert_eq!(read(unknown), NodeCommand::Unknown, "{unknown}");
        }
        // Who asks for one is not so free.
        for text in [
            r#"{"kind":"dance"}"#,
            r#"{"kind":"unknown"}"#,
            r#"{"kind":"Unknown"}"#,
        ] {
            assert!(serde_json::from_str::<NodeCommand>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_newer_side_says_is_not_an_error() {
        for text in [r#"{"type":"dance","steps":3}"#, r#"{"type":"hum"}"#] {
            assert_eq!(serde_json::from_str::<Up>(text).expect("it is read"), Up::Unknown);
            assert_eq!(
                serde_json::from_str::<Down>(text).expect("it is read"),
                Down::Unknown
            );
        }
    }
}
