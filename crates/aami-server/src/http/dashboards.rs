//! The request for a dashboard's socket, and for a ticket to one.

use std::sync::Arc;

use aami_api::dashboard::Ticket;
use aami_model::code;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Params, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};
use crate::dashboards::socket::{self, Asked};

/// What the address says. Nothing of it is ever logged.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    ticket: Option<String>,
    after: Option<u64>,
    epoch: Option<String>,
}

/// Who asks is known by the header, or else by the ticket.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    who: Result<Who, Refusal>,
    Params(query): Params<Query>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| {
        Refusal::new(
            code::MALFORMED,
            "here a dashboard opens a WebSocket (RFC 6455), over HTTP/1.1",
        )
    });
    let (caller, upgrade) = match (who, query.ticket) {
        (Ok(Who(caller)), _) => (caller, upgrade?),
        (Err(refusal), None) => return Err(refusal),
        (Err(_), Some(ticket)) => {
            // A request that cannot be answered uses nothing up.
            let upgrade = upgrade?;
            (app.use_ticket(&ticket).await?, upgrade)
        }
    };
    let asked = Asked {
        after: query.after.unwrap_or(0),
        epoch: query.epoch.filter(|epoch| !epoch.is_empty()),
    };
    socket::open(app, caller, asked, upgrade)
}

/// POST `/api/v1/tickets`.
pub(super) async fn ticket(
    State(app): State<Arc<App>>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Ticket>, Refusal> {
    let (ticket, written) = app.make_ticket(&asking.caller).await?;
    Ok(Reply::written(&app, ticket, written).created())
}
