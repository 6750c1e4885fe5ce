//! The routes of bulk actions.

use aami_api::batch::{BatchResults, BatchView, CreateBatch};
use aami_model::access::Role;
use http::Method;

use super::{Access, Route, of, page, route};

const LIST: &[&str] = &["status", "limit", "page_token"];
const RESULTS: &[&str] = &["outcome", "limit", "page_token"];

pub(super) fn routes() -> Vec<Route> {
    const V: Access = Access::Role(Role::Viewer);
    const O: Access = Access::Role(Role::Operator);
    let (get, post) = (Method::GET, Method::POST);
    vec![
        route(
            post.clone(),
            "/api/v1/batches",
            O,
            "Begin a bulk action over nodes",
        )
        .takes(of::<CreateBatch>)
        .gives(of::<BatchView>)
        .created(),
        route(
            get.clone(),
            "/api/v1/batches",
            V,
            "Bulk actions, the newest first",
        )
        .gives(page::<BatchView>)
        .query(LIST),
        route(
            get.clone(),
            "/api/v1/batches/{id}",
            V,
            "One bulk action, and how far it is",
        )
        .gives(of::<BatchView>),
        route(
            get,
            "/api/v1/batches/{id}/results",
            V,
            "What came of each node of a bulk action",
        )
        .gives(of::<BatchResults>)
        .query(RESULTS),
        route(
            post,
            "/api/v1/batches/{id}/cancel",
            O,
            "Call a bulk action off; what it did stays",
        )
        .gives(of::<BatchView>),
    ]
}
