//! What checks on nodes found, and checks that are not heard any more.

use aami_model::finding::Severity;

use super::checked;
use crate::rules::Rule;

/// GPUs that are gone have an alert of their own.
pub(super) fn failed() -> Vec<Rule> {
    vec![
        checked("CheckFailed", Severity::Critical, "check!=\"gpu_count\""),
        Rule::new("CheckWarning", Severity::Warning, "15m", "aami_check_status == 1").saying(
            "The check {{ $labels.check }} warns on {{ $labels.node }}",
            "It found something worth a look; `aami-agent checks list` on the node says what.",
        ),
        Rule::new("CheckUnknown", Severity::Warning, "15m", "aami_check_status == 3").saying(
            "The check {{ $labels.check }} comes to no result on {{ $labels.node }}",
            "It fails by itself or takes too long. `aami-agent checks list` on the node says why.",
        ),
    ]
}

/// A file of metrics that is not written any more looks well for ever.
pub(super) fn stale() -> Vec<Rule> {
    vec![
        Rule::new(
            "ChecksStale",
            Severity::Warning,
            "0m",
            "time() - node_textfile_mtime_seconds{file=~\".*/aami_checks[.]prom\"} > 600",
        )
        .saying(
            "Checks do not run any more on {{ $labels.node }}",
            "The last round was {{ $value | humanizeDuration }} ago. `systemctl status aami-checks.timer aami-checks.service` \
             on the node says why.",
        ),
        Rule::new(
            "ChecksUnreadable",
            Severity::Warning,
            "5m",
            "node_textfile_scrape_error == 1",
        )
        .saying(
            "Metrics on {{ $labels.node }} cannot be read",
            "A file in node_exporter's textfile folder is broken, and what stands in it is not seen. `journalctl -u \
             aami-node-exporter` on the node names it.",
        ),
    ]
}
