//! Groups. A group's id follows from its organisation and name, so that two cannot have one name.

use aami_api::group::{CreateGroup, PatchGroup};
use aami_api::page::Page;
use aami_model::access::{Caller, Orgs, Role};
use aami_model::agent_config::AgentConfig;
use aami_model::group::Group;
use aami_model::token::Verdict;
use aami_model::{GroupId, OrgId, code};
use aami_store::keys;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::commit::{Change, Wanted, Written, Wrote};
use super::tokens::{check_name, org_for};
use super::{App, Asking, Refusal, access};
use crate::view::Held;
use crate::view::document::encode;

fn id_of(org: &OrgId, name: &str) -> GroupId {
    let digest = Sha256::digest(format!("{org}\n{name}").as_bytes());
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest[..10]);
    GroupId::from_random(bytes)
}

pub(super) fn check_description(text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= 500 && !text.chars().any(|c| c.is_control() && c != '\n') {
        return Ok(());
    }
    Err(Refusal::invalid(
        "description",
        "it is at most 500 printable characters",
    ))
}

impl App {
    fn check_agents(&self, agents: &AgentConfig) -> Result<(), Refusal> {
        let timeout = u32::try_from(self.config.heartbeat_timeout.as_secs()).unwrap_or(u32::MAX);
        agents
            .check(timeout)
            .map_err(|error| Refusal::invalid("agents", error))
    }

    /// The groups the caller sees.
    pub(crate) fn groups(&self, caller: &Caller, after: Option<&GroupId>, limit: usize) -> Page<Group> {
        let snapshot = self.view.current();
        let mut items: Vec<Group> = snapshot
            .groups(&caller.orgs)
            .map(|held| held.doc.clone())
            .filter(|group| after.is_none_or(|after| group.id > *after))
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

    /// One group, by id or name.
    pub(crate) fn group(&self, caller: &Caller, name: &str) -> Result<Held<Group>, Refusal> {
        let snapshot = self.view.current();
        let found = snapshot
            .groups(&caller.orgs)
            .find(|held| held.doc.id.as_str() == name || held.doc.name == name)
            .ok_or_else(|| Refusal::not_found("group"))?;
        Ok(Held {
            doc: found.doc.clone(),
            revision: found.revision,
        })
    }

    /// Makes a group.
    pub(crate) async fn create_group(
        &self,
        asking: &Asking,
        wanted: CreateGroup,
    ) -> Result<(Group, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        check_name(&wanted.name)?;
        check_description(&wanted.description)?;
        wanted
            .labels
            .check()
            .map_err(|error| Refusal::invalid("labels", error))?;
        self.check_agents(&wanted.agents)?;
        let org = org_for(&asking.caller, wanted.org.clone())?;
        let id = id_of(&org, &wanted.name);
        let wrote = self
            .write(asking, |snapshot, now| {
                if snapshot.group(&id, &Orgs::All).is_some() {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("there is a group {:?} already", wanted.name),
                    ));
                }
                let group = Group {
                    id: id.clone(),
                    org: org.clone(),
                    name: wanted.name.clone(),
                    description: wanted.description.clone(),
                    labels: wanted.labels.clone(),
                    agents: wanted.agents.clone(),
                    created_at: now,
                };
                let change = Change::new(org.clone(), "group.create", format!("group:{id}"))
                    .tell("group.created", json!({ "name": group.name }))
                    .transact(|txn| {
                        txn.when_absent(keys::group(&id))
                            .put(keys::group(&id), encode(&group))
                    });
                Ok(Wanted::Write(Box::new(change), group))
            })
            .await?;
        match wrote {
            Wrote::Fresh(group, written) => Ok((group, written)),
            Wrote::Replayed(_) => {
                let held = self.group(&asking.caller, id.as_str())?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }

    /// Changes a group.
    pub(crate) async fn patch_group(
        &self,
        asking: &Asking,
        name: &str,
        patch: PatchGroup,
    ) -> Result<(Group, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        if let Some(text) = &patch.description {
            check_description(text)?;
        }
        if let Some(labels) = &patch.labels {
            labels
                .check()
                .map_err(|error| Refusal::invalid("labels", error))?;
        }
        if let Some(agents) = &patch.agents {
            self.check_agents(agents)?;
        }
        let id = self.group(&asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = snapshot
                    .group(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("group"))?;
                asking.check_match(held.revision, &held.doc)?;
                let mut group = held.doc.clone();
                if let Some(text) = &patch.description {
                    group.description.clone_from(text);
                }
                if let Some(labels) = &patch.labels {
                    group.labels.clone_from(labels);
                }
                if let Some(agents) = &patch.agents {
                    group.agents.clone_from(agents);
                }
                if group == held.doc {
                    return Ok(Wanted::Nothing(group));
                }
                let change = Change::new(group.org.clone(), "group.edit", format!("group:{id}"))
                    .tell("group.edited", json!({ "name": group.name }))
                    .transact(|txn| {
                        txn.when_unchanged(keys::group(&id), held.revision)
                            .put(keys::group(&id), encode(&group))
                    });
                Ok(Wanted::Write(Box::new(change), group))
            })
            .await?;
        match wrote {
            Wrote::Fresh(group, written) => Ok((group, written)),
            Wrote::Replayed(_) => {
                let held = self.group(&asking.caller, id.as_str())?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }

    /// Removes a group nobody is in.
    pub(crate) async fn delete_group(&self, asking: &Asking, name: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let id = self.group(&asking.caller, name)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = snapshot
                    .group(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("group"))?;
                asking.check_match(held.revision, &held.doc)?;
                let members = snapshot
                    .nodes(&Orgs::All, None)
                    .filter(|node| node.doc.groups.contains(&id))
                    .count();
                if members > 0 {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "{members} nodes are in the group {:?}; take them out first",
                            held.doc.name
                        ),
                    ));
                }
                let meant = snapshot
                    .checks(&Orgs::All)
                    .filter(|check| check.doc.scope.group.as_ref() == Some(&id))
                    .count();
                if meant > 0 {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "{meant} checks are meant for the group {:?}; delete them first",
                            held.doc.name
                        ),
                    ));
                }
                if snapshot
                    .ruled
                    .sets(&Orgs::All)
                    .any(|set| set.doc.group.as_ref() == Some(&id))
                {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "there are alert rules of the group {:?}; delete them first",
                            held.doc.name
                        ),
                    ));
                }
                let watched = snapshot
                    .ruled
                    .prometheuses(&Orgs::All)
                    .find(|one| one.doc.groups.contains(&id));
                if let Some(one) = watched {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "the Prometheus {:?} watches the group {:?}; change that first",
                            one.doc.name, held.doc.name
                        ),
                    ));
                }
                // A machine that enrols with such a token would join a group that is not there.
                let now = self.world.now();
                let named = snapshot
                    .tokens(&Orgs::All, None)
                    .filter(|token| token.doc.group.as_ref() == Some(&id))
                    .filter(|token| {
                        matches!(
                            token.doc.judge(now, snapshot.used(&token.doc.id)),
                            Verdict::Good { .. }
                        )
                    })
                    .count();
                if named > 0 {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "{named} bootstrap tokens enrol into the group {:?}; revoke them first",
                            held.doc.name
                        ),
                    ));
                }
                let change = Change::new(held.doc.org.clone(), "group.delete", format!("group:{id}"))
                    .tell("group.deleted", json!({ "name": held.doc.name }))
                    .transact(|txn| {
                        // A wish about nodes that are not there goes with it, also one that is not seen here yet.
                        txn.when_unchanged(keys::group(&id), held.revision)
                            .delete(keys::group(&id))
                            .delete(keys::rollout(&id))
                            .delete(keys::rule(&super::rules::id_of(&held.doc.org, Some(&id))))
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }
}
