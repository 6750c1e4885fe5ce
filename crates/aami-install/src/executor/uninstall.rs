//! Taking a plan back.

use std::collections::{BTreeMap, BTreeSet};

use super::textfile::Told;
use super::{InstallError, Installer, PATIENCE};
use crate::context::Shared;
use crate::effect::{Effect, EffectError, Scene, Standing, Unregister, firewall};
use crate::receipt::Receipt;
use crate::root::Entry;
use crate::stream::Stream;
use crate::undo::{Undoing, UninstallReport};

impl Installer<'_> {
    /// Takes the plan back. `unregister` is what takes registrations back; without it they stand and
    /// are reported.
    pub fn uninstall(mut self, unregister: Option<&dyn Unregister>) -> Result<UninstallReport, InstallError> {
        let turn = self.turn()?;
        let stream = Stream::new(self.host.clock.clone(), std::mem::take(&mut self.sinks));
        let report = self.uninstall_locked(unregister, &stream, None);
        stream.close(PATIENCE);
        turn.release_for_good(self.host);
        report
    }

    /// Takes back what `effects` are about, as far as no step of the plan wants it. Everything else stays as it
    /// is, and recorded. For a part that a plan had and has no longer.
    pub fn take_back(mut self, effects: &[Effect]) -> Result<UninstallReport, InstallError> {
        let turn = self.turn()?;
        let stream = Stream::new(self.host.clock.clone(), std::mem::take(&mut self.sinks));
        let report = self.uninstall_locked(None, &stream, Some(effects));
        stream.close(PATIENCE);
        turn.release(self.host);
        report
    }

    /// Does `act` while nobody else changes this host, with the receipts of this plan and of all others: for what
    /// no receipt names, such as data, so that it is not removed under an installation.
    pub fn exclusively<T>(&self, act: impl FnOnce(&[Receipt]) -> T) -> Result<T, InstallError> {
        let turn = self.turn()?;
        let receipts = self.ledger().map(|ledger| {
            let (own, others) = ledger.into_parts();
            std::iter::once(own)
                .chain(others.into_iter().map(|(_, other)| other))
                .collect::<Vec<_>>()
        });
        let done = receipts.map(|receipts| act(&receipts));
        turn.release(self.host);
        done
    }

    /// Where the record on disk is lost: writes the one that the marks on the host tell, as a repair does, and changes
    /// nothing else. For those who claim a part of it before they take it back. Names what carries no mark, so that no
    /// record will ever tell whose it is; nothing where the record was not lost.
    pub fn recover(&self) -> Result<Option<Vec<String>>, InstallError> {
        let turn = self.turn()?;
        let stream = Stream::new(self.host.clock.clone(), Vec::new());
        let recovered = self.ledger().and_then(|ledger| {
            let shared = self.shared(ledger, &stream);
            if !shared.ledger().is_empty() {
                return Ok(None);
            }
            let rebuilt = self.rebuilt(&shared)?;
            if !rebuilt.rebuilt {
                return Ok(None);
            }
            let unknown = self.unmarked(&shared, &rebuilt)?;
            let mut ledger = shared.ledger();
            ledger.begin_with(rebuilt);
            ledger.open(self.host).map_err(EffectError::from)?;
            Ok(Some(unknown))
        });
        stream.close(PATIENCE);
        turn.release(self.host);
        recovered
    }

    /// What is on record, last first: what uninstalling would take back. Where the record is lost, what carries our
    /// mark, as uninstalling goes by it then. Looks only.
    pub fn recorded(&self) -> Result<Vec<String>, InstallError> {
        let stream = Stream::new(self.host.clock.clone(), Vec::new());
        let recorded = self.ledger().and_then(|ledger| {
            let shared = self.shared(ledger, &stream);
            // By itself: what looks at the ledger holds it, and what rebuilds looks at it as well.
            let is_lost = shared.ledger().is_empty();
            let rebuilt = if is_lost {
                Some(self.rebuilt(&shared)?)
            } else {
                None
            };
            let ledger = shared.ledger();
            let receipt = rebuilt.as_ref().unwrap_or_else(|| ledger.receipt());
            let keys = receipt.effects.iter().rev();
            Ok(keys.map(|record| record.effect.key().to_string()).collect())
        });
        stream.close(PATIENCE);
        recorded
    }

    fn uninstall_locked(
        &self,
        unregister: Option<&dyn Unregister>,
        stream: &Stream,
        part: Option<&[Effect]>,
    ) -> Result<UninstallReport, InstallError> {
        let mut unknown = Vec::new();
        let mut only = None;
        let (receipt, others) = {
            let shared = self.shared(self.ledger()?, stream);
            if let Some(part) = part {
                let wanted: BTreeSet<_> = self
                    .all_desired(&shared)
                    .iter()
                    .map(|(_, one)| one.key())
                    .collect();
                let gone = part.iter().map(Effect::key).filter(|key| !wanted.contains(key));
                only = Some(gone.collect());
            }
            if shared.ledger().is_empty() {
                let rebuilt = self.rebuilt(&shared)?;
                // On a host that never was installed to, nothing is "left".
                let was_here = rebuilt.rebuilt || shared.ledger().has_state();
                unknown = if was_here {
                    self.unmarked(&shared, &rebuilt)?
                } else {
                    Vec::new()
                };
                shared.ledger().begin_with(rebuilt);
            }
            shared
                .ledger
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .into_parts()
        };
        let titles = self
            .plan
            .summaries()
            .into_iter()
            .map(|step| (step.id, step.title))
            .collect::<BTreeMap<_, _>>();
        let undoing = Undoing {
            host: self.host,
            tracking: &self.options.tracking,
            id: &self.id,
            receipt,
            others,
            unregister,
            stream,
            cancel: &self.cancel,
            titles,
            only,
            told: (self.textfile.as_ref())
                .filter(|_| part.is_none())
                .map(|(folder, _)| Told::new(self.host, folder, &self.id)),
        };
        let mut report = undoing.run();
        report.left.extend(unknown);
        Ok(report)
    }

    /// What the plan would have made and is there, without a mark that says whose it is.
    fn unmarked(&self, shared: &Shared<'_>, rebuilt: &Receipt) -> Result<Vec<String>, InstallError> {
        let mut unknown = Vec::new();
        for (_, effect) in self.all_desired(shared) {
            let there = match &effect {
                Effect::MakeDirectory(folder) => self.host.root.entry(&folder.path),
                Effect::WriteFile(file) | Effect::PlaceBinary(file) => self.host.root.entry(&file.path),
                Effect::PlaceTree(tree) => self.host.root.entry(&tree.path),
                Effect::Symlink(link) => self.host.root.entry(&link.path),
                // What carries no mark at all: it holds, and may have before us.
                Effect::CreateGroup(_) | Effect::PackageSet(_) | Effect::FirewallRule(_) => {
                    let (host, record) = (self.host, None);
                    let holds = matches!(effect.inspect(Scene { host, record }), Ok(Standing::Holds));
                    let open = !matches!(effect, Effect::FirewallRule(_))
                        || matches!(firewall::active(host), Ok(Some(_)));
                    if holds && open && rebuilt.find(&effect.key()).is_none() {
                        unknown.push(unowned(&effect));
                    }
                    continue;
                }
                _ => continue,
            };
            let there = there.map_err(EffectError::from)? != Entry::Absent;
            if there && rebuilt.find(&effect.key()).is_none() {
                unknown.push(unowned(&effect));
            }
        }
        Ok(unknown)
    }
}

fn unowned(effect: &Effect) -> String {
    format!(
        "{}: the receipt is lost, and nothing on it says whose it is",
        effect.key()
    )
}
