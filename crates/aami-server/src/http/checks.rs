//! Checks.

use std::sync::Arc;

use aami_api::check::{CreateCheck, NodeChecks, PatchCheck};
use aami_api::page::Page;
use aami_model::check::Check;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

/// Which node's checks are asked for, and which set is known already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfNode {
    hostname: Option<String>,
    have: Option<String>,
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateCheck>,
) -> Result<Reply<Check>, Refusal> {
    let (check, written) = app.create_check(&asking, body).await?;
    Ok(Reply::written(&app, check, written)
        .at(written.revision)
        .created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<Check>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(&app, app.checks(&caller, after.as_ref(), limit)))
}

pub(super) async fn node(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(asked): Params<OfNode>,
) -> Result<Reply<NodeChecks>, Refusal> {
    let told = app.node_checks(&caller, asked.hostname.as_deref(), asked.have.as_deref())?;
    Ok(Reply::seen(&app, told))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
) -> Result<Reply<Check>, Refusal> {
    let held = app.check(&caller, &name)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, body }: Call<PatchCheck>,
) -> Result<Reply<Check>, Refusal> {
    let (check, written) = app.patch_check(&asking, &name, body).await?;
    Ok(Reply::written(&app, check, written).at(written.revision))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_check(&asking, &name).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
