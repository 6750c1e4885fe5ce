//! What a check says: a document of JSON, or an exit status as Nagios' plug-ins have it. Either is hostile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// At most this many values of one check become metrics.
const MOST_VALUES: usize = 256;
/// At most this many labels a value has.
const MOST_LABELS: usize = 8;
/// The longest name of a value or label, and the longest value of a label.
const LONGEST: usize = 128;
/// The longest message that is kept.
const LONGEST_MESSAGE: usize = 300;

/// How a check found things. The number is the metric's, and the exit status of a script that prints no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Well.
    Ok = 0,
    /// Worth a look.
    Warning = 1,
    /// Broken.
    Critical = 2,
    /// It could not be told.
    Unknown = 3,
}

impl Status {
    /// The name in JSON and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    fn of_number(number: i64) -> Option<Self> {
        [Self::Ok, Self::Warning, Self::Critical, Self::Unknown]
            .into_iter()
            .find(|status| *status as i64 == number)
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Ok, Self::Warning, Self::Critical, Self::Unknown]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was measured.
    pub name: String,
    /// Of what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How much.
    pub value: f64,
}

/// What one run of a check came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it found things.
    pub status: Status,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Measured>,
}

impl Report {
    /// A report without values.
    pub fn new(status: Status, message: impl AsRef<str>) -> Self {
        Self {
            status,
            message: line(message.as_ref(), LONGEST_MESSAGE),
            values: Vec::new(),
        }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, name: &str, labels: &[(&str, &str)], value: f64) -> Self {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), line(value, LONGEST)));
        self.values.push(Measured {
            name: name.to_owned(),
            labels: labels.collect(),
            value,
        });
        self
    }

    /// Reads what a check wrote. `exit` is its exit status, where it has one.
    pub(super) fn read(exit: Option<i32>, stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let text = text.trim();
        let Some(exit) = exit else {
            return Self::new(Status::Unknown, "a signal ended it");
        };
        if !text.starts_with('{') {
            return match Status::of_number(i64::from(exit)) {
                Some(status) => Self::new(status, text.lines().next().unwrap_or_default()),
                None => Self::new(Status::Unknown, format!("it ended with exit status {exit}")),
            };
        }
        match serde_json::from_str::<Value>(text) {
            Ok(document) => Self::of(&document).unwrap_or_else(|why| {
                Self::new(Status::Unknown, format!("what it printed is not a report: {why}"))
            }),
            Err(error) => Self::new(Status::Unknown, format!("what it printed is not JSON: {error}")),
        }
    }

    fn of(document: &Value) -> Result<Self, String> {
        let status = match document.get("status") {
            Some(Value::String(name)) => Status::of_name(name),
            Some(Value::Number(number)) => number.as_i64().and_then(Status::of_number),
            _ => None,
        };
        let status = status.ok_or("its status is none of ok, warning, critical, unknown")?;
        let message = document
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut report = Self::new(status, message);
        match document.get("values") {
            None | Some(Value::Null) => {}
            Some(Value::Object(values)) => {
                for (name, value) in values {
                    report.take(name, None, value)?;
                }
            }
            Some(Value::Array(values)) => {
                for value in values {
                    let name = value
                        .get("name")
                        .and_then(Value::as_str)
                        .ok_or("a value has no name")?;
                    let number = value
                        .get("value")
                        .ok_or_else(|| format!("{name:.60} has no value"))?;
                    report.take(name, value.get("labels"), number)?;
                }
            }
            Some(_) => return Err("its values are neither a list nor an object".to_owned()),
        }
        Ok(report)
    }

    fn take(&mut self, name: &str, labels: Option<&Value>, value: &Value) -> Result<(), String> {
        if !is_name(name) {
            return Err(format!("{:?} is no name of a value", line(name, 60)));
        }
        let value = match value {
            Value::Number(number) => number.as_f64(),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        };
        let value = value
            .filter(|value| value.is_finite())
            .ok_or_else(|| format!("the value {name} is no finite number"))?;
        let mut kept = BTreeMap::new();
        match labels {
            None | Some(Value::Null) => {}
            Some(Value::Object(labels)) if labels.len() <= MOST_LABELS => {
                for (label, text) in labels {
                    let text = text
                        .as_str()
                        .ok_or_else(|| format!("a label of {name} is no text"))?;
                    if !is_name(label) || ["check", "name", "exported_name"].contains(&label.as_str()) {
                        return Err(format!("{:?} is no label of a value", line(label, 60)));
                    }
                    kept.insert(label.clone(), line(text, LONGEST));
                }
            }
            Some(_) => {
                return Err(format!(
                    "the labels of {name} are not at most {MOST_LABELS} texts"
                ));
            }
        }
        let same = |known: &Measured| known.name == name && known.labels == kept;
        // node_exporter drops a file in which a series stands twice, and with it every other check. Two long names
        // are the same once they are cut; the first stands for both. What is more than the most is left out: how
        // the check found things counts for more than its numbers.
        if self.values.len() >= MOST_VALUES || self.values.iter().any(same) {
            return Ok(());
        }
        self.values.push(Measured {
            name: name.to_owned(),
            labels: kept,
            value,
        });
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.starts_with("__")
}

/// One line of at most `most` characters, without what a terminal would obey.
fn line(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(most).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_becomes_a_report() {
        let text = br#"{"status":"warning","message":"hot","values":[
            {"name":"temperature_celsius","labels":{"device":"nvme0"},"value":71.5},
            {"name":"spare","value":true}]}"#;
        let report = Report::read(Some(0), text);
        assert_eq!(report.status, Status::Warning);
        assert_eq!(report.values[0].labels["device"], "nvme0");
        assert!((report.values[1].value - 1.0).abs() < f64::EPSILON);
        let short = Report::read(Some(0), br#"{"status":0,"values":{"free":3}}"#);
        assert_eq!((short.status, short.values.len()), (Status::Ok, 1));
    }

    #[test]
    fn an_exit_status_is_enough() {
        assert_eq!(Report::read(Some(2), b"disk gone\nmore").message, "disk gone");
        assert_eq!(Report::read(Some(2), b"").status, Status::Critical);
        assert_eq!(
            Report::read(Some(127), b"sh: no such file").status,
            Status::Unknown
        );
        assert_eq!(Report::read(None, b"").status, Status::Unknown);
    }

    #[test]
    fn what_is_no_report_is_said_and_gives_no_values() {
        for hostile in [
            r#"{"status":"fine"}"#,
            r#"{"status":"ok","values":{"a b":1}}"#,
            r#"{"status":"ok","values":{"a":"1"}}"#,
            r#"{"status":"ok","values":{"a":1e999}}"#,
            r#"{"status":"ok","values":[{"name":"a","labels":{"check":"other"},"value":1}]}"#,
            r#"{"status":"ok","values":[{"name":"a","labels":{"x":["y"]},"value":1}]}"#,
            r#"{"status":"ok"} trailing"#,
            r#"{"status":"#,
        ] {
            let report = Report::read(Some(0), hostile.as_bytes());
            assert_eq!(report.status, Status::Unknown, "{hostile}");
            assert!(
                report.values.is_empty() && !report.message.is_empty(),
                "{hostile}"
            );
        }
    }

    #[test]
    fn values_that_are_too_many_or_stand_twice_are_left_out_and_the_status_stays() {
        let many: Vec<String> = (0..300).map(|n| format!("\"v{n}\":{n}")).collect();
        let text = format!(
            "{{\"status\":\"critical\",\"message\":\"disk gone\",\"values\":{{{}}}}}",
            many.join(",")
        );
        let report = Report::read(Some(0), text.as_bytes());
        assert_eq!(
            (report.status, report.message.as_str()),
            (Status::Critical, "disk gone")
        );
        assert_eq!(report.values.len(), MOST_VALUES);

        // Two mount points that share their first characters.
        let place = "x".repeat(LONGEST);
        let text = format!(
            r#"{{"status":"warning","values":[{{"name":"a","labels":{{"mount":"{place}1"}},"value":1}},
                {{"name":"a","labels":{{"mount":"{place}2"}},"value":2}},{{"name":"b","value":3}}]}}"#
        );
        let report = Report::read(Some(0), text.as_bytes());
        assert_eq!(report.status, Status::Warning, "{}", report.message);
        let values: Vec<f64> = report.values.iter().map(|value| value.value).collect();
        assert_eq!(values, [1.0, 3.0]);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\{.{0,200}\\}") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let report = Report::read(Some(0), input);
                prop_assert!(report.message.chars().count() <= LONGEST_MESSAGE);
                prop_assert!(!report.message.chars().any(char::is_control));
            }
        }
    }
}
