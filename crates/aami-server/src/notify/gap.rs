//! Events that were kept no longer before a destination could be told of them: a lane that comes back to less than the
//! history holds says so, once for all lanes of its destination, and goes on with what is left.
//!
//! It is said as an event of its own, which the destination gets as well where it wants it, in the log, as a number that
//! a rule looks at, and where it is shown how the destination goes. Up to where it was said is kept in the store with
//! that event, so that nobody who goes on in another's place says it again or takes it for said.

use aami_model::access::Caller;
use aami_model::webhook::SERVICE;
use aami_model::{OrgId, WebhookId, code};
use aami_store::{Revision, keys};
use serde_json::json;

use super::outlet::Destination;
use super::records::subject;
use crate::app::commit::{Change, Wanted, Wrote};
use crate::app::{App, Asking, Refusal};
use crate::view::document::encode;
use crate::view::upkeep::LostDocument;

/// What is told of it.
const LOST: &str = "webhook.events_lost";

/// Says that of the events up to `through` some may never have been told to this destination, as it is since `revision`.
/// Whoever was told so up to there, or further, is not told again.
///
/// Fails where it cannot be written down; nothing is counted then, and it is to be said again.
pub(super) async fn say(
    app: &App,
    destination: &Destination,
    through: u64,
    revision: Revision,
) -> Result<(), Refusal> {
    let id: WebhookId = destination
        .id
        .parse()
        .map_err(|_| Refusal::plain(code::INTERNAL))?;
    let asking = Asking {
        // Of one that is gone or another by now nothing is noted. The service stands in no key.
        fence: (destination.id != SERVICE).then(|| (keys::webhook(id.as_str()), revision)),
        ..Asking::by(Caller::system())
    };
    // Those who may see the destination see this.
    let org = destination.org.clone().unwrap_or_else(OrgId::every);
    let data = json!({ "name": destination.label, "pruned_through": through });
    let told = app
        .write(&asking, |snapshot, _| {
            let before = snapshot.upkeep.lost(&id);
            if before.is_some_and(|held| held.doc.through >= through) {
                return Ok(Wanted::Nothing(false));
            }
            let key = keys::lost(id.as_str());
            let change = Change::new(org.clone(), "webhook.lose", subject(id.as_str()))
                .noting(data.clone())
                .tell(LOST, data.clone())
                .transact(|txn| {
                    let txn = match before {
                        Some(held) => txn.when_unchanged(key.clone(), held.revision),
                        None => txn.when_absent(key.clone()),
                    };
                    txn.put(key, encode(&LostDocument { through }))
                });
            Ok(Wanted::Write(Box::new(change), true))
        })
        .await?;
    if let Wrote::Fresh(true, _) = told {
        app.counters.lost(&destination.label);
        tracing::warn!(
            destination = %destination.label, through,
            "events were kept no longer before they could be delivered"
        );
    }
    Ok(())
}
