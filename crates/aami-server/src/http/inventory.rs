//! A node's inventory.

use std::sync::Arc;

use aami_model::NodeId;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<NodeId>,
) -> Result<Reply<Value>, Refusal> {
    Ok(Reply::seen(&app, app.inventory(&caller, &id)?))
}

pub(super) async fn keep(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    Call { asking, body }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.keep_inventory(&asking, &id, &body).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
