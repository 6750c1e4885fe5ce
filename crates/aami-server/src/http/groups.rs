//! Groups.

use std::sync::Arc;

use aami_api::group::{CreateGroup, PatchGroup};
use aami_api::page::Page;
use aami_model::group::Group;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateGroup>,
) -> Result<Reply<Group>, Refusal> {
    let (group, written) = app.create_group(&asking, body).await?;
    Ok(Reply::written(&app, group, written)
        .at(written.revision)
        .created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<Group>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(&app, app.groups(&caller, after.as_ref(), limit)))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
) -> Result<Reply<Group>, Refusal> {
    let held = app.group(&caller, &name)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, body }: Call<PatchGroup>,
) -> Result<Reply<Group>, Refusal> {
    let (group, written) = app.patch_group(&asking, &name, body).await?;
    Ok(Reply::written(&app, group, written).at(written.revision))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_group(&asking, &name).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
