//! Prometheuses, and what whoever delivers rules asks and says.

use std::sync::Arc;

use aami_api::page::Page;
use aami_api::prometheus::{CreatePrometheus, LoadReport, NodePrometheuses, PatchPrometheus, PrometheusView};
use aami_model::code;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::call::{Call, Id, Params, Who};
use super::gate::own_node;
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreatePrometheus>,
) -> Result<Reply<PrometheusView>, Refusal> {
    let (view, written) = app.create_prometheus(&asking, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<PrometheusView>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(
        &app,
        app.prometheuses(&caller, after.as_ref(), limit),
    ))
}

pub(super) async fn node(
    State(app): State<Arc<App>>,
    Who(caller): Who,
) -> Result<Reply<NodePrometheuses>, Refusal> {
    let node = own_node(&caller).ok_or_else(|| Refusal::plain(code::FORBIDDEN))?;
    Ok(Reply::seen(&app, app.node_prometheuses(&node)?))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
) -> Result<Reply<PrometheusView>, Refusal> {
    let held = app.prometheus(&caller, &name)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, body }: Call<PatchPrometheus>,
) -> Result<Reply<PrometheusView>, Refusal> {
    let (view, written) = app.patch_prometheus(&asking, &name, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let written = app.delete_prometheus(&asking, &name).await?;
    Ok(Reply::written(&app, Value::Null, written))
}

/// The bundle under its hash; nothing where whoever asks has that one.
pub(super) async fn bundle(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let bundle = app.rule_bundle(&caller, &name)?;
    let etag = format!("\"{}\"", bundle.sha256);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default().split(',');
        (tags.map(str::trim)).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(&*bundle).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer.insert(header::ETAG, etag);
    }
    Ok(response)
}

pub(super) async fn loaded(
    State(app): State<Arc<App>>,
    Id(name): Id<String>,
    Call { asking, body }: Call<LoadReport>,
) -> Result<Reply<PrometheusView>, Refusal> {
    let (view, written) = app.report_loaded(&asking, &name, &body).await?;
    Ok(Reply::written(&app, view, written))
}
