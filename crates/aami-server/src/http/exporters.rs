//! Exporters.

use std::sync::Arc;

use aami_api::node::{CreateExporter, PatchExporter};
use aami_api::page::Page;
use aami_api::register::ExporterView;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateExporter>,
) -> Result<Reply<ExporterView>, Refusal> {
    let (view, written) = app.create_exporter(&asking, body).await?;
    Ok(Reply::written(&app, view, written).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<ExporterView>>, Refusal> {
    let (after, limit) = paged::<String>(&paging)?;
    let page = app.exporters(&caller, after.as_deref(), limit)?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<String>,
) -> Result<Reply<ExporterView>, Refusal> {
    let view = app.exporter(&caller, &id)?;
    Ok(Reply::seen(&app, view))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(id): Id<String>,
    Call { asking, body }: Call<PatchExporter>,
) -> Result<Reply<ExporterView>, Refusal> {
    let (view, written) = app.patch_exporter(&asking, &id, body).await?;
    Ok(Reply::written(&app, view, written))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(id): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_exporter(&asking, &id).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
