//! The updates of groups' agents.

use std::sync::Arc;

use aami_api::rollout::{RolloutView, Rollouts, SetRollout};
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn list(State(app): State<Arc<App>>, Who(caller): Who) -> Result<Reply<Rollouts>, Refusal> {
    Ok(Reply::seen(&app, app.rollouts(&caller)?))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(group): Id<String>,
) -> Result<Reply<RolloutView>, Refusal> {
    let (view, revision) = app.rollout(&caller, &group)?;
    Ok(Reply::seen(&app, view).at(revision))
}

pub(super) async fn set(
    State(app): State<Arc<App>>,
    Id(group): Id<String>,
    Call { asking, body }: Call<SetRollout>,
) -> Result<Reply<RolloutView>, Refusal> {
    let (view, revision, written) = app.set_rollout(&asking, &group, body).await?;
    Ok(Reply::written(&app, view, written).at(revision))
}

pub(super) async fn stop(
    State(app): State<Arc<App>>,
    Id(group): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.stop_rollout(&asking, &group).await?;
    Ok(Reply::written(&app, Value::Null, written))
}

pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Id(group): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<RolloutView>, Refusal> {
    let (view, revision, written) = app.hold_rollout(&asking, &group, true).await?;
    Ok(Reply::written(&app, view, written).at(revision))
}

pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Id(group): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<RolloutView>, Refusal> {
    let (view, revision, written) = app.hold_rollout(&asking, &group, false).await?;
    Ok(Reply::written(&app, view, written).at(revision))
}
