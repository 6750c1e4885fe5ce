//! Rule sets.

use std::sync::Arc;

use aami_api::page::Page;
use aami_api::rules::{CreateRuleSet, PatchRuleSet, RuleSetView};
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateRuleSet>,
) -> Result<Reply<RuleSetView>, Refusal> {
    let (set, written) = app.create_rule_set(&asking, body).await?;
    Ok(Reply::written(&app, set, written).at(written.revision).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<RuleSetView>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(&app, app.rule_sets(&caller, after.as_ref(), limit)))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
) -> Result<Reply<RuleSetView>, Refusal> {
    let held = app.rule_set(&caller, &name)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, body }: Call<PatchRuleSet>,
) -> Result<Reply<RuleSetView>, Refusal> {
    let (set, written) = app.patch_rule_set(&asking, &name, body).await?;
    Ok(Reply::written(&app, set, written).at(written.revision))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_rule_set(&asking, &name).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
