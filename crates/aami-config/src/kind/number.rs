//! Numbers, durations, ports, yes and no.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Kind, or_variables, scalar};
use crate::duration::PromDuration;
use crate::read::{Path, Reader};
use crate::tree::Node;

/// A whole number.
pub(crate) struct Number {
    least: u32,
    most: u32,
}

impl Number {
    pub(crate) const fn between(least: u32, most: u32) -> Self {
        Self { least, most }
    }
}

impl Kind for Number {
    type Out = u32;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<u32> {
        scalar(node, path, reader, &self.words(), |text| {
            text.parse().ok().filter(|n| (self.least..=self.most).contains(n))
        })
    }

    fn schema(&self) -> Value {
        or_variables(json!({"type": "integer", "minimum": self.least, "maximum": self.most}))
    }

    fn words(&self) -> String {
        format!("a whole number, {} to {}", self.least, self.most)
    }
}

/// A TCP port.
pub(crate) struct Port;

impl Kind for Port {
    type Out = u16;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<u16> {
        scalar(node, path, reader, &self.words(), |text| {
            text.parse().ok().filter(|port| *port > 0)
        })
    }

    fn schema(&self) -> Value {
        or_variables(json!({"type": "integer", "minimum": 1, "maximum": 65_535}))
    }

    fn words(&self) -> String {
        "a port, 1 to 65535".to_owned()
    }
}

/// `true` or `false`.
pub(crate) struct Bool;

impl Kind for Bool {
    type Out = bool;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<bool> {
        scalar(node, path, reader, &self.words(), |text| match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
    }

    fn schema(&self) -> Value {
        or_variables(json!({"type": "boolean"}))
    }

    fn words(&self) -> String {
        "`true` or `false`".to_owned()
    }
}

/// Seconds as a number, or a duration.
pub(crate) struct Seconds {
    least: u64,
    most: u64,
}

impl Seconds {
    pub(crate) const fn between(least: u64, most: u64) -> Self {
        Self { least, most }
    }
}

impl Kind for Seconds {
    type Out = Duration;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
        scalar(node, path, reader, &self.words(), |text| {
            let duration = match text.parse::<u64>() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => text.parse::<PromDuration>().ok()?.duration(),
            };
            let (least, most) = (Duration::from_secs(self.least), Duration::from_secs(self.most));
            (least..=most).contains(&duration).then_some(duration)
        })
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [
            {"type": "integer", "minimum": self.least, "maximum": self.most},
            {"type": "string"},
        ]})
    }

    fn words(&self) -> String {
        format!(
            "seconds, {} to {}, or a duration such as `1m30s`",
            self.least, self.most
        )
    }
}

/// A duration as Prometheus writes it.
pub(crate) struct Prom {
    least: &'static str,
    most: &'static str,
}

impl Prom {
    pub(crate) const fn between(least: &'static str, most: &'static str) -> Self {
        Self { least, most }
    }
}

impl Kind for Prom {
    type Out = PromDuration;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<PromDuration> {
        let bound = |text: &str| text.parse::<PromDuration>().map(|read| read.duration()).ok();
        scalar(node, path, reader, &self.words(), |text| {
            let read: PromDuration = text.parse().ok()?;
            let within = bound(self.least)? <= read.duration() && read.duration() <= bound(self.most)?;
            within.then_some(read)
        })
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }

    fn words(&self) -> String {
        format!(
            "a duration such as `15d` or `1h30m`, {} to {}",
            self.least, self.most
        )
    }
}
