//! Rule sets: which alerts there are, for everybody and for the nodes of a group.
//!
//! There is one set a scope, so its id follows from the scope: a group's set has the group's id, the one for every node
//! of the default organisation is `global`. A set is stored only when all rules of its organisation could be handed to a
//! Prometheus with it; what a Prometheus is handed is made in [`super::bundles`].

use aami_api::page::Page;
use aami_api::rules::{CreateRuleSet, PatchRuleSet, RuleSetView};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::rules::{GLOBAL, MOST_MADE, MOST_SETS, MOST_TEXT, RuleSet};
use aami_model::{GroupId, OrgId, RuleSetId, code};
use aami_monitor::rule_sets::{self, Tenant};
use aami_store::keys;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::bundles::files_of;
use super::commit::{Change, Wanted, Written, Wrote};
use super::groups::check_description;
use super::tokens::org_for;
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

/// The id of the set of a scope.
pub(super) fn id_of(org: &OrgId, group: Option<&GroupId>) -> RuleSetId {
    let text = match group {
        Some(group) => group.as_str().to_owned(),
        None if *org == OrgId::default() => GLOBAL.to_owned(),
        None => {
            let digest = Sha256::digest(format!("{org}\n{GLOBAL}").as_bytes());
            let mut bytes = [0; 10];
            bytes.copy_from_slice(&digest[..10]);
            return RuleSetId::from_random(bytes);
        }
    };
    // Both are ids already.
    text.parse().unwrap_or_else(|_| RuleSetId::lowest())
}

/// The sets of an organisation, with `candidate` in the place of the one it replaces.
fn tenant<'a>(snapshot: &'a Snapshot, org: &'a OrgId, candidate: &'a RuleSet, orgs: &'a Orgs) -> Tenant<'a> {
    let sets = (snapshot.ruled.sets(orgs))
        .map(|held| &held.doc)
        .filter(|set| set.id != candidate.id)
        .chain([candidate]);
    of_sets(snapshot, org, sets)
}

/// Sets of one organisation, with the names of their groups.
pub(super) fn of_sets<'a>(
    snapshot: &'a Snapshot,
    org: &'a OrgId,
    sets: impl Iterator<Item = &'a RuleSet>,
) -> Tenant<'a> {
    let mut tenant = Tenant {
        org,
        global: None,
        groups: Vec::new(),
    };
    for set in sets {
        match &set.group {
            None => tenant.global = Some(set),
            Some(group) => {
                let named = snapshot.group(group, &Orgs::All);
                let name = named.map_or(group.as_str(), |held| held.doc.name.as_str());
                tenant.groups.push((name, set));
            }
        }
    }
    tenant
}

/// Refuses a set that could not be handed on, with what the judge says of it.
fn judge(snapshot: &Snapshot, candidate: &RuleSet) -> Result<(), Refusal> {
    let invalid = |error: rule_sets::SetError| Refusal::new(error.code(), error.to_string());
    let orgs = Orgs::Only(vec![candidate.org.clone()]);
    let tenant = tenant(snapshot, &candidate.org, candidate, &orgs);
    let global = tenant.global.filter(|_| candidate.group.is_some());
    rule_sets::judge(candidate, global).map_err(invalid)?;
    let all = || (tenant.groups.iter().map(|(_, set)| *set)).chain(tenant.global);
    let text: usize = (all().flat_map(|set| &set.custom))
        .map(|rule| rule.text_len())
        .sum();
    if text > MOST_TEXT {
        return Err(Refusal::new(
            code::CONFLICT,
            format!("the rules of all sets together would be longer than {MOST_TEXT} bytes"),
        ));
    }
    // What is switched off is judged as if it were not: switching it on is no moment for surprises.
    let on: Vec<RuleSet> = all()
        .map(|set| RuleSet {
            enabled: set.enabled || set.id == candidate.id,
            ..set.clone()
        })
        .collect();
    let own = files_of(snapshot, on.iter(), false).map_err(invalid)?;
    let length: usize = own.iter().map(|file| file.text.len()).sum();
    if candidate.org != OrgId::default() && length > MOST_MADE {
        return Err(Refusal::new(
            code::CONFLICT,
            format!("the rules of all groups together would come to more than {MOST_MADE} bytes of files"),
        ));
    }
    // Nor may it keep the Prometheus that watches everything from getting any rules at all. What is wrong with others' is
    // not this one's to hear, and not its fault where it was so before.
    let all = Orgs::All;
    let others = || (snapshot.ruled.sets(&all).map(|held| &held.doc)).filter(|set| set.id != candidate.id);
    let with = others().chain([candidate]);
    if files_of(snapshot, with, true).is_err() && files_of(snapshot, others(), true).is_ok() {
        return Err(Refusal::new(
            code::CONFLICT,
            "the rules of all organisations together would be more than a Prometheus is given",
        ));
    }
    Ok(())
}

fn told(set: &RuleSet) -> serde_json::Value {
    let custom: Vec<&str> = set.custom.iter().map(|rule| rule.name.as_str()).collect();
    json!({
        "group": set.group, "enabled": set.enabled, "priority": set.priority, "presets": set.presets, "custom": custom,
        "overrides": set.overrides,
    })
}

/// A set as it is shown.
fn shown(snapshot: &Snapshot, set: &RuleSet) -> RuleSetView {
    let scope = match &set.group {
        None => GLOBAL.to_owned(),
        Some(group) => snapshot
            .group(group, &Orgs::All)
            .map_or_else(|| group.to_string(), |held| held.doc.name.clone()),
    };
    let global = id_of(&set.org, None);
    let global = snapshot.ruled.set(&global, &Orgs::All).map(|held| &held.doc);
    RuleSetView {
        alerts: rule_sets::alerts_of(set, global.filter(|_| set.group.is_some())),
        scope,
        set: set.clone(),
    }
}

impl App {
    /// The rule sets the caller sees.
    pub(crate) fn rule_sets(
        &self,
        caller: &Caller,
        after: Option<&RuleSetId>,
        limit: usize,
    ) -> Page<RuleSetView> {
        let snapshot = self.view.current();
        let mut items: Vec<RuleSetView> = (snapshot.ruled.sets(&caller.orgs))
            .filter(|held| after.is_none_or(|after| held.doc.id > *after))
            .take(limit + 1)
            .map(|held| shown(&snapshot, &held.doc))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.set.id.to_string());
        Page {
            items,
            next_page_token,
        }
    }

    /// One rule set, by id, by its group's name, or as `global`.
    pub(crate) fn rule_set(&self, caller: &Caller, name: &str) -> Result<Held<RuleSetView>, Refusal> {
        let snapshot = self.view.current();
        let held = find(&snapshot, caller, name)?;
        Ok(Held {
            doc: shown(&snapshot, &held.doc),
            revision: held.revision,
        })
    }

    /// Makes the rule set of a scope that has none.
    pub(crate) async fn create_rule_set(
        &self,
        asking: &Asking,
        wanted: CreateRuleSet,
    ) -> Result<(RuleSetView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        check_description(&wanted.description)?;
        let org = org_for(&asking.caller, wanted.org.clone())?;
        let wrote = self
            .write(asking, |snapshot, now| {
                let group = match &wanted.group {
                    None => None,
                    Some(name) => Some(
                        snapshot
                            .group_named(&org, name)
                            .ok_or_else(|| Refusal::not_found("group"))?,
                    ),
                };
                let mut set = RuleSet {
                    id: id_of(&org, group.map(|held| &held.doc.id)),
                    org: org.clone(),
                    group: group.map(|held| held.doc.id.clone()),
                    description: wanted.description.clone(),
                    enabled: wanted.enabled.unwrap_or(true),
                    priority: wanted.priority.unwrap_or(0),
                    presets: wanted.presets.clone(),
                    custom: wanted.custom.clone(),
                    overrides: wanted.overrides.clone(),
                    created_at: now,
                    updated_at: now,
                };
                rule_sets::put_in_order(&mut set);
                if snapshot.ruled.set(&set.id, &Orgs::All).is_some() {
                    let whose = match group {
                        None => "for every node".to_owned(),
                        Some(held) => format!("of the group {:?}", held.doc.name),
                    };
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("there are rules {whose} already; change those"),
                    ));
                }
                if snapshot.ruled.sets(&Orgs::Only(vec![org.clone()])).count() >= MOST_SETS {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "there are {MOST_SETS} rule sets already, which is the most; delete one first"
                        ),
                    ));
                }
                judge(snapshot, &set)?;
                let key = keys::rule(&set.id);
                let change = Change::new(org.clone(), "rules.create", format!("rules:{}", set.id))
                    .noting(told(&set))
                    .tell("rules.created", told(&set))
                    .transact(|txn| {
                        // A group that is removed meanwhile must not be left with rules for nobody.
                        let txn = match group {
                            Some(held) => txn.when_unchanged(keys::group(&held.doc.id), held.revision),
                            None => txn,
                        };
                        txn.when_absent(key.clone()).put(key, encode(&set))
                    });
                let view = shown(snapshot, &set);
                Ok(Wanted::Write(Box::new(change), view))
            })
            .await?;
        self.wrote_rule_set(asking, wrote)
    }

    /// Changes a rule set.
    pub(crate) async fn patch_rule_set(
        &self,
        asking: &Asking,
        name: &str,
        patch: PatchRuleSet,
    ) -> Result<(RuleSetView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        if let Some(text) = &patch.description {
            check_description(text)?;
        }
        let id = find(&self.view.current(), &asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = (snapshot.ruled.set(&id, &asking.caller.orgs))
                    .ok_or_else(|| Refusal::not_found("rule set"))?;
                asking.check_match(held.revision, &shown(snapshot, &held.doc))?;
                let mut set = patched(&held.doc, &patch);
                rule_sets::put_in_order(&mut set);
                if set == held.doc {
                    return Ok(Wanted::Nothing(shown(snapshot, &set)));
                }
                judge(snapshot, &set)?;
                set.updated_at = now;
                let key = keys::rule(&id);
                let change = Change::new(set.org.clone(), "rules.edit", format!("rules:{id}"))
                    .noting(told(&set))
                    .tell("rules.edited", told(&set))
                    .transact(|txn| {
                        txn.when_unchanged(key.clone(), held.revision)
                            .put(key, encode(&set))
                    });
                let view = shown(snapshot, &set);
                Ok(Wanted::Write(Box::new(change), view))
            })
            .await?;
        self.wrote_rule_set(asking, wrote)
    }

    /// Removes a rule set. What is for everybody holds for its nodes from then on.
    pub(crate) async fn delete_rule_set(&self, asking: &Asking, name: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let id = find(&self.view.current(), &asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = (snapshot.ruled.set(&id, &asking.caller.orgs))
                    .ok_or_else(|| Refusal::not_found("rule set"))?;
                asking.check_match(held.revision, &shown(snapshot, &held.doc))?;
                let key = keys::rule(&id);
                let change = Change::new(held.doc.org.clone(), "rules.delete", format!("rules:{id}"))
                    .noting(told(&held.doc))
                    .tell("rules.deleted", told(&held.doc))
                    .transact(|txn| txn.when_unchanged(key.clone(), held.revision).delete(key));
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    fn wrote_rule_set(
        &self,
        asking: &Asking,
        wrote: Wrote<RuleSetView>,
    ) -> Result<(RuleSetView, Written), Refusal> {
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(subject) => {
                let held = self.rule_set(&asking.caller, subject.trim_start_matches("rules:"))?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }
}

/// A set by id, by its group's name, or as `global`: that of the caller's own organisation.
fn find(snapshot: &Snapshot, caller: &Caller, name: &str) -> Result<Held<RuleSet>, Refusal> {
    let by_id = |id: &RuleSetId| snapshot.ruled.set(id, &caller.orgs);
    let by_group = || {
        let mut groups = snapshot.groups(&caller.orgs);
        let group = groups.find(|held| held.doc.name == name)?;
        by_id(&id_of(&group.doc.org, Some(&group.doc.id)))
    };
    // A group may be called so, too; what is meant by the word is what the word means everywhere.
    let found = match name {
        GLOBAL => by_id(&id_of(&caller.orgs.home(), None)),
        _ => (name.parse().ok().and_then(|id| by_id(&id))).or_else(by_group),
    };
    let found = found.ok_or_else(|| Refusal::not_found("rule set"))?;
    Ok(Held {
        doc: found.doc.clone(),
        revision: found.revision,
    })
}

/// A set with what a patch says.
fn patched(set: &RuleSet, patch: &PatchRuleSet) -> RuleSet {
    let mut set = set.clone();
    macro_rules! take {
        ($($member:ident),+) => { $(
            if let Some(value) = &patch.$member {
                set.$member = value.clone();
            }
        )+ };
    }
    take!(description, enabled, priority, presets, custom, overrides);
    set
}
