//! The routes of checks: scripts that nodes run.

use aami_api::check::{CreateCheck, NodeChecks, PatchCheck};
use aami_model::access::Role;
use aami_model::check::Check;
use http::Method;

use super::{Access, PAGE, Route, of, page, route};

const CHECKS: &[&str] = &["hostname", "have"];

pub(super) fn routes() -> Vec<Route> {
    const V: Access = Access::Role(Role::Viewer);
    const A: Access = Access::Role(Role::Admin);
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        route(post, "/api/v1/checks", A, "Define a check")
            .takes(of::<CreateCheck>)
            .gives(of::<Check>)
            .created(),
        route(get.clone(), "/api/v1/checks", V, "List checks")
            .gives(page::<Check>)
            .query(PAGE),
        route(
            get.clone(),
            "/api/v1/checks/node",
            Access::RoleOrAnyNode(Role::Operator),
            "The checks meant for one node",
        )
        .gives(of::<NodeChecks>)
        .query(CHECKS),
        route(get, "/api/v1/checks/{id}", V, "One check, by id or name").gives(of::<Check>),
        route(patch, "/api/v1/checks/{id}", A, "Change a check")
            .takes(of::<PatchCheck>)
            .gives(of::<Check>),
        route(delete, "/api/v1/checks/{id}", A, "Remove a check"),
    ]
}
