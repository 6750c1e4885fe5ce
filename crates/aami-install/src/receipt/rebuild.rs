//! A receipt put together again from what stands on the host, when the real one is lost.
//!
//! Only what carries this plan's own mark is taken for ours: files with the marked first line, users
//! with the marked comment. What stood there before is not known and never guessed. Everything else
//! the plan would have made (programs, folders, links, groups) may have been there before, so it is
//! named to the operator and left.

use aami_model::Timestamp;

use super::{Before, Receipt, Record};
use crate::effect::{Effect, EffectError, Signature, tree};
use crate::host::Host;
use crate::tracking::PlanId;

/// How much of a file is read to find its mark.
const HEAD: usize = 4096;

/// What carries the mark of `plan` among the things `effects` (each with its step) are about.
pub(crate) fn rebuilt(
    host: &Host,
    plan: &PlanId,
    signature: &Signature,
    effects: &[(String, Effect)],
    now: Timestamp,
) -> Result<Receipt, EffectError> {
    let mut receipt = Receipt {
        rebuilt: true,
        ..Receipt::new(plan, now)
    };
    for (step, effect) in effects {
        let found = match effect {
            Effect::WriteFile(file) => {
                let marked = head(host, &file.path)?.is_some_and(|head| signature.is_on(&head));
                marked
                    .then(|| host.root.digest(&file.path))
                    .transpose()?
                    .flatten()
                    .map(|digest| effect.record(Some(digest)))
            }
            // Its list carries the mark.
            Effect::PlaceTree(place) => {
                let list = tree::list_path(&place.path);
                let marked = head(host, &list)?.is_some_and(|head| signature.is_on(&head));
                marked
                    .then(|| tree::list_of(&host.root, &place.path))
                    .transpose()?
                    .flatten()
                    .map(|digest| effect.record(Some(digest)))
            }
            Effect::CreateUser(user) => {
                let found = host.accounts().user(&user.name)?;
                found
                    .filter(|found| found.comment == signature.comment())
                    .map(|_| effect.record(None))
            }
            // The unit of a unit file of ours.
            Effect::UnitState(unit) => {
                let ours = receipt.effects.iter().filter_map(Record::file).any(|file| {
                    file.path.name() == unit.unit && crate::effect::unit::is_unit_file(&file.path)
                });
                ours.then(|| effect.record(None))
            }
            // The containers of a compose file of ours.
            Effect::ContainerProject(project) => {
                let files = receipt.effects.iter().filter_map(Record::file);
                let ours = files.map(|file| &file.path).any(|path| *path == project.file);
                ours.then(|| effect.record(None))
            }
            // Where the firewall keeps comments.
            Effect::FirewallRule(rule) => {
                let scene = crate::effect::Scene { host, record: None };
                if crate::effect::firewall::is_marked(scene, rule)? {
                    Some(rule.foresee(scene)?)
                } else {
                    None
                }
            }
            // Only this node's own registration leaves a credential there.
            Effect::Registration(registration) => host
                .root
                .open_file(&registration.credential)?
                .map(|_| effect.record(None)),
            _ => None,
        };
        if let Some(effect) = found {
            let before = Before::Unknown;
            receipt.effects.push(Record {
                step: step.clone(),
                at: now,
                done: true,
                effect,
                before,
                earlier: Vec::new(),
            });
        }
    }
    Ok(receipt)
}

fn head(host: &Host, path: &crate::path::HostPath) -> Result<Option<Vec<u8>>, EffectError> {
    use std::io::Read;
    let Some(file) = host.root.open_file(path)? else {
        return Ok(None);
    };
    let mut head = Vec::new();
    file.take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(|source| crate::root::FsError {
            doing: "read",
            path: path.clone(),
            source,
        })?;
    Ok(Some(head))
}
