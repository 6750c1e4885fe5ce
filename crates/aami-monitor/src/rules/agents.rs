//! Rules about the agents of a fleet.

use aami_model::finding::Severity;

use super::RulesError;
use super::rule::{Rule, alerts};

/// The rules about the agents of a fleet, by what the control plane itself counts: `AamiInstallationsFailing`, the
/// same failure again and again; `AamiAgentsLost`, many connections gone at once; `AamiAgentsFlapping`, connections
/// that do not stand; `AamiRolloutHalted`, an update of agents that stopped by itself.
///
/// What one node suffers is not told here: it has its own status. Replicas hold a part of the sockets each, so that
/// what counts is their sum. Half an hour back is far enough that agents who come back after a restart, spread over a
/// minute, alert nobody.
pub fn agents() -> Result<String, RulesError> {
    alerts(
        "aami_agents",
        [
            Rule::new(
                "AamiInstallationsFailing",
                Severity::Warning,
                "0m",
                "sum by (cluster, code) (increase(aami_install_failures_total[1h])) >= 3",
            )
            .saying(
                "Installations of nodes keep failing with {{ $labels.code }}",
                "At least three installations failed within an hour, all with {{ $labels.code }}. \
                 `aami explain {{ $labels.code }}` says what to do; `aami nodes list --status error` names \
                 the nodes.",
            ),
            Rule::new(
                "AamiAgentsLost",
                Severity::Critical,
                "5m",
                "sum by (cluster) (aami_agent_connections) \
                 < 0.8 * max_over_time(sum by (cluster) (aami_agent_connections)[30m:1m]) - 1",
            )
            .saying(
                "More than a fifth of the agents are no longer connected",
                "{{ $value }} agents are connected, and within the last half hour there were many more. \
                 Look at the network between them and the control plane first; \
                 `aami nodes list --status offline` names the nodes.",
            ),
            Rule::new(
                "AamiAgentsFlapping",
                Severity::Warning,
                "5m",
                "sum by (cluster) (increase(aami_agent_reconnects_total[15m])) \
                 > 5 * clamp_min(sum by (cluster) (aami_agent_connections), 1)",
            )
            .saying(
                "Agents connect again and again",
                "Within a quarter of an hour there were more than five connections for each agent. Something \
                 between them and the control plane cuts connections, or machines share one credential: \
                 `aami nodes show` tells the finding DUPLICATE_CREDENTIAL.",
            ),
            Rule::new(
                "AamiRolloutHalted",
                Severity::Warning,
                "0m",
                "max by (cluster, org, group) (aami_rollout_halted) == 1",
            )
            .saying(
                "The update of the agents of {{ $labels.group }} has stopped",
                "Too many agents of the group {{ $labels.group }} did not come up with the new version and \
                 went back to the old one. `aami agents show {{ $labels.group }}` says why; \
                 `aami agents resume {{ $labels.group }}` goes on.",
            ),
        ],
    )
}
