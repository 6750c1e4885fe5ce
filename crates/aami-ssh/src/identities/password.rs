//! Passwords that are good for many hosts: asked for once, and given to one host before all others.
//!
//! A wrong password that goes to a thousand hosts at once is a thousand failed attempts, and where all of them ask one
//! directory that locks the account. So the first host tries it alone while the others wait. Taken there, it goes to
//! everybody, once to each: a host that does not take it then is a matter of that host. Refused there, it goes to no
//! further host. A host that says neither (it hangs, or its connection breaks) leaves the trial to the next one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, OnceCell, OwnedMutexGuard};

use super::Passphrase;

/// Whose password, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    /// What it opens.
    pub(crate) opens: Opens,
    /// Who has it.
    pub(crate) user: String,
    /// The one host it is for; none for all that are worked on. A jump host is another machine, with other passwords.
    pub(crate) host: Option<String>,
}

/// What a password opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Opens {
    Login,
    Sudo,
}

/// A password, and what hosts said to it.
#[derive(Debug, Default)]
pub(crate) struct Password {
    /// Held by who tries it first.
    trial: Arc<Mutex<()>>,
    answer: OnceCell<Option<Passphrase>>,
    accepted: AtomicBool,
    refused: AtomicBool,
}

/// What there is to give to a host.
#[derive(Debug)]
pub(crate) enum Lending {
    Known(Lent),
    /// Nobody knows one.
    None,
    /// A host refused it, and none took it.
    Refused,
}

/// A password in the hands of one host. What became of it is to be said; dropped without that, it was not tried.
#[derive(Debug)]
pub(crate) struct Lent {
    secret: Passphrase,
    password: Arc<Password>,
    /// While it is held everybody else waits.
    _trial: Option<OwnedMutexGuard<()>>,
}

impl Password {
    /// Waits until it is known to be right, or until this one is to try it; `ask` is asked once.
    pub(crate) async fn lend<F>(self: Arc<Self>, ask: F) -> Lending
    where
        F: Future<Output = Option<Passphrase>>,
    {
        let mut trial = None;
        if !self.is(&self.accepted) {
            trial = Some(Arc::clone(&self.trial).lock_owned().await);
        }
        let is_right = self.is(&self.accepted);
        if !is_right && self.is(&self.refused) {
            return Lending::Refused;
        }
        match self.answer.get_or_init(|| ask).await.clone() {
            Some(secret) => Lending::Known(Lent {
                secret,
                password: self,
                _trial: trial.filter(|_| !is_right),
            }),
            None => Lending::None,
        }
    }

    fn is(&self, what: &AtomicBool) -> bool {
        what.load(Ordering::SeqCst)
    }
}

impl Lent {
    /// The secret itself, to be sent and never shown.
    pub(crate) fn reveal(&self) -> &str {
        self.secret.reveal()
    }

    /// The host took it.
    pub(crate) fn accepted(self) {
        self.password.accepted.store(true, Ordering::SeqCst);
    }

    /// The host did not take it.
    pub(crate) fn refused(self) {
        self.password.refused.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn known() -> std::future::Ready<Option<Passphrase>> {
        std::future::ready(Some(Passphrase::new("secret".to_owned())))
    }

    async fn lent(password: &Arc<Password>) -> Lent {
        match Arc::clone(password).lend(known()).await {
            Lending::Known(lent) => lent,
            other => panic!("{other:?}"),
        }
    }

    /// Fifty hosts that want it at the same time; the first says this. Out: how many got it.
    async fn fifty(says: fn(Lent)) -> usize {
        let (password, got) = (Arc::<Password>::default(), Arc::<AtomicUsize>::default());
        let first = lent(&password).await;
        let others: Vec<_> = (0..50)
            .map(|_| {
                let (password, got) = (Arc::clone(&password), Arc::clone(&got));
                tokio::spawn(async move {
                    if let Lending::Known(lent) = password.lend(known()).await {
                        got.fetch_add(1, Ordering::SeqCst);
                        says(lent);
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(got.load(Ordering::SeqCst), 0, "the first one tries it alone");
        says(first);
        for one in others {
            one.await.unwrap();
        }
        got.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn one_host_tries_it_first_and_what_it_refuses_no_other_gets() {
        assert_eq!(fifty(Lent::refused).await, 0);
        assert_eq!(fifty(Lent::accepted).await, 50);
        // One that says nothing leaves the trial to the next.
        assert_eq!(fifty(drop).await, 50);
    }

    #[tokio::test]
    async fn what_one_host_took_is_not_wrong_by_itself_where_another_refuses_it() {
        let password = Arc::<Password>::default();
        lent(&password).await.accepted();
        lent(&password).await.refused();
        // Two at a time now.
        let (one, other) = (lent(&password).await, lent(&password).await);
        assert_eq!((one.reveal(), other.reveal()), ("secret", "secret"));
    }

    #[tokio::test]
    async fn nobody_is_asked_twice_whatever_the_answer_was() {
        let (password, asked) = (Arc::<Password>::default(), AtomicUsize::new(0));
        for _ in 0..3 {
            let ask = async {
                asked.fetch_add(1, Ordering::SeqCst);
                None
            };
            assert!(matches!(Arc::clone(&password).lend(ask).await, Lending::None));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
