//! An event as others are told of it: `type`, `timestamp` and `data`, camelCase, and the sentence people read.
//!
//! Stored events carry `snake_case` data with whatever their teller knew. Of the eight types about a node exactly the
//! documented members go out; of every other type all members do, with the id of what it is about and its owner.
//!
//! What a node's event may carry in store, in `snake_case` or camelCase: `hostname`, `status`, `owner: {user_id}`,
//! `ip_address`, `gpu_devices: [{model, memory_total}]`, `disconnect_reason`, `last_seen_at`, `reason`, `until`, and
//! `error: {code, message, details}`. What is missing is said as empty or left out, never invented.

use aami_model::event::Event;
use aami_model::node_status::NodeEvent;
use aami_model::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The member of a stored event's data that says that another control plane told it.
pub const ORIGIN: &str = "origin";

/// What a receiver is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notice {
    /// What happened, e.g. `node.connected`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub timestamp: Timestamp,
    /// The details, camelCase.
    pub data: Value,
}

/// A notice with the words for people beside it, for receivers that show it as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worded<'a> {
    /// The notice.
    #[serde(flatten)]
    pub notice: &'a Notice,
    /// A few words.
    pub title: String,
    /// One sentence.
    pub text: String,
}

impl Notice {
    /// What is told of a stored event. One that came from another control plane is passed on as it came.
    pub fn of(event: &Event) -> Self {
        if let Some(told) = event.data.get(ORIGIN).and_then(|origin| origin.get("notice"))
            && let Ok(notice) = Self::deserialize(told)
        {
            return notice;
        }
        let data = match node_event(&event.kind) {
            Some(kind) => node(kind, event),
            None => other(event),
        };
        Self {
            kind: event.kind.clone(),
            timestamp: event.at,
            data,
        }
    }

    /// A few words, e.g. `Node online`.
    pub fn title(&self) -> String {
        match node_event(&self.kind) {
            Some(NodeEvent::Registered) => "Node registered".to_owned(),
            Some(NodeEvent::InstallationStarted) => "Node installation started".to_owned(),
            Some(NodeEvent::Connected) => "Node online".to_owned(),
            Some(NodeEvent::InstallationFailed) => "Node installation failed".to_owned(),
            Some(NodeEvent::Disconnected) => "Node offline".to_owned(),
            Some(NodeEvent::MaintenanceMode) => "Node in maintenance".to_owned(),
            Some(NodeEvent::Resumed) => "Node resumed".to_owned(),
            Some(NodeEvent::Decommissioned) => "Node decommissioned".to_owned(),
            None => words(&self.kind.replace('.', " ")),
        }
    }

    /// One sentence for people, e.g. `Node gpu-worker-01 is now online`.
    pub fn text(&self) -> String {
        let name = self.text_of("/nodeName");
        let because = |member: &str| match self.text_of(member).as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        match node_event(&self.kind) {
            Some(NodeEvent::Registered) => format!("Node {name} was registered"),
            Some(NodeEvent::InstallationStarted) => format!("Installation of node {name} started"),
            Some(NodeEvent::Connected) => format!("Node {name} is now online"),
            Some(NodeEvent::InstallationFailed) => {
                format!(
                    "Node installation failed: {}",
                    words(&self.text_of("/error/code").to_lowercase())
                )
            }
            Some(NodeEvent::Disconnected) => format!("Node {name} went offline"),
            Some(NodeEvent::MaintenanceMode) => {
                format!("Node {name} is in maintenance{}", because("/reason"))
            }
            Some(NodeEvent::Resumed) => format!("Node {name} is back from maintenance"),
            Some(NodeEvent::Decommissioned) => format!("Node {name} was decommissioned"),
            None => self.other_text(),
        }
    }

    fn other_text(&self) -> String {
        let (noun, verb) = self.kind.split_once('.').unwrap_or((&self.kind, ""));
        if noun == "finding" {
            let summary = self.text_of("/summary");
            let node = self.text_of("/nodeName");
            if !summary.is_empty() {
                return if node.is_empty() {
                    summary
                } else {
                    format!("{node}: {summary}")
                };
            }
        }
        let named = ["/name", "/hostname", "/plan", "/subjectId"]
            .iter()
            .map(|member| self.text_of(member))
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        let reason = ["/error/message", "/error", "/reason"]
            .iter()
            .map(|member| self.text_of(member))
            .find(|text| !text.is_empty())
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let sentence = format!("{} {named}: {}{reason}", words(noun), verb.replace('_', " "));
        sentence
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(" :", ":")
    }

    fn text_of(&self, pointer: &str) -> String {
        self.data
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// With the words beside it.
    pub fn worded(&self) -> Worded<'_> {
        Worded {
            notice: self,
            title: self.title(),
            text: self.text(),
        }
    }
}

fn node_event(kind: &str) -> Option<NodeEvent> {
    NodeEvent::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(
        kind,
    ))
    .ok()
}

/// `checksum_mismatch` as people write it: `Checksum mismatch`.
fn words(text: &str) -> String {
    let text = text.replace('_', " ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

/// Whose it is. `userId` is always there, `null` where nobody in particular owns it.
fn owner(org: &OrgId, data: &Value) -> Value {
    let user = data
        .pointer("/owner/userId")
        .or_else(|| data.get("userId"))
        .filter(|user| user.is_string())
        .cloned();
    json!({ "orgId": org, "userId": user })
}

fn node(kind: NodeEvent, event: &Event) -> Value {
    let data = &camel(&event.data);
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| {
        told.insert(name.to_owned(), value);
    };
    let id = event.subject.rsplit(':').next().unwrap_or_default();
    tell("nodeId", json!(id));
    tell(
        "nodeName",
        data.get("hostname")
            .or_else(|| data.get("nodeName"))
            .cloned()
            .unwrap_or_else(|| json!("")),
    );
    // Several events of one change carry the status it ended with; each tells the one it led to.
    let status = match kind {
        NodeEvent::InstallationStarted => Some(json!("installing")),
        NodeEvent::Connected => Some(json!("online")),
        NodeEvent::Disconnected => Some(json!("offline")),
        NodeEvent::MaintenanceMode => Some(json!("maintenance")),
        NodeEvent::Decommissioned => Some(json!("inactive")),
        NodeEvent::InstallationFailed => None,
        NodeEvent::Registered | NodeEvent::Resumed => data.get("status").cloned(),
    };
    if let Some(status) = status {
        tell("status", status);
    }
    match kind {
        NodeEvent::Connected => {
            tell("ipAddress", data.get("ipAddress").cloned().unwrap_or(Value::Null));
            tell("gpuDevices", gpus(data));
        }
        NodeEvent::Disconnected => {
            let reason = data.get("disconnectReason").filter(|reason| reason.is_string());
            tell(
                "disconnectReason",
                reason.cloned().unwrap_or_else(|| json!("heartbeat_timeout")),
            );
            let seen = data.get("lastSeenAt").filter(|seen| seen.is_string());
            tell("lastSeenAt", seen.cloned().unwrap_or(Value::Null));
        }
        NodeEvent::InstallationFailed => tell("error", failure(data)),
        NodeEvent::MaintenanceMode => {
            for name in ["reason", "until"] {
                if let Some(value) = data.get(name).filter(|value| value.is_string()) {
                    tell(name, value.clone());
                }
            }
        }
        NodeEvent::Registered
        | NodeEvent::InstallationStarted
        | NodeEvent::Resumed
        | NodeEvent::Decommissioned => {}
    }
    tell("owner", owner(&event.org, data));
    Value::Object(told)
}

fn gpus(data: &Value) -> Value {
    let devices = data.get("gpuDevices").and_then(Value::as_array);
    let told = devices.into_iter().flatten().map(|device| {
        let member = |name: &str| device.get(name).cloned().unwrap_or(Value::Null);
        json!({ "model": member("model"), "memoryTotal": member("memoryTotal") })
    });
    Value::Array(told.collect())
}

fn failure(data: &Value) -> Value {
    let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let details = data
        .pointer("/error/details")
        .filter(|details| details.is_object());
    json!({
        "code": text("/error/code").unwrap_or_else(|| "INSTALLATION_FAILED".to_owned()),
        "message": text("/error/message").or_else(|| text("/reason")).unwrap_or_default(),
        "details": details.cloned().unwrap_or_else(|| json!({})),
    })
}

/// Every other type: all members, the id of what it is about under its own name, and its owner.
fn other(event: &Event) -> Value {
    let mut told = match camel(&event.data) {
        Value::Object(members) => members,
        Value::Null => Map::new(),
        value => Map::from_iter([("value".to_owned(), value)]),
    };
    if let Some((noun, id)) = event.subject.split_once(':') {
        told.entry(format!("{noun}Id")).or_insert_with(|| json!(id));
    }
    let owner = owner(&event.org, &Value::Object(told.clone()));
    told.insert("owner".to_owned(), owner);
    Value::Object(told)
}

/// The same with the names of its members in camelCase, however deep.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let renamed = members
                .iter()
                .map(|(name, value)| (camel_name(name), camel(value)));
            Value::Object(renamed.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(camel).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn camel_name(name: &str) -> String {
    let mut parts = name.split('_').filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or(name).to_owned();
    parts.fold(first, |name, part| {
        let mut letters = part.chars();
        let head: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        name + &head + letters.as_str()
    })
}

#[cfg(test)]
mod tests;
