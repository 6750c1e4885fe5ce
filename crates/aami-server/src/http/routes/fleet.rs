//! The routes about what agents are and find: the update of a group's agents, and exporters that nobody registered.

use aami_api::node::FoundView;
use aami_api::rollout::{RolloutView, Rollouts, SetRollout};
use aami_model::access::Role;
use http::Method;

use super::{Access, Route, of, page, route};

const FOUND: &[&str] = &["node", "limit", "page_token"];

pub(super) fn routes() -> Vec<Route> {
    const V: Access = Access::Role(Role::Viewer);
    const O: Access = Access::Role(Role::Operator);
    let (get, post) = (Method::GET, Method::POST);
    vec![
        route(
            get.clone(),
            "/api/v1/exporters/found",
            V,
            "Exporters that agents found and nobody registered",
        )
        .gives(page::<FoundView>)
        .query(FOUND),
        route(
            get.clone(),
            "/api/v1/rollouts",
            V,
            "The updates of groups' agents",
        )
        .gives(of::<Rollouts>),
        route(
            get,
            "/api/v1/groups/{id}/rollout",
            V,
            "How the update of a group's agents stands",
        )
        .gives(of::<RolloutView>),
        route(
            Method::PUT,
            "/api/v1/groups/{id}/rollout",
            O,
            "Update a group's agents to a version, a few nodes first",
        )
        .takes(of::<SetRollout>)
        .gives(of::<RolloutView>),
        route(
            Method::DELETE,
            "/api/v1/groups/{id}/rollout",
            O,
            "End the update: what was updated stays, nobody else is told",
        ),
        route(
            post.clone(),
            "/api/v1/groups/{id}/rollout/pause",
            O,
            "Hold the update",
        )
        .gives(of::<RolloutView>),
        route(
            post,
            "/api/v1/groups/{id}/rollout/resume",
            O,
            "Let the update go on; what failed is tried again",
        )
        .gives(of::<RolloutView>),
    ]
}
