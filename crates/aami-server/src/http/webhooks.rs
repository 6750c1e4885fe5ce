//! Destinations of events.

use std::sync::Arc;

use aami_api::delivery::Delivery;
use aami_api::page::Page;
use aami_api::webhook::{CreateWebhook, CreatedWebhook, PatchWebhook, WebhookView};
use aami_model::WebhookId;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateWebhook>,
) -> Result<Reply<CreatedWebhook>, Refusal> {
    let (created, written) = app.create_webhook(&asking, body).await?;
    Ok(Reply::written(&app, created, written)
        .at(written.revision)
        .created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
) -> Result<Reply<Page<WebhookView>>, Refusal> {
    let page = app.webhooks(&caller)?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<WebhookId>,
) -> Result<Reply<WebhookView>, Refusal> {
    let held = app.webhook(&caller, &id)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(id): Id<WebhookId>,
    Call { asking, body }: Call<PatchWebhook>,
) -> Result<Reply<CreatedWebhook>, Refusal> {
    let (changed, written) = app.patch_webhook(&asking, &id, body).await?;
    Ok(Reply::written(&app, changed, written).at(written.revision))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(id): Id<WebhookId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_webhook(&asking, &id).await?;
    Ok(Reply::written(&app, Value::Null, written))
}

pub(super) async fn test(
    State(app): State<Arc<App>>,
    Id(id): Id<WebhookId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Delivery>, Refusal> {
    let delivery = app.test_webhook(&asking, &id).await?;
    Ok(Reply::seen(&app, delivery))
}
