//! What commands about alerts ask of a fleet and are told, whichever way it is kept.

use std::time::Duration;

use serde::Serialize;

use super::engines::Engine;

/// Presets that are to be watched.
pub(crate) struct PresetsWanted {
    /// Their names; each is one there is.
    pub(crate) presets: Vec<String>,
    /// The group whose nodes they are for; every node where there is none.
    pub(crate) group: Option<String>,
    /// Judge, and change nothing.
    pub(crate) dry: bool,
    /// How long whoever loads rules may take.
    pub(crate) within: Duration,
}

/// One alert that is wanted, or that fires though nobody wants it here.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AlertRow {
    /// Its name.
    pub(crate) alert: String,
    /// Where it stands: a file of rules, or the scope it is for.
    pub(crate) file: String,
    /// `not loaded`, `inactive`, `pending` or `firing`.
    pub(crate) state: &'static str,
    /// The nodes it is about now.
    pub(crate) nodes: Vec<String>,
    /// Why it cannot be evaluated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
}

/// How an alert stands, from the least to the gravest.
pub(crate) const STATES: [&str; 4] = ["not loaded", "inactive", "pending", "firing"];

impl AlertRow {
    /// One that no Prometheus has.
    pub(crate) fn not_loaded(alert: &str, file: &str) -> Self {
        Self {
            alert: alert.to_owned(),
            file: file.to_owned(),
            state: STATES[0],
            nodes: Vec::new(),
            error: String::new(),
        }
    }

    /// Several rules may have its name, and the gravest state counts. What is no state of an alert says nothing.
    pub(crate) fn is_at_least(&mut self, state: &str) {
        let gravity = |state: &str| STATES.iter().position(|known| *known == state);
        if gravity(state) > gravity(self.state) {
            self.state = gravity(state).map_or(self.state, |at| STATES[at]);
        }
    }

    /// Whether it fires, is about to, or cannot be evaluated.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, "pending" | "firing") || !self.error.is_empty()
    }
}

/// All alerts of a fleet.
pub(crate) struct Alerts {
    /// Each with how it stands.
    pub(crate) rows: Vec<AlertRow>,
    /// What an operator should know beside them.
    pub(crate) remarks: Vec<String>,
    /// Whether everything that is wanted is loaded and can be evaluated.
    pub(crate) is_whole: bool,
}

/// An Alertmanager that can be given an alert.
pub(crate) struct Alertmanager {
    /// Where it is.
    pub(crate) engine: Engine,
    /// The cluster its alerts are about.
    pub(crate) cluster: String,
    /// The ways of telling people that are known to be enabled, by Alertmanager's names for them.
    pub(crate) ways: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_state_counts_and_a_word_nobody_knows_does_not() {
        let mut row = AlertRow::not_loaded("A", "f");
        for (state, after) in [
            ("inactive", "inactive"),
            ("firing", "firing"),
            ("pending", "firing"),
            ("exploding", "firing"),
        ] {
            row.is_at_least(state);
            assert_eq!(row.state, after);
        }
    }
}
