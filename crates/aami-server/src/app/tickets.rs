//! Tickets: each opens one dashboard's socket, once, as whoever asked for it.
//!
//! A browser cannot set a header where it opens a WebSocket, and a key does not belong into an address. So whoever has
//! a key asks for a ticket, which is good for half a minute. It lies in the store, so that any replica takes it, and
//! whoever deletes it there has used it: nobody else can.

use std::time::Duration;

use aami_api::dashboard::Ticket;
use aami_model::access::{Caller, Role};
use aami_model::{KeyId, Timestamp, code};
use aami_store::{PageRequest, Store, StoreError, Txn, TxnOutcome, keys};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::commit::{Change, Wanted, Written, Wrote};
use super::{App, Asking, Refusal, access};
use crate::view::document::{decode, encode};

/// How long one is good for.
const LIFETIME: Duration = Duration::from_secs(30);
/// What one begins with, so that those who look for secrets find it.
const PREFIX: &str = "aamit_";
/// How many letters follow: twenty random bytes.
const LETTERS: usize = 40;
/// How many are looked at, and removed, in one piece.
const PAGE: usize = 100;

/// A ticket as it is kept, under its SHA-256.
#[derive(Debug, Serialize, Deserialize)]
struct TicketDocument {
    key: KeyId,
    expires_at: Timestamp,
}

/// The name it is kept under; none where it is no ticket.
fn name_of(ticket: &str) -> Option<String> {
    let secret = ticket.strip_prefix(PREFIX)?;
    let fits = secret.len() == LETTERS && secret.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| HEXLOWER.encode(&Sha256::digest(ticket.as_bytes())))
}

fn key_of(caller: &Caller) -> Option<KeyId> {
    caller.id.strip_prefix("key:")?.parse().ok()
}

impl App {
    /// Makes a ticket for whoever asks. It is in the answer and nowhere else.
    pub(crate) async fn make_ticket(&self, caller: &Caller) -> Result<(Ticket, Written), Refusal> {
        access::require(caller, Role::Viewer)?;
        let key = key_of(caller).ok_or_else(|| Refusal::plain(code::FORBIDDEN))?;
        self.dashboards.hall.may_ask(caller)?;
        let ticket = format!("{PREFIX}{}", HEXLOWER.encode(&self.world.random::<20>()));
        let name = name_of(&ticket).ok_or_else(|| Refusal::plain(code::INTERNAL))?;
        let wrote = self
            .write(&Asking::by(caller.clone()), |_, now| {
                let expires_at = now.plus(LIFETIME);
                let document = TicketDocument {
                    key: key.clone(),
                    expires_at,
                };
                let place = keys::ticket(&name);
                // That somebody looks is no change to anything: it leaves no audit entry.
                let change = Change::new(caller.orgs.home(), "ticket.create", format!("key:{key}"))
                    .quiet()
                    .transact(|txn| txn.when_absent(place.clone()).put(place, encode(&document)));
                Ok(Wanted::Write(Box::new(change), expires_at))
            })
            .await?;
        match wrote {
            Wrote::Fresh(expires_at, written) => Ok((Ticket { ticket, expires_at }, written)),
            Wrote::Replayed(_) => Err(Refusal::plain(code::INTERNAL)),
        }
    }

    /// Uses a ticket up; answers who asked for it, as their key is now.
    pub(crate) async fn use_ticket(&self, ticket: &str) -> Result<Caller, Refusal> {
        let refused = || Refusal::new(code::UNAUTHENTICATED, "this ticket is unknown, used or too old");
        let place = keys::ticket(&name_of(ticket).ok_or_else(refused)?);
        let entry = self.store.get(&place).await?.ok_or_else(refused)?;
        let used = Txn::new()
            .when_unchanged(place.clone(), entry.mod_revision)
            .delete(place.clone());
        match self.store.txn(used).await? {
            TxnOutcome::Committed(_) => {}
            TxnOutcome::Conflict(_) => return Err(refused()),
            // Whether it is used up is not known, so it opens nothing: the next one will.
            TxnOutcome::Unknown => return Err(Refusal::plain(code::OUTCOME_UNKNOWN)),
        }
        let document: TicketDocument = decode(&place, &entry.value).map_err(|_| refused())?;
        let now = self.world.now();
        if now >= document.expires_at {
            return Err(refused());
        }
        let snapshot = self.view.current();
        let key = snapshot.key(&document.key).ok_or_else(refused)?;
        let caller = Caller::of_key(&key.doc, now).ok_or_else(refused)?;
        access::require(&caller, Role::Viewer)?;
        Ok(caller)
    }

    /// Removes all tickets that nobody used in time.
    pub(crate) async fn sweep_tickets(&self) -> Result<(), Refusal> {
        Ok(sweep(&*self.store, self.world.now()).await?)
    }
}

async fn sweep(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.list(&keys::tickets(), request).await?;
        let over = page.entries.into_iter().filter(|entry| {
            decode::<TicketDocument>(&entry.key, &entry.value).is_ok_and(|ticket| now >= ticket.expires_at)
        });
        // Nothing is compared: a name never comes twice, and what is over opens nothing for whoever is using it.
        let txn = over.fold(Txn::new(), |txn, entry| txn.delete(entry.key));
        if !txn.ops().is_empty() {
            // Where the outcome is not known, the next sweep sees it.
            let _ = store.txn(txn).await?;
        }
        match page.next {
            Some(next) => request = PageRequest::after(next, PAGE),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn one_sweep_removes_all_that_are_over_and_no_other() {
        // Given more tickets that nobody used than one piece holds, and among them some that are still good
        let store = MemoryStore::new();
        let now = Timestamp::from_millis(1_000_000);
        let key = KeyId::from_random([1; 10]);
        for n in 0..(PAGE * 3 + 7) {
            let is_good = n % 50 == 0;
            let document = TicketDocument {
                key: key.clone(),
                expires_at: if is_good { now.plus(LIFETIME) } else { now },
            };
            let name = name_of(&format!("{PREFIX}{n:040x}")).unwrap();
            let put = Txn::new().put(keys::ticket(&name), encode(&document));
            assert!(matches!(store.txn(put).await, Ok(TxnOutcome::Committed(_))));
        }
        // when they are swept, then only those are left,
        sweep(&store, now).await.unwrap();
        let left = async || {
            let page = store.list(&keys::tickets(), PageRequest::first(1000)).await;
            page.unwrap().entries.len()
        };
        assert_eq!(left().await, 7);
        // until their time is over too.
        sweep(&store, now.plus(LIFETIME)).await.unwrap();
        assert_eq!(left().await, 0);
    }

    #[test]
    fn what_is_no_ticket_is_not_looked_for() {
        let good = format!("{PREFIX}{}", "0a".repeat(20));
        assert!(name_of(&good).is_some_and(|name| name.len() == 64 && !name.contains("0a0a0a")));
        for text in [
            "",
            PREFIX,
            "aamik_0a",
            &good[..45],
            &format!("{good}0"),
            &good.replace('a', "/"),
        ] {
            assert_eq!(name_of(text), None, "{text}");
        }
    }
}
