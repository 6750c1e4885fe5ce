//! Rules about delivering events.

use aami_model::finding::Severity;

use super::RulesError;
use super::rule::{Rule, alerts};

/// The rules about delivering events: `AamiDeliveriesFailing`, a destination that takes nothing,
/// `AamiDeliveriesGivenUp`, one that refused events for good, and `AamiDeliveriesLost`, one that was away for longer than
/// events are kept.
///
/// They look at `aami_deliveries_total{destination,result}` and `aami_delivery_gaps_total{destination}`, which begin at 0.
/// Replicas deliver in turn, so that what counts is their sum.
pub fn deliveries() -> Result<String, RulesError> {
    alerts(
        "aami_deliveries",
        [
            Rule::new(
                "AamiDeliveriesFailing",
                Severity::Warning,
                "5m",
                "sum by (destination) (increase(aami_deliveries_total{result=\"failed\"}[15m])) > 0 \
                 unless sum by (destination) (increase(aami_deliveries_total{result=\"delivered\"}[15m])) > 0",
            )
            .saying(
                "The destination {{ $labels.destination }} takes no events",
                "Every attempt to tell {{ $labels.destination }} of an event failed for at least 15 minutes. \
                 Nothing is lost: it is tried again. `aami webhooks show` says why.",
            ),
            Rule::new(
                "AamiDeliveriesGivenUp",
                Severity::Warning,
                "0m",
                "sum by (destination) (increase(aami_deliveries_total{result=\"dead\"}[15m])) > 0",
            )
            .saying(
                "Events could not be delivered to {{ $labels.destination }}",
                "{{ $labels.destination }} refused events, and they were given up. \
                 `aami webhooks deliveries --result dead` lists them; `aami webhooks replay` sends them again.",
            ),
            Rule::new(
                "AamiDeliveriesLost",
                Severity::Warning,
                "0m",
                // It may be there from the first look on: whoever just began to deliver counts at once.
                "sum by (destination) (increase(aami_delivery_gaps_total[15m])) > 0 \
                 or (sum by (destination) (aami_delivery_gaps_total) > 0 \
                 unless sum by (destination) (aami_delivery_gaps_total offset 15m))",
            )
            .saying(
                "{{ $labels.destination }} was not told of events that are kept no longer",
                "{{ $labels.destination }} took nothing, or was switched off, for longer than events are kept. Whoever \
                 listens there begins anew from what is there now; `history_keep` says how long events are kept.",
            ),
        ],
    )
}
