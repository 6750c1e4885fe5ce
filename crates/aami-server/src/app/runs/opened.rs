//! Runs that an operator opens, for an installation that no bootstrap token began: a server's own.

use std::time::Duration;

use aami_api::run::OpenRun;
use aami_api::token::OpenedRun;
use aami_model::access::{Orgs, Role};
use aami_model::run::RunStatus;
use aami_model::secret::{Secret, SecretKind};
use aami_model::{RunId, code};
use aami_store::keys;
use serde_json::json;

use super::{CREDENTIAL_TTL, MOST_DROPPED, SPARE_RUNS};
use crate::app::commit::{Change, Wanted, Written, Wrote};
use crate::app::tokens::org_for;
use crate::app::{App, Asking, Refusal, access};
use crate::view::document::{RunDocument, encode};

impl App {
    /// Opens a run for an installation on the host of this name. Its credential is shown once, and speaks for the run
    /// alone.
    ///
    /// Fails where as many are under way already. Of those that are over or left lying, the oldest make room.
    pub(crate) async fn open_own_run(
        &self,
        asking: &Asking,
        wanted: OpenRun,
    ) -> Result<(OpenedRun, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let org = org_for(&asking.caller, wanted.org)?;
        let id = RunId::at(self.world.now(), self.world.random());
        let secret = Secret::from_random(SecretKind::RunCredential, id.as_str(), self.world.random());
        let wrote = self
            .write(asking, |snapshot, now| {
                let all = Orgs::Only(vec![org.clone()]);
                let own = || snapshot.runs(&all).filter(|held| held.doc.token.is_none());
                let is_open =
                    |run: &RunDocument| matches!(run.status, RunStatus::Pending | RunStatus::Running);
                if own().filter(|held| is_open(&held.doc)).count() >= SPARE_RUNS as usize {
                    return Err(Refusal::plain(code::TOO_MANY_RUNS).with_retry_after(Duration::from_secs(60)));
                }
                // Those that nobody works on are bounded as well: whoever may open them may begin and leave as many as
                // they like. The oldest go.
                let over = (own().count() + 1).saturating_sub(2 * SPARE_RUNS as usize);
                let oldest: Vec<_> = own()
                    .filter(|held| !is_open(&held.doc))
                    .take(over.min(MOST_DROPPED))
                    .map(|held| (keys::run(&held.doc.id), held.revision))
                    .collect();
                let (hash, until) = (access::hash(&secret), now.plus(CREDENTIAL_TTL));
                let run = RunDocument {
                    host: Some(wanted.hostname.clone()),
                    ..RunDocument::opened(id.clone(), org.clone(), hash, now, until)
                };
                let change = Change::new(org.clone(), "run.open", format!("run:{id}"))
                    .noting(json!({ "hostname": wanted.hostname }))
                    .transact(|txn| {
                        let txn = txn.when_absent(keys::run(&id)).put(keys::run(&id), encode(&run));
                        oldest.into_iter().fold(txn, |txn, (key, revision)| {
                            txn.when_unchanged(key.clone(), revision).delete(key)
                        })
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        match wrote {
            Wrote::Fresh((), written) => {
                let credential = secret.reveal().to_owned();
                Ok((OpenedRun { id, credential }, written))
            }
            Wrote::Replayed(subject) => Err(Refusal::new(
                code::CONFLICT,
                format!("this request opened {subject} already; its credential is shown only once"),
            )),
        }
    }
}
