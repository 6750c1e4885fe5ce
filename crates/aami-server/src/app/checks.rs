//! Checks: what admins define, and which of it is meant for one node.
//!
//! A check's id follows from its organisation, name and scope, so that two cannot have the same. Scripts
//! are no secrets: every viewer reads them, and a node chooses labels of its own.

use aami_api::check::{CreateCheck, NodeCheck, NodeChecks, PatchCheck};
use aami_api::page::Page;
use aami_model::access::{Caller, Role, Scope};
use aami_model::check::{self, Check, CheckDefinition, CheckError, CheckScope, MOST_CHECKS, MOST_SCRIPT};
use aami_model::hostname::Hostname;
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_model::{CheckId, OrgId, code};
use aami_store::keys;
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::commit::{Change, Wanted, Written, Wrote};
use super::groups::check_description;
use super::tokens::org_for;
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

fn id_of(org: &OrgId, name: &str, scope: &CheckScope) -> CheckId {
    let scope = serde_json::to_string(scope).unwrap_or_default();
    let digest = Sha256::digest(format!("{org}\n{name}\n{scope}").as_bytes());
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest[..10]);
    CheckId::from_random(bytes)
}

fn hash(definition: &CheckDefinition) -> String {
    HEXLOWER.encode(&Sha256::digest(definition.canonical()))
}

/// The room's own sentence, which begins with the member it is about.
fn refused(error: &CheckError) -> Refusal {
    Refusal::new(code::INVALID, error.to_string())
}

/// Refuses what would make an organisation's checks more, or more text, than a node can be told at once.
fn check_room(snapshot: &Snapshot, wanted: &Check) -> Result<(), Refusal> {
    let orgs = aami_model::access::Orgs::Only(vec![wanted.org.clone()]);
    let others = || {
        snapshot
            .checks(&orgs)
            .filter(|other| other.doc.id != wanted.id)
            .map(|other| &other.doc)
    };
    let script = others().map(|other| other.definition.script.len()).sum::<usize>();
    if others().count() >= MOST_CHECKS {
        Err(Refusal::new(
            code::CONFLICT,
            format!("there are {MOST_CHECKS} checks already, which is the most; delete one first"),
        ))
    } else if script + wanted.definition.script.len() > MOST_SCRIPT {
        Err(Refusal::new(
            code::CONFLICT,
            format!("the scripts of all checks together would be longer than {MOST_SCRIPT} bytes"),
        ))
    } else {
        Ok(())
    }
}

fn told(check: &Check) -> serde_json::Value {
    json!({ "name": check.definition.name, "group": check.scope.group, "sha256": check.sha256, "enabled": check.enabled })
}

impl App {
    /// The checks the caller sees.
    pub(crate) fn checks(&self, caller: &Caller, after: Option<&CheckId>, limit: usize) -> Page<Check> {
        let snapshot = self.view.current();
        let mut items: Vec<Check> = snapshot
            .checks(&caller.orgs)
            .map(|held| held.doc.clone())
            .filter(|check| after.is_none_or(|after| check.id > *after))
            .take(limit + 1)
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
        Page {
            items,
            next_page_token,
        }
    }

    /// One check, by id, or by a name that only one of them has.
    pub(crate) fn check(&self, caller: &Caller, name: &str) -> Result<Held<Check>, Refusal> {
        let snapshot = self.view.current();
        let mut named = snapshot
            .checks(&caller.orgs)
            .filter(|held| held.doc.definition.name == name);
        let by_id = name.parse().ok().and_then(|id| snapshot.check(&id, &caller.orgs));
        let found = match by_id {
            Some(held) => held,
            None => {
                let first = named.next().ok_or_else(|| Refusal::not_found("check"))?;
                if let Some(second) = named.next() {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "several checks are called {name:?}, each for other nodes: {}, {}; name one by its id",
                            first.doc.id, second.doc.id
                        ),
                    ));
                }
                first
            }
        };
        Ok(Held {
            doc: found.doc.clone(),
            revision: found.revision,
        })
    }

    /// Defines a check.
    pub(crate) async fn create_check(
        &self,
        asking: &Asking,
        wanted: CreateCheck,
    ) -> Result<(Check, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        check_description(&wanted.description)?;
        let usual = CheckDefinition::new(wanted.name, wanted.script);
        let definition = CheckDefinition {
            interval_seconds: wanted.interval_seconds.unwrap_or(usual.interval_seconds),
            timeout_seconds: wanted.timeout_seconds.unwrap_or(usual.timeout_seconds),
            interpreter: wanted.interpreter.unwrap_or(usual.interpreter),
            args: wanted.args,
            run_as: wanted.run_as,
            signature: wanted.signature,
            ..usual
        };
        definition.check().map_err(|error| refused(&error))?;
        let org = org_for(&asking.caller, wanted.org)?;
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
                let scope = CheckScope {
                    group: group.map(|held| held.doc.id.clone()),
                    selector: wanted.selector.clone(),
                };
                scope.check().map_err(|error| refused(&error))?;
                let check = Check {
                    id: id_of(&org, &definition.name, &scope),
                    org: org.clone(),
                    description: wanted.description.clone(),
                    scope,
                    enabled: wanted.enabled.unwrap_or(true),
                    sha256: hash(&definition),
                    definition: definition.clone(),
                    created_at: now,
                    updated_at: now,
                };
                if snapshot
                    .check(&check.id, &aami_model::access::Orgs::All)
                    .is_some()
                {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "there is a check {:?} for the same nodes already",
                            definition.name
                        ),
                    ));
                }
                check_room(snapshot, &check)?;
                let key = keys::check(&check.id);
                let change = Change::new(org.clone(), "check.create", format!("check:{}", check.id))
                    .noting(told(&check))
                    .tell("check.created", told(&check))
                    .transact(|txn| {
                        // A group that is removed meanwhile must not be left with a check for nobody.
                        let txn = match group {
                            Some(held) => txn.when_unchanged(keys::group(&held.doc.id), held.revision),
                            None => txn,
                        };
                        txn.when_absent(key.clone()).put(key, encode(&check))
                    });
                Ok(Wanted::Write(Box::new(change), check))
            })
            .await?;
        self.wrote_check(asking, wrote)
    }

    /// Changes a check.
    pub(crate) async fn patch_check(
        &self,
        asking: &Asking,
        name: &str,
        patch: PatchCheck,
    ) -> Result<(Check, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        if let Some(text) = &patch.description {
            check_description(text)?;
        }
        let id = self.check(&asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .check(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("check"))?;
                asking.check_match(held.revision, &held.doc)?;
                let mut check = patched(&held.doc, &patch);
                check.definition.check().map_err(|error| refused(&error))?;
                if check == held.doc {
                    return Ok(Wanted::Nothing(check));
                }
                check_room(snapshot, &check)?;
                check.updated_at = now;
                let key = keys::check(&id);
                let change = Change::new(check.org.clone(), "check.edit", format!("check:{id}"))
                    .noting(told(&check))
                    .tell("check.edited", told(&check))
                    .transact(|txn| {
                        txn.when_unchanged(key.clone(), held.revision)
                            .put(key, encode(&check))
                    });
                Ok(Wanted::Write(Box::new(change), check))
            })
            .await?;
        self.wrote_check(asking, wrote)
    }

    /// Removes a check. Nodes stop running it when they next ask.
    pub(crate) async fn delete_check(&self, asking: &Asking, name: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let id = self.check(&asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = snapshot
                    .check(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("check"))?;
                asking.check_match(held.revision, &held.doc)?;
                let key = keys::check(&id);
                let change = Change::new(held.doc.org.clone(), "check.delete", format!("check:{id}"))
                    .noting(told(&held.doc))
                    .tell("check.deleted", told(&held.doc))
                    .transact(|txn| txn.when_unchanged(key.clone(), held.revision).delete(key));
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// What one node is to run. A node is told its own, whoever else it asks for is refused; an operator
    /// names the node by its hostname.
    pub(crate) fn node_checks(
        &self,
        caller: &Caller,
        hostname: Option<&str>,
        have: Option<&str>,
    ) -> Result<NodeChecks, Refusal> {
        let hostname: Option<Hostname> = hostname
            .map(str::parse)
            .transpose()
            .map_err(|error| Refusal::invalid("hostname", error))?;
        let snapshot = self.view.current();
        let node = if caller.has_role(Role::Operator) {
            let hostname = hostname.ok_or_else(|| Refusal::invalid("hostname", "name the node"))?;
            snapshot
                .nodes(&caller.orgs, None)
                .find(|held| held.doc.hostname == hostname)
                .ok_or_else(|| Refusal::not_found("node"))?
        } else {
            let own = caller.scopes.iter().find_map(|scope| match scope {
                Scope::Node(id) => snapshot.node(id, &caller.orgs),
                _ => None,
            });
            own.filter(|held| hostname.is_none_or(|hostname| held.doc.hostname == hostname))
                .ok_or_else(|| Refusal::new(code::FORBIDDEN, "a node is told its own checks only"))?
        };
        let node = &node.doc;
        let orgs = aami_model::access::Orgs::Only(vec![node.org.clone()]);
        let all = snapshot.checks(&orgs).map(|held| &held.doc);
        let checks: Vec<NodeCheck> = check::choose(all, &node.groups, &labels_of(&snapshot, node))
            .into_iter()
            .map(|check| NodeCheck {
                id: check.id.clone(),
                enabled: check.enabled,
                sha256: check.sha256.clone(),
                definition: check.definition.clone(),
            })
            .collect();
        let set_sha256 = set_hash(&checks);
        let unchanged = have == Some(set_sha256.as_str());
        Ok(NodeChecks {
            node_id: node.id.clone(),
            set_sha256,
            unchanged,
            checks: if unchanged { Vec::new() } else { checks },
        })
    }

    fn wrote_check(&self, asking: &Asking, wrote: Wrote<Check>) -> Result<(Check, Written), Refusal> {
        match wrote {
            Wrote::Fresh(check, written) => Ok((check, written)),
            Wrote::Replayed(subject) => {
                let held = self.check(&asking.caller, subject.trim_start_matches("check:"))?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }
}

/// A check with what a patch says. A signature that covers other bytes now is dropped, not kept as a lie.
fn patched(check: &Check, patch: &PatchCheck) -> Check {
    let mut check = check.clone();
    let definition = &mut check.definition;
    let before = definition.canonical();
    macro_rules! take {
        ($($from:ident => $into:expr),+ $(,)?) => { $(
            if let Some(value) = &patch.$from {
                $into = value.clone();
            }
        )+ };
    }
    take! {
        interval_seconds => definition.interval_seconds,
        timeout_seconds => definition.timeout_seconds,
        interpreter => definition.interpreter,
        script => definition.script,
        args => definition.args,
        run_as => definition.run_as,
    }
    if definition.canonical() != before {
        definition.signature = None;
    }
    if let Some(signature) = &patch.signature {
        definition.signature = Some(signature.clone());
    }
    check.sha256 = hash(&check.definition);
    take! {
        description => check.description,
        enabled => check.enabled,
    }
    check
}

/// A node's labels with those of its groups below them, as Prometheus is told them.
fn labels_of(snapshot: &Snapshot, node: &Node) -> Labels {
    let all = aami_model::access::Orgs::All;
    node.groups
        .iter()
        .filter_map(|group| snapshot.group(group, &all))
        .fold(Labels::default(), |labels, held| {
            labels.overlaid(&held.doc.labels)
        })
        .overlaid(&node.labels)
}

fn set_hash(checks: &[NodeCheck]) -> String {
    let mut hasher = Sha256::new();
    for check in checks {
        let signature = check.definition.signature.as_ref();
        let (key, signature) = signature.map_or(("", ""), |s| (s.key_id.as_str(), s.signature.as_str()));
        // None of these holds white space.
        let line = format!(
            "{} {} {} {key} {signature}\n",
            check.id, check.sha256, check.enabled
        );
        hasher.update(line.as_bytes());
    }
    HEXLOWER.encode(&hasher.finalize())
}
