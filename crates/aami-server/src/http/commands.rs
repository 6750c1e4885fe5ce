//! Commands to a node.

use std::sync::Arc;

use aami_api::command::{CommandView, Commands, GiveCommand};
use aami_model::{CommandId, NodeId, code};
use axum::extract::{Path, State};

use super::call::{Call, Id, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn give(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    Call { asking, body }: Call<GiveCommand>,
) -> Result<Reply<CommandView>, Refusal> {
    let (view, written) = app.give_command(&asking, &id, body).await?;
    Ok(Reply::written(&app, view, written).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<NodeId>,
) -> Result<Reply<Commands>, Refusal> {
    Ok(Reply::seen(&app, app.commands(&caller, &id)?))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Path((node, command)): Path<(String, String)>,
) -> Result<Reply<CommandView>, Refusal> {
    let unknown = || Refusal::plain(code::NOT_FOUND);
    let node: NodeId = node.parse().map_err(|_| unknown())?;
    let command: CommandId = command.parse().map_err(|_| unknown())?;
    Ok(Reply::seen(&app, app.command(&caller, &node, &command)?))
}
