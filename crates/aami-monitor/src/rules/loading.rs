//! Rules about rules: those that did not reach a Prometheus.

use aami_model::finding::Severity;

use super::RulesError;
use super::rule::{Rule, alerts};

/// The rules about rules: `AamiRulesNotLoaded`, a Prometheus that has others than it should have, and
/// `AamiRulesFailing`, one that cannot evaluate what it has.
///
/// A Prometheus that takes nothing keeps the rules from before, these among them.
pub fn loading() -> Result<String, RulesError> {
    alerts(
        "aami_rules",
        [
            Rule::new(
                "AamiRulesNotLoaded",
                Severity::Warning,
                "10m",
                "max by (cluster, org, prometheus) (aami_rules_loaded) == 0",
            )
            .saying(
                "The Prometheus {{ $labels.prometheus }} does not have the alert rules it should have",
                "What was changed is in force nowhere, or only in part. `aami prometheuses list -o wide` says what it has \
                 and why it does not take the rest.",
            ),
            Rule::new(
                "AamiRulesFailing",
                Severity::Warning,
                "10m",
                "max by (cluster, org, prometheus) (aami_rules_failing) > 0",
            )
            .saying(
                "The Prometheus {{ $labels.prometheus }} cannot evaluate {{ $value }} of its rules",
                "Their alerts cannot fire. `aami prometheuses show {{ $labels.prometheus }}` names them with the reason.",
            ),
        ],
    )
}
