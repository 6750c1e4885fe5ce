//! The routes about alerts: presets, rule sets, what fires, and the Prometheuses that rules go to.

use aami_api::prometheus::{
    CreatePrometheus, LoadReport, NodePrometheuses, PatchPrometheus, PrometheusView, RuleBundle,
};
use aami_api::rules::{ActiveAlerts, CreateRuleSet, PatchRuleSet, PresetView, Presets, RuleSetView};
use aami_model::access::Role;
use http::Method;

use super::{Access, PAGE, Route, of, page, route};

const ACTIVE: &[&str] = &["state", "node", "group"];

pub(super) fn routes() -> Vec<Route> {
    const V: Access = Access::Role(Role::Viewer);
    const O: Access = Access::Role(Role::Operator);
    const A: Access = Access::Role(Role::Admin);
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        route(
            get.clone(),
            "/api/v1/alerts/presets",
            V,
            "Every preset of alerts, with its rules",
        )
        .gives(of::<Presets>),
        route(
            get.clone(),
            "/api/v1/alerts/presets/{id}",
            V,
            "One preset, with its rules",
        )
        .gives(of::<PresetView>),
        route(
            get.clone(),
            "/api/v1/alerts/active",
            V,
            "What is pending or fires, asked of every Prometheus",
        )
        .gives(of::<ActiveAlerts>)
        .query(ACTIVE),
        route(
            post.clone(),
            "/api/v1/alerts/rules",
            O,
            "Make the rule set of a group, or of every node",
        )
        .takes(of::<CreateRuleSet>)
        .gives(of::<RuleSetView>)
        .created(),
        route(get.clone(), "/api/v1/alerts/rules", V, "List rule sets")
            .gives(page::<RuleSetView>)
            .query(PAGE),
        route(
            get.clone(),
            "/api/v1/alerts/rules/{id}",
            V,
            "One rule set, by id, by its group's name, or as global",
        )
        .gives(of::<RuleSetView>),
        route(patch.clone(), "/api/v1/alerts/rules/{id}", O, "Change a rule set")
            .takes(of::<PatchRuleSet>)
            .gives(of::<RuleSetView>),
        route(
            delete.clone(),
            "/api/v1/alerts/rules/{id}",
            O,
            "Remove a rule set",
        ),
        route(
            post.clone(),
            "/api/v1/prometheuses",
            A,
            "Note a Prometheus that runs on a node",
        )
        .takes(of::<CreatePrometheus>)
        .gives(of::<PrometheusView>)
        .created(),
        route(
            get.clone(),
            "/api/v1/prometheuses",
            V,
            "List Prometheuses, with the rules wanted and loaded",
        )
        .gives(page::<PrometheusView>)
        .query(PAGE),
        route(
            get.clone(),
            "/api/v1/prometheuses/node",
            Access::OwnNode,
            "The Prometheuses a node brings their rules",
        )
        .gives(of::<NodePrometheuses>),
        route(
            get.clone(),
            "/api/v1/prometheuses/{id}",
            V,
            "One Prometheus, by id or name",
        )
        .gives(of::<PrometheusView>),
        route(
            patch,
            "/api/v1/prometheuses/{id}",
            A,
            "Change what is noted of a Prometheus",
        )
        .takes(of::<PatchPrometheus>)
        .gives(of::<PrometheusView>),
        route(delete, "/api/v1/prometheuses/{id}", A, "Forget a Prometheus"),
        route(
            get,
            "/api/v1/prometheuses/{id}/bundle",
            Access::RoleOrAnyNode(Role::Viewer),
            "All rules a Prometheus should have",
        )
        .gives(of::<RuleBundle>),
        route(
            post,
            "/api/v1/prometheuses/{id}/loaded",
            Access::OwnNode,
            "Report how bringing rules in went",
        )
        .takes(of::<LoadReport>)
        .gives(of::<PrometheusView>),
    ]
}
