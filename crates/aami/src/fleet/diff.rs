//! What is declared against what is applied: nodes, lists of targets, what Prometheus, Alertmanager and Grafana are told on
//! the disk, and the rules that Prometheus has.
//!
//! A fleet says what differs ([`Differences`]); what is compared differs from fleet to fleet, the form does not. Nothing is
//! changed. `text` compares files; no secret gets into what it shows.

mod masked;
mod text;

use aami_model::{Code, Exit};
use serde::Serialize;

pub(crate) use text::{Compared, compared};

/// What something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Nodes.
    Nodes,
    /// What Prometheus is told to scrape.
    Targets,
    /// Rules.
    Rules,
    /// Prometheus' configuration.
    Prometheus,
    /// Alertmanager's configuration.
    Alertmanager,
    /// What Grafana is provisioned with.
    Grafana,
    /// Agents on nodes.
    Agents,
}

impl Part {
    /// One word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Targets => "targets",
            Self::Rules => "rules",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::Agents => "agents",
        }
    }
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Declared, and not there.
    Missing,
    /// There, and no longer declared.
    Extra,
    /// There, and otherwise than declared.
    Changed,
    /// In its place, and whoever reads it has not taken it over.
    NotLoaded,
    /// Nobody can say: it could not be looked at.
    Unknown,
}

impl Kind {
    /// A few words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "no longer declared",
            Self::Changed => "changed",
            Self::NotLoaded => "not loaded",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// What it belongs to.
    pub(crate) part: Part,
    /// How it differs.
    pub(crate) kind: Kind,
    /// Which: a file, nodes in nodeset notation, a name.
    pub(crate) what: String,
    /// One sentence.
    pub(crate) sentence: String,
    /// The condition, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// From what is there to what is declared, as a unified diff, secrets hidden; where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diff: Option<String>,
}

impl Difference {
    pub(crate) fn new(part: Part, kind: Kind, what: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            part,
            kind,
            what: what.into(),
            sentence: sentence.into(),
            code: None,
            next: None,
            diff: None,
        }
    }

    pub(crate) const fn coded(mut self, code: Code) -> Self {
        self.code = Some(code.symbol);
        self
    }

    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }
}

/// Everything that differs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Differences {
    /// Whose.
    pub(crate) fleet: String,
    /// Whether nothing does.
    pub(crate) same: bool,
    /// How many things were compared, those that are alike among them.
    pub(crate) compared: usize,
    /// What differs.
    pub(crate) differences: Vec<Difference>,
}

impl Differences {
    /// What came of comparing so many things.
    pub(crate) fn of(fleet: String, compared: usize, mut differences: Vec<Difference>) -> Self {
        differences.sort_by_key(|one| one.part);
        Self {
            fleet,
            same: differences.is_empty(),
            compared,
            differences,
        }
    }

    /// How the command ends.
    pub(crate) const fn exit(&self) -> Exit {
        if self.same { Exit::Ok } else { Exit::NotHealthy }
    }
}
