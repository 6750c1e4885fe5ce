//! `aami alerts test`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aami_model::{Exit, code};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::cli::dry::Dry;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::Fleet;
use crate::fleet::engines::{EngineError, Tried, notifications};

/// How long an alert stands that is only a test.
const STANDS: Duration = Duration::from_secs(60);
/// How often Alertmanager is asked meanwhile.
const OFTEN: Duration = Duration::from_millis(200);

/// Send one alert through Alertmanager and say by which ways it arrived
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts test
  aami alerts test --severity warning --within 120
  aami alerts test --dry-run

The alert is called AamiTest and ends by itself after a minute. Alertmanager gathers alerts for as long as its
configuration says before it sends any. Every way that is enabled in the configuration of a declared fleet is waited for;
of a control plane's Alertmanager, which is asked from here, one is enough. Exit code 3 when a way failed, 8 when one was
not tried in time.")]
pub(crate) struct Test {
    /// How grave it pretends to be
    #[arg(long, default_value = "critical", value_parser = ["critical", "warning", "info"])]
    severity: String,
    /// How many seconds to wait
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
    /// Which Prometheus' Alertmanager, where a control plane knows several
    #[arg(long, value_name = "NAME")]
    prometheus: Option<String>,
    #[command(flatten)]
    dry: Dry,
}

/// One way of telling people.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Way {
    way: String,
    sent: u64,
    failed: u64,
}

impl Test {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let there = fleet.alertmanager(self.prometheus.as_deref())?;
        let alertmanager = there.engine;
        let failed = |error: EngineError| Failure::found(code::ALERTMANAGER_SILENT, error.to_string());
        let before = notifications(&alertmanager).map_err(failed)?;
        if self.dry.dry_run {
            let line = format!(
                "the alert AamiTest, {}, would be sent to {}",
                self.severity,
                alertmanager.url()
            );
            return Done::would("AamiTest", line).tell(fleet.screen());
        }
        let now = fleet.screen().now();
        let alert = json!([{
            "labels": {
                "alertname": "AamiTest",
                "severity": self.severity,
                "cluster": there.cluster,
                // Every test is an alert of its own, which waits for no earlier one.
                "test": now.to_string(),
            },
            "annotations": {
                "summary": "A test: nothing is wrong",
                "description": "Somebody ran `aami alerts test`. It ends by itself.",
            },
            "startsAt": now.to_string(),
            "endsAt": now.plus(STANDS).to_string(),
        }]);
        alertmanager
            .post("/api/v2/alerts", &alert.to_string())
            .map_err(failed)?;
        fleet.screen().note(&format!(
            "aami: sent to {}; waiting up to {} s for it to be passed on",
            alertmanager.url(),
            self.within
        ));
        let enabled = there.ways;
        let until = Instant::now() + Duration::from_secs(self.within);
        let mut earlier = Vec::new();
        let ways = loop {
            let ways = since(&before, &notifications(&alertmanager).map_err(failed)?);
            let is_told = !ways.is_empty() && untried(&enabled, &ways).is_empty();
            // A failure is counted after its try: what is seen twice is whole.
            if (is_told && ways == earlier) || Instant::now() >= until {
                break ways;
            }
            earlier = ways;
            std::thread::sleep(OFTEN);
        };
        fleet.screen().show(&ways, |_| {
            let mut table = Table::new(&["WAY", "SENT", "FAILED"], "nothing was sent");
            for way in &ways {
                table.row([way.way.clone(), way.sent.to_string(), way.failed.to_string()]);
            }
            table
        })?;
        if ways.is_empty() {
            return Err(Failure::found(
                code::ALERT_NOT_PASSED_ON,
                format!(
                    "Alertmanager took the alert and told nobody within {} s",
                    self.within
                ),
            ));
        }
        if ways.iter().any(|way| way.failed > 0) {
            return Ok(Exit::NotHealthy);
        }
        let untried = untried(&enabled, &ways);
        if !untried.is_empty() {
            return Err(Failure::found(
                code::ALERT_NOT_PASSED_ON,
                format!(
                    "Alertmanager did not try {} within {} s",
                    untried.join(", "),
                    self.within
                ),
            ));
        }
        fleet.screen().note("✅ The test alert was passed on");
        Ok(Exit::Ok)
    }
}

/// Those of the enabled ways that were not tried yet.
fn untried(enabled: &[&'static str], ways: &[Way]) -> Vec<&'static str> {
    (enabled.iter().copied())
        .filter(|wanted| !ways.iter().any(|way| way.way == *wanted))
        .collect()
}

/// What was sent by each way between two looks, and what failed.
fn since(before: &BTreeMap<String, Tried>, now: &BTreeMap<String, Tried>) -> Vec<Way> {
    now.iter()
        .map(|(way, now)| {
            let before = before.get(way).copied().unwrap_or_default();
            let failed = now.failed.saturating_sub(before.failed);
            Way {
                way: way.clone(),
                sent: now.times.saturating_sub(before.times).saturating_sub(failed),
                failed,
            }
        })
        .filter(|way| way.sent > 0 || way.failed > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_counts_and_a_way_that_was_not_tried_is_named() {
        let of = |times, failed| Tried { times, failed };
        let before = BTreeMap::from([("slack".to_owned(), of(3, 1)), ("email".to_owned(), of(7, 0))]);
        let now = BTreeMap::from([
            ("slack".to_owned(), of(5, 2)),
            ("email".to_owned(), of(7, 0)),
            ("webhook".to_owned(), of(1, 1)),
        ]);
        let way = |way: &str, sent, failed| Way {
            way: way.to_owned(),
            sent,
            failed,
        };
        let ways = since(&before, &now);
        assert_eq!(ways, [way("slack", 1, 1), way("webhook", 0, 1)]);
        assert_eq!(untried(&["slack", "email", "webhook"], &ways), ["email"]);
    }
}
