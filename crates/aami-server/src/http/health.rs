//! Health, status, metrics.

use std::sync::Arc;

use aami_api::health::{Health, Status};
use aami_model::OrgId;
use aami_model::access::{Orgs, Scope};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::call::Who;
use super::reply::Reply;
use crate::app::{App, Refusal};

fn health(status: &str, detail: Option<String>) -> Health {
    Health {
        status: status.to_owned(),
        service: "aami".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        detail,
    }
}

/// The process answers.
pub(super) async fn live() -> axum::Json<Health> {
    axum::Json(health("ok", None))
}

/// It can read its store, as of this second.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.readiness.check(app.store.revision()).await {
        return axum::Json(health("ok", None)).into_response();
    }
    let body = axum::Json(health("degraded", Some("the store does not answer".to_owned())));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

pub(super) async fn status(State(app): State<Arc<App>>, Who(caller): Who) -> Result<Reply<Status>, Refusal> {
    Ok(Reply::seen(&app, app.status(&caller)?))
}

pub(super) async fn metrics(State(app): State<Arc<App>>, Who(caller): Who) -> Response {
    let mut text = app.counters.render();
    // OpenMetrics ends with `# EOF`; node_info is the classic format, so the whole is served as that.
    if let Some(body) = text.strip_suffix("# EOF\n") {
        text.truncate(body.len());
    }
    let orgs = if caller.has_scope(&Scope::Discovery) || caller.role.is_some() {
        caller.orgs
    } else {
        Orgs::Only(Vec::new())
    };
    if let Orgs::Only(own) = &orgs {
        text = without_foreign(&text, own);
    }
    text.push_str(&app.installations(&orgs));
    text.push_str(&app.rollout_metrics(&orgs));
    text.push_str(&app.rule_metrics(&orgs));
    let info = app.discovery.node_info(&app.view, orgs);
    let mut bytes = text.into_bytes();
    for piece in info.pieces() {
        bytes.extend_from_slice(piece);
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        bytes,
    )
        .into_response()
}

/// The metrics without the series of destinations of other organisations, which are called `ORG/NAME`.
fn without_foreign(text: &str, own: &[OrgId]) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let destination = line.split_once("{destination=\"").map(|(_, rest)| rest);
        let is_own = |rest: &str| {
            let org = rest.split_once('/').map(|(org, _)| org);
            org.is_some_and(|org| own.iter().any(|known| known.as_str() == org))
        };
        if destination.is_none_or(is_own) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
