//! The request for a node's socket.

use std::sync::Arc;

use aami_model::code;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;

use super::call::Who;
use super::gate::own_node;
use crate::app::{App, Refusal};

pub(super) async fn open(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let node = own_node(&caller).ok_or_else(|| Refusal::plain(code::FORBIDDEN))?;
    let upgrade = upgrade.map_err(|_| {
        Refusal::new(
            code::MALFORMED,
            "here a node opens a WebSocket (RFC 6455), over HTTP/1.1",
        )
    })?;
    crate::link::open(app, node, upgrade)
}
