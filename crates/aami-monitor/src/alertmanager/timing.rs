//! How soon each gravity is told, and what goes into one message.

use aami_model::finding::Severity;

use super::{TEST_ALERT, TEST_LABEL};

/// The receiver that tells nobody.
pub(super) const NOBODY: &str = "nobody";
/// The receiver of test alerts.
pub(super) const TEST: &str = "aami-test";

/// How one kind of alert is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Who is told of it.
    pub(super) receiver: &'static str,
    /// Alerts that agree in these come in one message.
    pub(super) group_by: &'static [&'static str],
    /// How long a first alert waits for others of its group.
    pub(super) wait: &'static str,
    /// How long news of a group waits after the last message about it.
    pub(super) interval: &'static str,
    /// After how long what still fires is told again.
    pub(super) repeat: &'static str,
    /// Whether its end is told.
    pub(super) tells_end: bool,
}

/// What belongs together: one alert of one node, whatever the number of its GPUs.
const OF_A_NODE: &[&str] = &["cluster", "node", "alertname"];

/// How a gravity is told.
pub(super) const fn of(severity: Severity) -> Timing {
    match severity {
        // Ten seconds: long enough for what a dead node drags along to be held back by NodeDown, short for a person.
        Severity::Critical => Timing {
            receiver: "aami-critical",
            group_by: OF_A_NODE,
            wait: "10s",
            interval: "1m",
            repeat: "1h",
            tells_end: true,
        },
        Severity::Warning => Timing {
            receiver: "aami-warning",
            group_by: OF_A_NODE,
            wait: "1m",
            interval: "5m",
            repeat: "12h",
            tells_end: true,
        },
        // What is only worth knowing: one message for all nodes, once a day.
        Severity::Info => Timing {
            receiver: "aami-info",
            group_by: &["cluster", "alertname"],
            wait: "10m",
            interval: "1h",
            repeat: "1d",
            tells_end: false,
        },
    }
}

/// How a test is told: at once, by itself, once.
pub(super) const fn of_tests() -> Timing {
    Timing {
        receiver: TEST,
        group_by: &["alertname", TEST_LABEL],
        wait: "0s",
        interval: "1m",
        repeat: "1d",
        tells_end: false,
    }
}

/// Which alerts take a route, as Alertmanager's matchers.
pub(super) fn matcher_of(severity: Severity) -> String {
    format!("severity=\"{}\"", word(severity))
}

/// The matcher of test alerts.
pub(super) fn matcher_of_tests() -> String {
    format!("alertname=\"{TEST_ALERT}\"")
}

/// The word of a gravity in the label `severity`.
pub(super) const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
