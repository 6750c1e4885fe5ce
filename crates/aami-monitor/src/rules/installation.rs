//! Rules about installations.

use aami_model::finding::Severity;

use super::RulesError;
use super::rule::{Rule, alerts};

/// The rules about installations: `AamiInstallFailed`, one alert a step that failed.
///
/// The same step may be told by several: the node's own textfile, remote write, and the control plane's
/// `/metrics`. `max by` makes one series of them, with the labels they all have. It waits a minute, so that a
/// step that is tried again at once alerts nobody.
pub fn installation() -> Result<String, RulesError> {
    alerts(
        "aami_installation",
        [Rule::new(
            "AamiInstallFailed",
            Severity::Warning,
            "1m",
            "max by (cluster, host, plan, step) (aami_install_step_status) == 3",
        )
        .saying(
            "The installation of {{ with $labels.host }}{{ . }}{{ else }}a machine that has not registered{{ end }} \
             failed at the step {{ $labels.step }}",
            "The step {{ $labels.step }} of the plan {{ $labels.plan }} failed in the cluster {{ $labels.cluster }}. \
             `aami runs list --unfinished` shows the run and its error; the same install command again \
             continues it.",
        )],
    )
}
