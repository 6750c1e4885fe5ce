//! An operator's own rules: judged here, without a Prometheus, so that what is handed on can be loaded.

use std::collections::BTreeMap;

use aami_model::finding::Severity;

/// A rule as it stands in a configuration, not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// The alert's name.
    pub name: String,
    /// What is evaluated (PromQL).
    pub expr: String,
    /// How long it must hold, a Prometheus duration.
    pub lasting: String,
    /// How grave it is.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: Option<String>,
    /// More words for people.
    pub description: Option<String>,
    /// A page that says what to do.
    pub runbook_url: Option<String>,
    /// Labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// Other annotations.
    pub annotations: BTreeMap<String, String>,
}
