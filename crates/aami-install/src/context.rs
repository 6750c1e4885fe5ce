//! What a step is given: a [`Survey`] to look with, a [`StepContext`] to change things through.

mod prepare;
mod survey;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aami_model::run::StepOutcome;

pub use survey::Survey;

use crate::cancel::Cancel;
use crate::checkpoint::Act;
use crate::effect::{self, Described, Due, Effect, EffectError, Happened, Key, Scene, Signature, Standing};
use crate::host::Host;
use crate::ledger::{Entering, Ledger};
use crate::path::HostPath;
use crate::receipt::Recorded;
use crate::step::{StepError, Voice};
use crate::stream::Stream;

/// What all steps of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) host: &'a Host,
    pub(crate) signature: Signature,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) stream: &'a Stream,
    pub(crate) cancel: &'a Cancel,
    pub(crate) approvals: &'a [String],
    pub(crate) executed: Mutex<Vec<Described>>,
    /// Folders in which names were given that are not durable yet.
    pub(crate) unsynced: Mutex<BTreeSet<HostPath>>,
    /// Whether this run has begun to change the host.
    pub(crate) changes: Arc<AtomicBool>,
    /// How many things could not be had whole.
    pub(crate) parts: AtomicUsize,
}

impl Shared<'_> {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the names of everything placed so far durable, each folder once. Whatever acts on more than files waits
    /// for it, and so does the end of a run: nobody outside ever relies on a file that a power cut may take away.
    pub(crate) fn sync_names(&self) -> Result<(), EffectError> {
        // Held meanwhile, so that a step beside this one does not go on before its own names are durable.
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(folder) = unsynced.first() {
            self.host.root.sync_folder(folder)?;
            unsynced.pop_first();
        }
        Ok(())
    }
}

/// The one way for a step to change a host.
pub struct StepContext<'a> {
    shared: &'a Shared<'a>,
    voice: Voice<'a>,
}

/// An effect that is due, with everything at hand.
struct Ready<'a> {
    effect: &'a Effect,
    due: Option<&'a Due>,
    payload: Option<prepare::Prepared>,
    /// What its record says, where that had to be found out first.
    foreseen: Option<Recorded>,
}

impl<'a> StepContext<'a> {
    pub(crate) const fn new(shared: &'a Shared<'a>, step: &'a str) -> Self {
        let voice = Voice::new(shared.host, shared.stream, shared.cancel, step);
        Self { shared, voice }
    }

    /// The host.
    pub fn host(&self) -> &'a Host {
        self.shared.host
    }

    /// What is known of the host and of this plan on it.
    pub fn survey(&self) -> Survey<'a> {
        Survey::new(self.shared)
    }

    /// Notes, progress, and whether the run was called off.
    pub const fn voice(&self) -> &Voice<'a> {
        &self.voice
    }

    /// Adds a fact below the step.
    pub fn note(&self, message: impl Into<String>) {
        self.voice.note(message);
    }

    /// Adds a fact that should worry the reader.
    pub fn warn(&self, message: impl Into<String>) {
        self.voice.warn(message);
    }

    /// Notes that one more thing cannot be had now, without which the run goes on: what is here of it stays for the next
    /// run, which goes on with it.
    pub fn do_without(&self) {
        self.shared.parts.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes durably that the control plane at `server` knows this host as `node` by now: a node that
    /// was purged there and enrols again gets another id, and taking the registration back must name
    /// that one. Nothing happens where no registration with `server` is recorded, or it is recorded
    /// under this id.
    pub fn registered_as(&mut self, server: &str, node: &str) -> Result<(), StepError> {
        let key = Key::named("registration", server);
        let mut ledger = self.shared.ledger();
        let recorded = ledger.receipt().find(&key).map(|record| &record.effect);
        let Some(Recorded::Registration { node: known, .. }) = recorded else {
            return Ok(());
        };
        if known.as_deref() == Some(node) {
            return Ok(());
        }
        ledger.done(&key, |recorded| {
            if let Recorded::Registration { node: known, .. } = recorded {
                *known = Some(node.to_owned());
            }
        });
        let host = self.shared.host;
        ledger
            .open(host)
            .and_then(|()| ledger.settle(host))
            .map_err(EffectError::from)?;
        Ok(())
    }

    /// Brings about those of `effects` that do not hold yet, in order. Everything fetched is fetched
    /// and verified first; then all of them are recorded durably with what undoing needs; then they
    /// happen, with a look at the cancel flag before each.
    pub fn perform(&mut self, effects: &[Effect]) -> Result<StepOutcome, StepError> {
        self.voice.check()?;
        let effects: Vec<Effect> = effects
            .iter()
            .map(|effect| effect.sealed(&self.shared.signature))
            .collect();
        let standings = self.survey().stand(&effects)?;
        let ready = self.ready(&effects, &standings)?;
        if ready.is_empty() {
            return Ok(StepOutcome::AlreadySo);
        }
        self.voice.check()?;
        self.record(&ready)?;
        self.bring_about(&ready)?;
        let changed = ready.iter().any(|ready| ready.due.is_some());
        Ok(if changed {
            StepOutcome::Changed
        } else {
            StepOutcome::AlreadySo
        })
    }

    fn ready<'e>(
        &self,
        effects: &'e [Effect],
        standings: &'e [Standing],
    ) -> Result<Vec<Ready<'e>>, StepError> {
        let mut ready = Vec::new();
        let due = effects
            .iter()
            .zip(standings)
            .filter(|(_, standing)| matches!(standing, Standing::Due(_)));
        let changing: Vec<&Effect> = due.map(|(effect, _)| effect).collect();
        for (effect, standing) in effects.iter().zip(standings) {
            match standing {
                Standing::Holds => {
                    let mut ledger = self.shared.ledger();
                    ledger.confirm(&effect.key());
                    let unclaimed = ledger.unclaimed(effect);
                    drop(ledger);
                    if unclaimed {
                        let payload = prepare::as_it_is(self.shared, effect)?;
                        ready.push(Ready {
                            effect,
                            due: None,
                            payload,
                            foreseen: None,
                        });
                    }
                }
                Standing::Due(due) => {
                    if let Effect::Irreversible(act) = effect
                        && !self.shared.approvals.contains(&act.approval)
                    {
                        let (what, approval) = (act.what.clone(), act.approval.clone());
                        return Err(EffectError::NotApproved { what, approval }.into());
                    }
                    let payload = prepare::payload(self.shared, &self.voice, effect, due)?;
                    let foreseen = prepare::foreseen(self.shared, &self.voice, effect, &changing)?;
                    ready.push(Ready {
                        effect,
                        due: Some(due),
                        payload,
                        foreseen,
                    });
                }
            }
        }
        Ok(ready)
    }

    fn record(&self, ready: &[Ready<'_>]) -> Result<(), StepError> {
        let entering: Vec<_> = ready
            .iter()
            .map(|ready| {
                let content = ready.payload.as_ref().map(|payload| payload.digest);
                let foreseen = ready.foreseen.clone();
                Entering {
                    effect: ready.effect,
                    due: ready.due,
                    recorded: foreseen.unwrap_or_else(|| ready.effect.record(content)),
                    list: ready.payload.as_ref().and_then(prepare::Prepared::list),
                }
            })
            .collect();
        let mut ledger = self.shared.ledger();
        ledger.record(self.shared.host, self.voice.step(), &entering)?;
        let log = ledger.folder().log().clone();
        drop(ledger);
        self.shared.changes.store(true, Ordering::Release);
        self.shared.stream.log_to(self.shared.host, &log);
        Ok(())
    }

    fn bring_about(&self, ready: &[Ready<'_>]) -> Result<(), StepError> {
        for ready in ready.iter().filter(|ready| ready.due.is_some()) {
            self.voice.check()?;
            match ready.effect.path().and_then(HostPath::parent) {
                Some(folder) => {
                    let mut unsynced = self
                        .shared
                        .unsynced
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    unsynced.insert(folder);
                }
                None => self.shared.sync_names()?,
            }
            self.apply(ready)?;
            let described = ready.effect.describe();
            self.shared
                .executed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(described);
        }
        Ok(())
    }

    fn apply(&self, ready: &Ready<'_>) -> Result<(), StepError> {
        let host = self.shared.host;
        let key = ready.effect.key();
        let cut = |source| EffectError::Cut {
            what: format!("go on with {key}"),
            source,
        };
        host.root.checkpoint(Act::Effect, &key.to_string()).map_err(cut)?;
        let record = self.shared.ledger().find(&key).cloned();
        let scene = Scene {
            host,
            record: record.as_ref(),
        };
        if ready.due.is_some_and(|due| due.edited)
            && let Some(path) = ready.effect.path()
            && !effect::place::is_mask(scene, path)?
        {
            let kept = effect::place::keep_copy(scene, path)?;
            self.warn(format!("{path} had been edited; the edit is kept as {kept}"));
        }
        let done = ready.effect.apply(
            scene,
            ready.payload.as_ref().map(|ready| &ready.payload),
            &self.voice,
        )?;
        host.root.checkpoint(Act::Done, &key.to_string()).map_err(cut)?;
        self.shared
            .ledger()
            .done(&key, |recorded| match (recorded, done) {
                (Recorded::UnitState { started_with, .. }, Happened::Started(with)) => *started_with = with,
                (
                    Recorded::ContainerProject {
                        came_up_with,
                        made_with,
                        hashes,
                        ..
                    },
                    Happened::CameUp(now),
                ) => {
                    (*came_up_with, *made_with) = (Some(now.with), now.made_with);
                    *hashes = now.hashes;
                }
                (Recorded::Registration { node, .. }, Happened::Registered(id)) => *node = Some(id),
                _ => {}
            });
        Ok(())
    }
}
