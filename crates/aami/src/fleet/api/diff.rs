//! What a control plane wants against what there is: nodes that are declared and not there, configurations and versions of
//! agents, and the rules of each Prometheus.

use aami_api::client::ClientError;
use aami_api::node::NodeView;
use aami_api::prometheus::PrometheusView;
use aami_api::rollout::Rollouts;
use aami_model::code;
use aami_model::node_status::NodeStatus;
use aami_model::nodeset::NodeSet;
use aami_model::prometheus::RuleState;
use aami_model::rollout::RolloutStatus;

use super::ApiFleet;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::fleet::Fleet as _;
use crate::fleet::diff::{Difference, Differences, Kind, Part};
use crate::fleet::health::some_of;

pub(super) fn differences(fleet: &ApiFleet) -> Result<Differences, Failure> {
    let session = &fleet.session;
    let all: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &Query::default(), None)?;
    let mut differences = nodes(&all);
    let mut compared = all.len();
    let rollouts: Rollouts = session.client.get("/api/v1/rollouts")?;
    compared += rollouts.rollouts.len();
    differences.extend(agents(&rollouts));
    match prometheuses(session)? {
        Some(all) => {
            compared += all.len();
            differences.extend(all.iter().filter_map(rules));
        }
        None => differences.push(
            Difference::new(
                Part::Rules,
                Kind::Unknown,
                session.client.server(),
                "this control plane does not say which rules its Prometheuses have: it is an older one",
            )
            .coded(code::NOT_FOUND)
            .next("aami version"),
        ),
    }
    Ok(Differences::of(fleet.name(), compared, differences))
}

/// The Prometheuses; none where it is a control plane that keeps none.
pub(super) fn prometheuses(session: &Session) -> Result<Option<Vec<PrometheusView>>, Failure> {
    match paging::all(session, "/api/v1/prometheuses", &Query::default(), None) {
        Ok(all) => Ok(Some(all)),
        Err(Failure::Client(ClientError::Refused(problem))) if problem.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn nodes(all: &[NodeView]) -> Vec<Difference> {
    let those = |fits: &dyn Fn(&NodeView) -> bool| {
        let names: Vec<&str> = (all.iter())
            .filter(|node| fits(node))
            .map(|node| node.hostname.as_str())
            .collect();
        (!names.is_empty()).then(|| {
            NodeSet::from_names(names.iter().copied()).map_or_else(|_| names.join(","), |set| set.to_string())
        })
    };
    let mut differences = Vec::new();
    if let Some(names) = those(&|node| node.status == NodeStatus::Pending) {
        differences.push(
            Difference::new(Part::Nodes, Kind::Missing, &names, "declared, and not enrolled")
                .coded(code::NODE_NOT_INSTALLED)
                .next(format!("aami nodes install '{names}'")),
        );
    }
    if let Some(names) = those(&|node| node.status == NodeStatus::Error) {
        let sentence = "the installation failed";
        differences.push(
            Difference::new(Part::Nodes, Kind::Missing, &names, sentence).next("aami runs list --unfinished"),
        );
    }
    // A node that is gone takes nothing over.
    let counts = |node: &NodeView| node.status != NodeStatus::Inactive;
    let refused = |node: &NodeView| (node.config.as_ref()).is_some_and(|config| config.refused.is_some());
    if let Some(names) = those(&|node| counts(node) && refused(node)) {
        let sentence = "the agent refused the configuration of its groups";
        let first = all.iter().find(|node| counts(node) && refused(node));
        let first = first.map_or("", |node| node.hostname.as_str());
        differences.push(
            Difference::new(Part::Agents, Kind::NotLoaded, &names, sentence)
                .next(format!("aami nodes show {first}")),
        );
    }
    let behind = |node: &NodeView| {
        (node.config.as_ref())
            .is_some_and(|config| config.refused.is_none() && config.wanted != config.applied)
    };
    if let Some(names) = those(&|node| counts(node) && behind(node)) {
        let sentence = "the agent does not run by the configuration of its groups yet";
        differences.push(Difference::new(Part::Agents, Kind::Changed, &names, sentence));
    }
    differences
}

fn agents(rollouts: &Rollouts) -> Vec<Difference> {
    let other = |view: &aami_api::rollout::RolloutView| -> Option<Difference> {
        let tally = &view.nodes;
        let missing = tally.nodes.saturating_sub(tally.updated);
        if view.status == RolloutStatus::Done && missing == 0 {
            return None;
        }
        let sentence = format!(
            "{missing} of {} agents are not of version {} ({}){}",
            tally.nodes,
            view.plan.version,
            view.status.name(),
            if view.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", view.reason)
            }
        );
        Some(
            Difference::new(Part::Agents, Kind::Changed, &view.group_name, sentence)
                .next(format!("aami agents show {}", view.group_name)),
        )
    };
    rollouts.rollouts.iter().filter_map(other).collect()
}

fn rules(one: &PrometheusView) -> Option<Difference> {
    let failing = one.last.as_ref().map_or(&[][..], |last| last.failing.as_slice());
    let why = (one.last.as_ref())
        .and_then(|last| last.sentence.as_ref())
        .map_or_else(String::new, |why| format!(": {why}"));
    let loaded = (one.last.as_ref())
        .and_then(|last| last.loaded.as_deref())
        .map_or("none", |hash| &hash[..hash.len().min(12)]);
    let wanted = &one.wanted[..one.wanted.len().min(12)];
    let (kind, sentence) = match one.state {
        RuleState::Loaded if failing.is_empty() => return None,
        RuleState::Loaded => (
            Kind::NotLoaded,
            format!(
                "it has its rules, and cannot evaluate {}",
                some_of(failing.iter().map(String::as_str))
            ),
        ),
        RuleState::Pending => (
            Kind::Changed,
            format!("it has rules {loaded}, and {wanted} are wanted; it has not been told yet"),
        ),
        RuleState::Waiting => (
            Kind::NotLoaded,
            format!("rules {wanted} lie in their place, and it is not there to load them{why}"),
        ),
        RuleState::Failed => (
            Kind::NotLoaded,
            format!("it did not take rules {wanted} and goes on with {loaded}{why}"),
        ),
    };
    Some(
        Difference::new(Part::Rules, kind, &one.prometheus.name, sentence)
            .coded(code::ALERT_RULES_NOT_LOADED)
            .next("aami alerts list"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(wanted: &str, last: &serde_json::Value) -> PrometheusView {
        serde_json::from_value(json!({
            "id": "local", "org": "default", "name": "local", "url": "http://127.0.0.1:9090",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "delivered_by": "local", "state": last["state"], "wanted": wanted, "last": last["last"],
        }))
        .unwrap()
    }

    #[test]
    fn a_prometheus_that_has_what_is_wanted_is_no_difference() {
        let loaded = |result: &str, failing: &[&str]| json!({"sha256": "a1", "result": result, "at": "2026-01-01T00:00:00Z", "loaded": "a1", "failing": failing});
        let told = |state: &str, last| rules(&view("a1", &json!({"state": state, "last": last})));
        assert_eq!(told("loaded", loaded("loaded", &[])), None);
        let failing = told("loaded", loaded("loaded", &["A: many-to-many"])).unwrap();
        assert!(failing.sentence.contains("many-to-many"), "{failing:?}");
        assert_eq!(
            told("failed", loaded("failed", &[])).unwrap().kind,
            Kind::NotLoaded
        );
        let pending = told("pending", serde_json::Value::Null).unwrap();
        assert!(
            pending.kind == Kind::Changed && pending.sentence.contains("rules none"),
            "{pending:?}"
        );
    }
}
