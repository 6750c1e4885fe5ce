//! Runs.

use std::sync::Arc;

use aami_api::page::Page;
use aami_api::run::{OpenRun, ReportEvents, Reported, RunView};
use aami_api::token::OpenedRun;
use aami_model::RunId;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn open(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<OpenRun>,
) -> Result<Reply<OpenedRun>, Refusal> {
    let (opened, written) = app.open_own_run(&asking, body).await?;
    Ok(Reply::written(&app, opened, written).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<RunView>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    let page = app.runs(&caller, after.as_ref(), limit)?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<RunId>,
) -> Result<Reply<RunView>, Refusal> {
    let view = app.run(&caller, &id)?;
    Ok(Reply::seen(&app, view))
}

pub(super) async fn report(
    State(app): State<Arc<App>>,
    Id(id): Id<RunId>,
    Call { asking, body }: Call<ReportEvents>,
) -> Result<Reply<Reported>, Refusal> {
    let (accepted_through, written) = app.report(&asking, &id, &body.events).await?;
    Ok(Reply::written(&app, Reported { accepted_through }, written))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Id(id): Id<RunId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<RunView>, Refusal> {
    let (view, written) = app.cancel_run(&asking, &id).await?;
    Ok(Reply::written(&app, view, written))
}
