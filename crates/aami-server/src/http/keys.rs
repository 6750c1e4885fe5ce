//! API keys.

use std::sync::Arc;

use aami_api::key::{CreateKey, CreatedKey, KeyView};
use aami_api::page::Page;
use aami_model::KeyId;
use axum::extract::State;
use serde_json::Value;

use super::call::{Call, Id, Who};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateKey>,
) -> Result<Reply<CreatedKey>, Refusal> {
    let (view, secret, written) = app.create_key(&asking, body).await?;
    Ok(Reply::written(
        &app,
        CreatedKey {
            view,
            key: secret.reveal().to_owned(),
        },
        written,
    )
    .created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
) -> Result<Reply<Page<KeyView>>, Refusal> {
    let page = app.keys(&caller)?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Id(id): Id<KeyId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.revoke_key(&asking, &id).await?;
    Ok(Reply::written(&app, Value::Null, written))
}
