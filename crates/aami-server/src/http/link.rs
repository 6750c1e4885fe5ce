//! The requests for a node's socket, and for another replica's.

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
    let upgrade = upgrade.map_err(|_| not_a_socket("a node"))?;
    crate::link::open(app, node, upgrade)
}

pub(super) async fn open_peer(
    State(app): State<Arc<App>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| not_a_socket("another control plane"))?;
    Ok(crate::peers::open(app, upgrade))
}

fn not_a_socket(who: &str) -> Refusal {
    Refusal::new(
        code::MALFORMED,
        format!("here {who} opens a WebSocket (RFC 6455), over HTTP/1.1"),
    )
}
