//! Events that were kept no longer before a destination could be told of them: a lane that comes back to less than the
//! history holds says so, once for all lanes of its destination, and goes on with what is left.
//!
//! It is said as an event of its own, which the destination gets as well where it wants it, in the log, as a number that
//! a rule looks at, and where it is shown how the destination goes.

use aami_model::access::Caller;
use aami_store::Revision;
use serde_json::json;

use super::gauge::Gauge;
use super::outlet::Destination;
use super::records::subject;
use crate::app::commit::{Change, Wanted, Wrote};
use crate::app::{App, Asking, Idempotency, Refusal};

/// What is told of it.
const LOST: &str = "webhook.events_lost";

/// Says that of the events up to `through` some may never have been told to this destination, as it is since `revision`.
///
/// Fails where it cannot be written down; nothing is counted then, and it is to be said again.
pub(super) async fn say(
    app: &App,
    destination: &Destination,
    gauge: &Gauge,
    through: u64,
    revision: Revision,
) -> Result<(), Refusal> {
    let asking = Asking {
        // All its lanes come by, each while more is let go, and whoever goes on after a crash: it is told once.
        idempotency: Some(Idempotency {
            key: format!("lost {} {}", destination.id, revision.get()),
            request_hash: String::new(),
        }),
        ..Asking::by(Caller::system())
    };
    let org = destination.org.clone().unwrap_or_default();
    let data = json!({ "name": destination.label, "pruned_through": through });
    let told = app
        .write(&asking, |_, _| {
            let change = Change::new(org.clone(), "webhook.lose", subject(&destination.id));
            let change = change.noting(data.clone()).tell(LOST, data.clone());
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
    gauge.lost(through);
    if let Wrote::Fresh(..) = told {
        app.counters.lost(&destination.label);
        tracing::warn!(
            destination = %destination.label, through,
            "events were kept no longer before they could be delivered"
        );
    }
    Ok(())
}
