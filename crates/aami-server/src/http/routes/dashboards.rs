//! The routes of dashboards.

use aami_api::dashboard::Ticket;
use aami_model::access::Role;
use http::Method;

use super::{Access, Route, of, route};

const ASKED: &[&str] = &["ticket", "after", "epoch"];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(
            Method::GET,
            "/ws",
            Access::RoleOrTicket(Role::Viewer),
            "The socket of a dashboard (WebSocket)",
        )
        .query(ASKED),
        route(
            Method::POST,
            "/api/v1/tickets",
            Access::Role(Role::Viewer),
            "Make a ticket that opens one dashboard's socket",
        )
        .gives(of::<Ticket>)
        .created(),
    ]
}
