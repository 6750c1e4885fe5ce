//! Connections to jump hosts, one each, shared by all that go through them.
//!
//! A thousand targets behind one jump host are a thousand channels of one connection, never a thousand logins that
//! its MaxStartups would turn down. While it is being opened the others wait; when that fails, all who waited fail
//! with it at once instead of trying one after the other.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::client::Shared;
use crate::connection::{Place, Role, Session, sign_in};
use crate::{Host, SshError};

/// All jump hosts of a client.
#[derive(Debug, Default)]
pub(crate) struct Jumps {
    ways: Mutex<HashMap<String, Arc<Way>>>,
}

/// A signed-in connection to a jump host.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) name: String,
    pub(crate) session: Session,
    /// How many may go through it at a time.
    pub(crate) places: Arc<Semaphore>,
    /// Its place on the jump host before it.
    _place: Option<Place>,
}

/// One way through jump hosts, opened at most once at a time.
#[derive(Debug, Default)]
struct Way {
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many times it was tried to open.
    attempts: u64,
    last: Option<Result<Arc<Hop>, SshError>>,
}

type Reached<'a> = Pin<Box<dyn Future<Output = Result<Arc<Hop>, SshError>> + Send + 'a>>;

impl Jumps {
    /// A connection to the last of these jump hosts, through those before it.
    pub(crate) fn reach<'a>(&'a self, shared: &'a Arc<Shared>, hops: &'a [Host]) -> Reached<'a> {
        Box::pin(async move {
            let Some((last, before)) = hops.split_last() else {
                return Err(SshError::Local {
                    why: "there is no jump host to go through".to_owned(),
                });
            };
            let way = self.way(hops);
            // Who comes while it is being opened shares what comes of it.
            let seen = way.state.try_lock().ok().map(|state| state.attempts);
            let mut state = way.state.lock().await;
            match &state.last {
                Some(Ok(hop)) if !hop.session.handle.is_closed() => return Ok(Arc::clone(hop)),
                Some(Err(error)) if seen.is_none_or(|seen| seen < state.attempts) => {
                    return Err(error.clone());
                }
                _ => {}
            }
            let mut jump = last.clone();
            jump.jumps = before.to_vec();
            let opened = sign_in(shared, &jump, Role::Jump).await;
            let hop = opened
                .map(|(session, place)| {
                    Arc::new(Hop {
                        name: last.name.clone(),
                        session,
                        places: Arc::new(Semaphore::new(shared.settings.channels_per_jump.max(1))),
                        _place: place,
                    })
                })
                .map_err(|error| match error {
                    // Which of several hops failed is said once, by the one that did.
                    SshError::Jump { .. } => error,
                    other => SshError::Jump {
                        hop: last.name.clone(),
                        source: Box::new(other),
                    },
                });
            state.attempts += 1;
            state.last = Some(hop.clone());
            hop
        })
    }

    fn way(&self, hops: &[Host]) -> Arc<Way> {
        let name: Vec<String> = hops
            .iter()
            .map(|hop| format!("{}@{}", hop.user, hop.endpoint()))
            .collect();
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(ways.entry(name.join(",")).or_default())
    }
}
