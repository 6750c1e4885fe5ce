//! Prometheuses: who is told what to alert on, where it is, and who brings it its rules.
//!
//! The one on this machine is this control plane's own ([`App::keep_local`]); any other runs on a node, whose agent
//! delivers. A Prometheus is asked questions by this process, so whoever may not act for every organisation can name
//! only addresses of their own nodes.

use std::path::Path;

use aami_api::page::Page;
use aami_api::prometheus::{CreatePrometheus, PatchPrometheus, PrometheusView};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::node::Node;
use aami_model::prometheus::{
    LOCAL, LoadResult, Loading, MOST, MOST_GROUPS, MOST_ON_NODE, Prometheus, RuleState,
};
use aami_model::{GroupId, NodeId, OrgId, PrometheusId, code};
use aami_store::keys;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::commit::{Change, Wanted, Written, Wrote};
use super::tokens::{check_name, org_for};
use super::{App, Asking, Refusal, access};
use crate::notify::wire::Place;
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

fn id_of(org: &OrgId, name: &str) -> PrometheusId {
    let digest = Sha256::digest(format!("{org}\n{name}").as_bytes());
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest[..10]);
    PrometheusId::from_random(bytes)
}

/// What the one on the machine of a replica is called, where several replicas have one each: by the machine and the folder
/// its rules are in, so that it is the same after each start.
fn local_name(machine: &str, rules: &Path) -> String {
    let digest = Sha256::digest(format!("{machine}\n{}", rules.display()).as_bytes());
    let machine: String = (machine.chars())
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        .take(40)
        .collect();
    let machine = machine.to_ascii_lowercase();
    format!(
        "{LOCAL}-{machine}-{}",
        data_encoding::HEXLOWER.encode(&digest[..3])
    )
}

/// Whether somebody may see everything about a Prometheus: in one that watches everything are the rules of all.
pub(super) fn sees_all_of(prometheus: &Prometheus, orgs: &Orgs) -> bool {
    !prometheus.everything || *orgs == Orgs::All
}

/// A Prometheus as somebody sees it.
fn as_seen_by(orgs: &Orgs, mut view: PrometheusView) -> PrometheusView {
    if !sees_all_of(&view.prometheus, orgs)
        && let Some(last) = &mut view.last
    {
        last.sentence = None;
        last.failing.clear();
    }
    view
}

/// Refuses one more on a node whose agent serves no more.
fn check_room(snapshot: &Snapshot, node: &NodeId, but: &PrometheusId) -> Result<(), Refusal> {
    let others = (snapshot.ruled.delivered_by(node)).filter(|held| held.doc.id != *but);
    if others.count() < MOST_ON_NODE {
        return Ok(());
    }
    Err(Refusal::new(
        code::CONFLICT,
        format!(
            "{MOST_ON_NODE} Prometheuses run on that node already, and its agent brings rules to no more"
        ),
    ))
}

/// Reads an address that this process will ask; for an organisation's own admin it has to be one of its nodes.
fn check_url(field: &str, url: &str, snapshot: &Snapshot, caller: &Caller) -> Result<(), Refusal> {
    let place = Place::parse(url).map_err(|why| Refusal::invalid(field, why))?;
    if url.contains(['?', '#']) {
        return Err(Refusal::invalid(field, "it has no query"));
    }
    if caller.orgs == Orgs::All {
        return Ok(());
    }
    let is_there = |node: &Node| {
        let by_address =
            (place.host.parse()).is_ok_and(|ip: std::net::IpAddr| ip.to_canonical() == node.ip_address);
        by_address || place.host.eq_ignore_ascii_case(node.hostname.as_str())
    };
    if snapshot.nodes(&caller.orgs, None).any(|held| is_there(&held.doc)) {
        Ok(())
    } else {
        Err(Refusal::invalid(
            field,
            "its host is the address or name of one of your nodes",
        ))
    }
}

fn node_named(snapshot: &Snapshot, org: &OrgId, name: &str) -> Result<NodeId, Refusal> {
    let orgs = Orgs::Only(vec![org.clone()]);
    let by_id = name.parse().ok().and_then(|id| snapshot.node(&id, &orgs));
    let found = by_id.or_else(|| {
        snapshot
            .nodes(&orgs, None)
            .find(|held| held.doc.hostname.as_str().eq_ignore_ascii_case(name))
    });
    found
        .map(|held| held.doc.id.clone())
        .ok_or_else(|| Refusal::not_found("node"))
}

fn groups_named(snapshot: &Snapshot, org: &OrgId, names: &[String]) -> Result<Vec<GroupId>, Refusal> {
    if names.len() > MOST_GROUPS {
        return Err(Refusal::invalid(
            "groups",
            format!("they are at most {MOST_GROUPS}"),
        ));
    }
    let mut ids = (names.iter())
        .map(|name| match snapshot.group_named(org, name) {
            Some(held) => Ok(held.doc.id.clone()),
            None => Err(Refusal::not_found("group")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn told(prometheus: &Prometheus) -> serde_json::Value {
    json!({
        "name": prometheus.name, "url": prometheus.url, "alertmanager_url": prometheus.alertmanager_url,
        "node": prometheus.node, "groups": prometheus.groups,
    })
}

impl App {
    /// What the Prometheus on this machine is called. Replicas that share a store have one each, and each its own.
    fn local_name(&self) -> String {
        match &self.config.prometheus_rules {
            Some(rules) if self.config.store_kind() == "etcd" => {
                let machine = rustix::system::uname();
                local_name(&machine.nodename().to_string_lossy(), rules)
            }
            _ => LOCAL.to_owned(),
        }
    }

    /// The id of the one on this machine.
    pub(crate) fn local_id(&self) -> PrometheusId {
        id_of(&OrgId::default(), &self.local_name())
    }

    /// A Prometheus as it is shown to who sees everything.
    pub(super) fn shown_prometheus(&self, snapshot: &Snapshot, prometheus: &Prometheus) -> PrometheusView {
        let made = self.bundle_of(snapshot, prometheus);
        let wanted = made
            .as_ref()
            .map_or_else(|_| String::new(), |bundle| bundle.sha256.clone());
        let mut last = snapshot
            .ruled
            .loading(&prometheus.id)
            .map(|held| held.doc.clone());
        if let Err((code, why)) = &made {
            // Whatever was said last, this is why nothing else comes.
            let before = last.take();
            last = Some(Loading {
                sha256: String::new(),
                result: LoadResult::Failed,
                at: before.as_ref().map_or(prometheus.updated_at, |last| last.at),
                loaded: before.as_ref().and_then(|last| last.loaded.clone()),
                loaded_at: before.as_ref().and_then(|last| last.loaded_at),
                code: Some(code.symbol.to_owned()),
                sentence: Some(format!("the rules it should have cannot be made: {why}")),
                failing: before.map(|last| last.failing).unwrap_or_default(),
            });
        }
        let delivered_by = match &prometheus.node {
            None => LOCAL.to_owned(),
            Some(id) => (snapshot.node(id, &Orgs::All))
                .map_or_else(|| id.to_string(), |held| held.doc.hostname.to_string()),
        };
        let group_names = (prometheus.groups.iter())
            .filter_map(|id| Some(snapshot.group(id, &Orgs::All)?.doc.name.clone()))
            .collect();
        PrometheusView {
            state: match &made {
                Ok(_) => RuleState::of(&wanted, last.as_ref()),
                Err(_) => RuleState::Failed,
            },
            prometheus: prometheus.clone(),
            delivered_by,
            group_names,
            wanted,
            last,
        }
    }

    /// The Prometheuses the caller sees.
    pub(crate) fn prometheuses(
        &self,
        caller: &Caller,
        after: Option<&PrometheusId>,
        limit: usize,
    ) -> Page<PrometheusView> {
        let snapshot = self.view.current();
        let mut items: Vec<PrometheusView> = (snapshot.ruled.prometheuses(&caller.orgs))
            .filter(|held| after.is_none_or(|after| held.doc.id > *after))
            .take(limit + 1)
            .map(|held| as_seen_by(&caller.orgs, self.shown_prometheus(&snapshot, &held.doc)))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = (items.last().filter(|_| more)).map(|last| last.prometheus.id.to_string());
        Page {
            items,
            next_page_token,
        }
    }

    /// One Prometheus, by id or name.
    pub(crate) fn prometheus(&self, caller: &Caller, name: &str) -> Result<Held<PrometheusView>, Refusal> {
        let snapshot = self.view.current();
        let held = find(&snapshot, &caller.orgs, name)?;
        Ok(Held {
            doc: as_seen_by(&caller.orgs, self.shown_prometheus(&snapshot, &held.doc)),
            revision: held.revision,
        })
    }

    /// Notes a Prometheus that runs on a node.
    pub(crate) async fn create_prometheus(
        &self,
        asking: &Asking,
        wanted: CreatePrometheus,
    ) -> Result<(PrometheusView, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        check_name(&wanted.name)?;
        let org = org_for(&asking.caller, wanted.org.clone())?;
        let id = id_of(&org, &wanted.name);
        let is_local = wanted.name == LOCAL || wanted.name.starts_with("local-");
        if org == OrgId::default() && is_local {
            return Err(Refusal::invalid(
                "name",
                format!(
                    "{LOCAL:?}, and what begins so, is the Prometheus on the control plane's own machine"
                ),
            ));
        }
        if wanted.node.is_empty() {
            return Err(Refusal::invalid(
                "node",
                "name the node it runs on; its agent brings it its rules",
            ));
        }
        let wrote = self
            .write(asking, |snapshot, now| {
                check_url("url", &wanted.url, snapshot, &asking.caller)?;
                if let Some(url) = &wanted.alertmanager_url {
                    check_url("alertmanager_url", url, snapshot, &asking.caller)?;
                }
                if snapshot.ruled.prometheus(&id, &Orgs::All).is_some() {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("there is a Prometheus {:?} already", wanted.name),
                    ));
                }
                let own = Orgs::Only(vec![org.clone()]);
                if snapshot.ruled.prometheuses(&own).count() >= MOST {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("there are {MOST} Prometheuses already, which is the most; delete one first"),
                    ));
                }
                let node = node_named(snapshot, &org, &wanted.node)?;
                check_room(snapshot, &node, &id)?;
                let prometheus = Prometheus {
                    id: id.clone(),
                    org: org.clone(),
                    name: wanted.name.clone(),
                    url: wanted.url.trim_end_matches('/').to_owned(),
                    alertmanager_url: wanted.alertmanager_url.clone(),
                    everything: false,
                    groups: groups_named(snapshot, &org, &wanted.groups)?,
                    node: Some(node),
                    created_at: now,
                    updated_at: now,
                };
                let key = keys::prometheus(&id);
                let change = Change::new(org.clone(), "prometheus.create", format!("prometheus:{id}"))
                    .noting(told(&prometheus))
                    .tell("prometheus.created", told(&prometheus))
                    .transact(|txn| txn.when_absent(key.clone()).put(key, encode(&prometheus)));
                Ok(Wanted::Write(Box::new(change), prometheus))
            })
            .await?;
        self.wrote_prometheus(asking, wrote)
    }

    /// Changes what is noted of a Prometheus.
    pub(crate) async fn patch_prometheus(
        &self,
        asking: &Asking,
        name: &str,
        patch: PatchPrometheus,
    ) -> Result<(PrometheusView, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let found = find(&self.view.current(), &asking.caller.orgs, name)?.doc;
        let id = found.id;
        if found.node.is_none() {
            return Err(own_configuration());
        }
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = (snapshot.ruled.prometheus(&id, &asking.caller.orgs))
                    .ok_or_else(|| Refusal::not_found("Prometheus"))?;
                asking.check_match(held.revision, &held.doc)?;
                let mut prometheus = held.doc.clone();
                if let Some(url) = &patch.url {
                    check_url("url", url, snapshot, &asking.caller)?;
                    prometheus.url = url.trim_end_matches('/').to_owned();
                }
                if let Some(url) = &patch.alertmanager_url {
                    if !url.is_empty() {
                        check_url("alertmanager_url", url, snapshot, &asking.caller)?;
                    }
                    prometheus.alertmanager_url = Some(url.clone()).filter(|url| !url.is_empty());
                }
                if let Some(node) = &patch.node {
                    let node = node_named(snapshot, &prometheus.org, node)?;
                    check_room(snapshot, &node, &id)?;
                    prometheus.node = Some(node);
                }
                if let Some(groups) = &patch.groups {
                    prometheus.groups = groups_named(snapshot, &prometheus.org, groups)?;
                }
                if prometheus == held.doc {
                    return Ok(Wanted::Nothing(prometheus));
                }
                prometheus.updated_at = now;
                let key = keys::prometheus(&id);
                // Another node knows nothing of what the one before had loaded.
                let moved = prometheus.node != held.doc.node && snapshot.ruled.loading(&id).is_some();
                let change = Change::new(
                    prometheus.org.clone(),
                    "prometheus.edit",
                    format!("prometheus:{id}"),
                )
                .noting(told(&prometheus))
                .tell("prometheus.edited", told(&prometheus))
                .transact(|txn| {
                    let txn = txn
                        .when_unchanged(key.clone(), held.revision)
                        .put(key, encode(&prometheus));
                    if moved {
                        txn.delete(keys::prometheus_loaded(&id))
                    } else {
                        txn
                    }
                });
                Ok(Wanted::Write(Box::new(change), prometheus))
            })
            .await?;
        self.wrote_prometheus(asking, wrote)
    }

    /// Forgets a Prometheus. The agent of its node takes the rules out that it brought there.
    pub(crate) async fn delete_prometheus(&self, asking: &Asking, name: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let id = find(&self.view.current(), &asking.caller.orgs, name)?.doc.id;
        if id == self.local_id() && self.config.prometheus_rules.is_some() {
            return Err(own_configuration());
        }
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = (snapshot.ruled.prometheus(&id, &asking.caller.orgs))
                    .ok_or_else(|| Refusal::not_found("Prometheus"))?;
                asking.check_match(held.revision, &held.doc)?;
                let key = keys::prometheus(&id);
                let change = Change::new(
                    held.doc.org.clone(),
                    "prometheus.delete",
                    format!("prometheus:{id}"),
                )
                .noting(told(&held.doc))
                .tell("prometheus.deleted", told(&held.doc))
                .transact(|txn| {
                    txn.when_unchanged(key.clone(), held.revision)
                        .delete(key)
                        .delete(keys::prometheus_loaded(&id))
                });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// Notes the Prometheus on this machine as the configuration names it, where that is news.
    pub(crate) async fn keep_local(&self) -> Result<(), Refusal> {
        let Some(url) =
            (self.config.prometheus_url.as_ref()).filter(|_| self.config.prometheus_rules.is_some())
        else {
            return Ok(());
        };
        let (id, name) = (self.local_id(), self.local_name());
        self.write(&Asking::by(Caller::system()), |snapshot, now| {
            let held = snapshot.ruled.prometheus(&id, &Orgs::All);
            let mut prometheus = Prometheus {
                id: id.clone(),
                org: OrgId::default(),
                name: name.clone(),
                url: url.trim_end_matches('/').to_owned(),
                alertmanager_url: self.config.alertmanager_url.clone(),
                everything: true,
                groups: Vec::new(),
                node: None,
                created_at: held.map_or(now, |held| held.doc.created_at),
                updated_at: held.map_or(now, |held| held.doc.updated_at),
            };
            if held.is_some_and(|held| held.doc == prometheus) {
                return Ok(Wanted::Nothing(()));
            }
            prometheus.updated_at = now;
            let key = keys::prometheus(&id);
            let change = Change::new(OrgId::default(), "prometheus.local", format!("prometheus:{id}"))
                .noting(told(&prometheus))
                .transact(|txn| {
                    let txn = match held {
                        Some(held) => txn.when_unchanged(key.clone(), held.revision),
                        None => txn.when_absent(key.clone()),
                    };
                    txn.put(key, encode(&prometheus))
                });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await
        .map(drop)
    }

    fn wrote_prometheus(
        &self,
        asking: &Asking,
        wrote: Wrote<Prometheus>,
    ) -> Result<(PrometheusView, Written), Refusal> {
        match wrote {
            Wrote::Fresh(prometheus, written) => {
                let snapshot = self.view.current();
                Ok((self.shown_prometheus(&snapshot, &prometheus), written))
            }
            Wrote::Replayed(subject) => {
                let id = subject.trim_start_matches("prometheus:");
                let held = self.prometheus(&asking.caller, id)?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }
}

fn own_configuration() -> Refusal {
    Refusal::new(
        code::CONFLICT,
        "this is the Prometheus on the control plane's own machine; the control plane's configuration names it",
    )
}

/// A Prometheus by id, or by a name that only one of those that are seen has.
pub(super) fn find(snapshot: &Snapshot, orgs: &Orgs, name: &str) -> Result<Held<Prometheus>, Refusal> {
    let by_id = (name.parse().ok()).and_then(|id| snapshot.ruled.prometheus(&id, orgs));
    let mut named = (snapshot.ruled.prometheuses(orgs)).filter(|held| held.doc.name == name);
    let found = match by_id {
        Some(held) => held,
        None => {
            let first = named.next().ok_or_else(|| Refusal::not_found("Prometheus"))?;
            if named.next().is_some() {
                return Err(Refusal::new(
                    code::CONFLICT,
                    format!("several Prometheuses are called {name:?}; name one by its id"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_has_its_own_prometheus_under_a_name_that_stays() {
        let rules = Path::new("/var/lib/aami/targets/rules");
        let one = local_name("Head-1.example", rules);
        assert!(one.starts_with("local-head-1.example-"), "{one}");
        assert_eq!(one, local_name("Head-1.example", rules));
        assert_ne!(one, local_name("head-2", rules));
        assert_ne!(one, local_name("Head-1.example", Path::new("/srv/rules")));
        let odd = local_name(&"/ü \n".repeat(100), rules);
        assert!(aami_model::group::name_fits(&odd), "{odd}");
    }
}
