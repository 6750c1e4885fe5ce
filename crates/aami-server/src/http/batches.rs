//! Bulk actions over nodes.

use std::sync::Arc;

use aami_api::batch::{BatchResults, BatchView, CreateBatch};
use aami_api::page::Page;
use aami_model::BatchId;
use aami_model::batch::{BatchStatus, NodeOutcome};
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

/// Which batches, or which of the results of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    status: Option<String>,
    outcome: Option<String>,
    limit: Option<String>,
    page_token: Option<String>,
}

impl Asked {
    fn paging(&self) -> Result<Paging, Refusal> {
        let limit = self.limit.as_deref().map(str::parse).transpose();
        Ok(Paging {
            limit: limit.map_err(|_| Refusal::invalid("limit", "it is a number"))?,
            page_token: self.page_token.clone(),
        })
    }
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateBatch>,
) -> Result<Reply<BatchView>, Refusal> {
    let (view, written) = app.create_batch(&asking, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(asked): Params<Asked>,
) -> Result<Reply<Page<BatchView>>, Refusal> {
    let (before, limit) = paged(&asked.paging()?)?;
    let status = match asked.status.as_deref() {
        None => None,
        Some(name) => Some(
            BatchStatus::from_name(name)
                .ok_or_else(|| Refusal::invalid("status", "it is running, completed or cancelled"))?,
        ),
    };
    let page = app.batches(&caller, status, before.as_ref(), limit)?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<BatchId>,
) -> Result<Reply<BatchView>, Refusal> {
    let held = app.batch(&caller, &id)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn results(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<BatchId>,
    Params(asked): Params<Asked>,
) -> Result<Reply<BatchResults>, Refusal> {
    let (after, limit) = paged::<usize>(&asked.paging()?)?;
    let outcome = match asked.outcome.as_deref() {
        None => None,
        Some(name) => Some(
            NodeOutcome::from_name(name)
                .ok_or_else(|| Refusal::invalid("outcome", "it is done, unchanged or refused"))?,
        ),
    };
    let results = app.batch_results(&caller, &id, outcome, after.unwrap_or(0), limit)?;
    Ok(Reply::seen(&app, results))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Id(id): Id<BatchId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<BatchView>, Refusal> {
    let (view, written) = app.cancel_batch(&asking, &id).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}
