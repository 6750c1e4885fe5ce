//! What is kept from one round to the next.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use aami_api::check::NodeCheck;
use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::CheckRoundError;
use super::render::replace;
use super::report::Report;

/// The file; kept private, since definitions may be.
const FILE: &str = "checks.json";
/// No file is longer: an organisation's scripts and their results.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a check found when it last ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What it said.
    pub report: Report,
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

/// Everything kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// What each check found last, by name.
    pub checks: BTreeMap<String, Seen>,
    /// What the control plane said is meant for this node.
    pub definitions: Vec<NodeCheck>,
    /// The name of that set.
    pub set: Option<String>,
    /// When the control plane last said so.
    pub fetched_at: Option<Timestamp>,
}

impl Remembered {
    /// What each check found last, by name; nothing where no round has run. The definitions, which may be long, are
    /// passed over.
    pub fn results(folder: &Path) -> BTreeMap<String, Seen> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Results {
            checks: BTreeMap<String, Seen>,
        }
        let Ok(file) = File::open(folder.join(FILE)) else {
            return BTreeMap::new();
        };
        let read = serde_json::from_reader(BufReader::new(file.take(LONGEST)));
        read.map(|results: Results| results.checks).unwrap_or_default()
    }

    /// Reads it. What cannot be read is forgotten: it can be had again.
    pub(super) fn read(folder: &Path) -> Self {
        let mut text = String::new();
        let read =
            File::open(folder.join(FILE)).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.ok()
            .and_then(|_| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), CheckRoundError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        replace(&folder.join(FILE), &text, 0o600)
    }
}
