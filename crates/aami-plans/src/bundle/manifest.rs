//! What a bundle says is in it. Read strictly: a manifest is somebody's input until its last rule holds.

use std::collections::BTreeSet;

use aami_inventory::Arch;
use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::tape;
use crate::components::Sha256Sum;
use crate::release::is_plain;

/// The manifest's own name in the archive.
pub const MANIFEST: &str = "manifest.json";
/// Its signature's.
pub const SIGNATURE: &str = "manifest.json.minisig";
/// The form of manifest that is written and read.
const FORMAT: u32 = 1;
/// The largest manifest, in bytes.
pub(super) const LARGEST_MANIFEST: u64 = 1024 * 1024;
/// The largest entry, in bytes.
const LARGEST_ENTRY: u64 = 1024 * 1024 * 1024;
/// The most all entries may be together, in bytes.
const LARGEST_TOTAL: u64 = 16 * 1024 * 1024 * 1024;
/// The most entries.
const MOST_ENTRIES: usize = 2_000;
/// The longest text about an entry, in characters.
const LONGEST_TEXT: usize = 2_048;
/// When entries were made where nobody says when: 1980-01-01, as tools for reproducible archives have it.
const NO_TIME: u64 = 315_532_800;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this document.
    pub format: u32,
    /// The version of AAMI it installs.
    pub version: String,
    /// When it was made, where somebody said so: the same content makes the same bundle at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The processors it is for.
    pub architectures: BTreeSet<Arch>,
    /// Everything behind the manifest, by path.
    pub entries: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it lies, below the bundle's folder.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256Sum,
    /// What it is.
    pub kind: Kind,
    /// What it is called, e.g. `prometheus`.
    pub name: String,
    /// As its maker counts.
    pub version: String,
    /// The processor it is for; none where any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// SPDX expression.
    pub license: String,
    /// Where it came from.
    pub source: String,
}

/// What an entry is, which decides where it may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One of AAMI's own programs: `ARCH/NAME`.
    Program,
    /// A component as its publisher packs it: `components/ARCH/FILE`.
    Component,
    /// The catalogue of the components: `components/components.toml`.
    Catalogue,
    /// A dashboard of Grafana: `dashboards/NAME.json`.
    Dashboard,
    /// Rules of Prometheus: `rules/NAME.yaml`.
    Rules,
    /// What is run after unpacking: `install.sh`.
    Script,
}

impl Kind {
    /// As in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Component => "component",
            Self::Catalogue => "catalogue",
            Self::Dashboard => "dashboard",
            Self::Rules => "rules",
            Self::Script => "script",
        }
    }

    const fn is_run(self) -> bool {
        matches!(self, Self::Program | Self::Script)
    }
}

impl Entry {
    /// The mode it is placed with: it follows from what it is, no archive chooses it.
    pub const fn mode(&self) -> u32 {
        if self.kind.is_run() { 0o755 } else { 0o644 }
    }

    /// Whether it lies where its kind belongs.
    fn is_in_its_place(&self) -> bool {
        let arch = self.arch.map(Arch::name).unwrap_or_default();
        let parts: Vec<&str> = self.path.split('/').collect();
        match (self.kind, parts.as_slice()) {
            (Kind::Program, [folder, name]) => *folder == arch && *name == self.name,
            (Kind::Component, ["components", folder, _]) => *folder == arch,
            (Kind::Catalogue, ["components", "components.toml"]) => self.arch.is_none(),
            (Kind::Dashboard, ["dashboards", file]) => self.arch.is_none() && file.ends_with(".json"),
            (Kind::Rules, ["rules", file]) => self.arch.is_none() && file.ends_with(".yaml"),
            (Kind::Script, ["install.sh"]) => self.arch.is_none(),
            _ => false,
        }
    }
}

impl Manifest {
    /// A manifest of these, in order.
    pub(super) fn of(
        version: &str,
        created: Option<Timestamp>,
        architectures: BTreeSet<Arch>,
        mut entries: Vec<Entry>,
    ) -> Result<Self, String> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self {
            format: FORMAT,
            version: version.to_owned(),
            created,
            architectures,
            entries,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads one; the error says what is wrong.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let wrong = |error: serde_json::Error| format!("its manifest cannot be read: {error}");
        let form: Form = serde_json::from_slice(text).map_err(wrong)?;
        if form.format != FORMAT {
            return Err(format!(
                "its manifest has format {}, and this program reads format {FORMAT}",
                form.format
            ));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(wrong)?;
        manifest
            .check()
            .map_err(|why| format!("its manifest cannot be used: {why}"))?;
        Ok(manifest)
    }

    /// Its text, the same for the same content.
    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// The bytes of all entries.
    pub fn total(&self) -> u64 {
        // Every entry is bounded, and so is their number.
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The time all entries of the archive carry.
    pub(super) fn time(&self) -> u64 {
        let seconds = self.created.map(|created| created.millis() / 1000);
        seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or(NO_TIME)
    }

    /// `amd64 and arm64`.
    pub fn architecture_names(&self) -> String {
        let names: Vec<&str> = self.architectures.iter().map(|arch| arch.name()).collect();
        names.join(" and ")
    }

    fn check(&self) -> Result<(), String> {
        if !is_plain(&self.version) || self.version.contains('/') || self.version.len() > 64 {
            return Err("its version is not a plain word".to_owned());
        }
        if self.architectures.is_empty() || self.entries.is_empty() {
            return Err("it names nothing".to_owned());
        }
        if self.entries.len() > MOST_ENTRIES {
            return Err(format!("it names more than {MOST_ENTRIES} entries"));
        }
        let mut total = 0_u64;
        let mut before: Option<&str> = None;
        for entry in &self.entries {
            let shown = tape::shown(entry.path.as_bytes());
            let wrong = |why: &str| Err(format!("{shown}: {why}"));
            if !is_plain(&entry.path) || [MANIFEST, SIGNATURE].contains(&entry.path.as_str()) {
                return wrong("its path is not a plain one below the bundle's folder");
            }
            if !entry.is_in_its_place() {
                return wrong("a file of its kind does not lie there");
            }
            match before {
                Some(before) if before == entry.path => return wrong("it stands in the manifest twice"),
                Some(before) if before > entry.path.as_str() => return wrong("it stands out of order"),
                _ => before = Some(&entry.path),
            }
            if entry.arch.is_some_and(|arch| !self.architectures.contains(&arch)) {
                return wrong("it is for a processor that the bundle is not for");
            }
            if entry.size > LARGEST_ENTRY {
                return wrong("it is larger than 1 GiB");
            }
            total = total.saturating_add(entry.size);
            let texts = [&entry.name, &entry.version, &entry.license, &entry.source];
            let is_told = |text: &&String| {
                (1..=LONGEST_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
            };
            if !texts.iter().all(is_told) {
                return wrong("what it says about itself is not a short line");
            }
            if tape::header(&entry.path, entry.size, entry.mode(), self.time()).is_err() {
                return wrong("its path is too long");
            }
        }
        if total > LARGEST_TOTAL {
            return Err("all of it is larger than 16 GiB".to_owned());
        }
        Ok(())
    }
}
