//! Prometheus and Alertmanager beside a declared fleet, asked over HTTP at the ports its configuration names.
//!
//! How they are asked is `aami-plans`' room `rules`; here is what an Alertmanager says of whom it told.
//! <https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml>

use std::collections::BTreeMap;

pub(crate) use aami_plans::rules::{Engine, EngineError, LoadedGroup, LoadedTarget, Value};

/// How often an Alertmanager has tried to tell somebody by each way, and how often that failed.
pub(crate) fn notifications(alertmanager: &Engine) -> Result<BTreeMap<String, Tried>, EngineError> {
    Ok(tried(&alertmanager.text("/metrics")?))
}

/// How often an Alertmanager tried one way of telling people. It counts a try when it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// All of them.
    pub(crate) times: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
}

/// What the metrics of an Alertmanager say of each way.
fn tried(metrics: &str) -> BTreeMap<String, Tried> {
    let mut ways: BTreeMap<String, Tried> = BTreeMap::new();
    for line in metrics.lines() {
        for (name, is_failure) in [
            ("alertmanager_notification_requests_total{", false),
            ("alertmanager_notification_requests_failed_total{", true),
        ] {
            let Some((labels, value)) = line.strip_prefix(name).and_then(|rest| rest.split_once('}')) else {
                continue;
            };
            let way = labels
                .split(',')
                .find_map(|label| label.strip_prefix("integration=\"")?.strip_suffix('"'));
            let (Some(way), Ok(value)) = (way, value.trim().parse::<f64>()) else {
                continue;
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count, which saturates"
            )]
            let value = value as u64;
            let counts = ways.entry(way.to_owned()).or_default();
            // Newer ones have a line for each receiver.
            let count = if is_failure {
                &mut counts.failed
            } else {
                &mut counts.times
            };
            *count = count.saturating_add(value);
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_and_not_intentions() {
        let ways = tried(
            "# TYPE alertmanager_notifications_total counter\n\
             alertmanager_notifications_total{integration=\"slack\"} 9\n\
             alertmanager_notification_requests_total{integration=\"slack\"} 3\n\
             alertmanager_notification_requests_failed_total{integration=\"slack\"} 1\n\
             alertmanager_notification_requests_total{integration=\"email\",receiver_name=\"a\"} 1\n\
             alertmanager_notification_requests_total{integration=\"email\",receiver_name=\"b\"} 2\n",
        );
        let of = |times, failed| Tried { times, failed };
        assert_eq!(
            ways,
            BTreeMap::from([("email".to_owned(), of(3, 0)), ("slack".to_owned(), of(3, 1))])
        );
    }
}
