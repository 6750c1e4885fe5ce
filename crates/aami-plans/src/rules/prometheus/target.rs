//! The targets of a Prometheus, of which only those that are asked for are kept: there may be hundreds of thousands.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Engine, EngineError, READING, silent};

/// How much of the list is read: a target is about a kilobyte of it, and none of it stays unless it is asked for.
const LONGEST: u64 = 1024 * 1024 * 1024;
/// How many of those that are asked for are kept.
const MOST: usize = 1_000;

/// A target as Prometheus shows it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadedTarget {
    /// What discovery said of it.
    pub discovered_labels: BTreeMap<String, String>,
    /// Its labels; none where it is dropped.
    pub labels: BTreeMap<String, String>,
    /// What is fetched.
    pub scrape_url: String,
    /// What went wrong when it was last scraped.
    pub last_error: String,
    /// How long that took, in seconds.
    pub last_scrape_duration: f64,
    /// `up`, `down` or `unknown`; nothing where it is dropped.
    pub health: String,
}

impl LoadedTarget {
    /// `host:port`, as discovery named it.
    pub fn address(&self) -> &str {
        self.discovered_labels
            .get("__address__")
            .map_or("", String::as_str)
    }

    /// The value of a label; empty where it has none of this name.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Those that were asked for.
#[derive(Debug, Default)]
pub struct Targets {
    /// It scrapes them.
    pub active: Vec<LoadedTarget>,
    /// It found them, and its configuration drops them.
    pub dropped: Vec<LoadedTarget>,
}

impl Engine {
    /// The targets of a Prometheus that `keep` keeps.
    pub fn targets(&self, keep: &dyn Fn(&LoadedTarget) -> bool) -> Result<Targets, EngineError> {
        let url = format!("{}/api/v1/targets", self.base);
        let request = self.agent.get(&url).config().timeout_global(Some(READING));
        let answer = request.build().call().map_err(|error| silent(&url, &error))?;
        if !answer.status().is_success() {
            return Err(EngineError::Refused {
                url,
                status: answer.status().as_u16(),
                text: String::new(),
            });
        }
        let body = answer.into_body().into_reader().take(LONGEST);
        let mut found = Targets::default();
        serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(64 * 1024, body))
            .deserialize_map(Whole {
                keep,
                found: &mut found,
            })
            .map_err(|error| EngineError::Strange {
                url,
                why: error.to_string(),
            })?;
        Ok(found)
    }
}

/// The whole answer.
struct Whole<'a> {
    keep: &'a dyn Fn(&LoadedTarget) -> bool,
    found: &'a mut Targets,
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of Prometheus")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_data = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "data" {
                has_data = true;
                map.next_value_seed(Data {
                    keep: self.keep,
                    found: self.found,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if has_data {
            Ok(())
        } else {
            Err(serde::de::Error::missing_field("data"))
        }
    }
}

/// What is below `data`.
struct Data<'a> {
    keep: &'a dyn Fn(&LoadedTarget) -> bool,
    found: &'a mut Targets,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of targets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let into = match key.as_str() {
                "activeTargets" => &mut self.found.active,
                "droppedTargets" => &mut self.found.dropped,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(List {
                keep: self.keep,
                into,
            })?;
        }
        Ok(())
    }
}

/// One list.
struct List<'a> {
    keep: &'a dyn Fn(&LoadedTarget) -> bool,
    into: &'a mut Vec<LoadedTarget>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of targets")
    }

    /// Some versions say `null` for none.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(target) = list.next_element::<LoadedTarget>()? {
            if self.into.len() < MOST && (self.keep)(&target) {
                self.into.push(target);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Targets, serde_json::Error> {
        let mut found = Targets::default();
        let keep = |target: &LoadedTarget| target.address().starts_with("10.0.0.1:");
        serde_json::Deserializer::from_str(text).deserialize_map(Whole {
            keep: &keep,
            found: &mut found,
        })?;
        Ok(found)
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let target = |address: &str| {
            format!(
                r#"{{"discoveredLabels":{{"__address__":"{address}"}},"labels":{{"node":"a"}},"health":"up","new":[1]}}"#
            )
        };
        let text = format!(
            r#"{{"status":"success","data":{{"activeTargets":[{},{}],"droppedTargets":null,"droppedTargetCounts":{{}}}}}}"#,
            target("10.0.0.1:9100"),
            target("10.0.0.2:9100")
        );
        let found = read(&text).unwrap();
        assert_eq!((found.active.len(), found.dropped.len()), (1, 0));
        assert_eq!(found.active[0].label("node"), "a");
    }

    #[test]
    fn what_is_no_answer_of_prometheus_is_refused() {
        for text in ["[]", "{}", r#"{"data":3}"#, r#"{"data":{"activeTargets":3}}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
