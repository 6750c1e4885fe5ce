//! Answers with their revision.

use aami_api::{REVISION, VIEW};
use aami_store::Revision;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::app::App;
use crate::app::commit::Written;

/// A JSON answer and what its headers say.
pub(super) struct Reply<T> {
    body: T,
    status: StatusCode,
    revision: String,
    etag: Option<Revision>,
    behind: bool,
}

/// The opaque `(epoch, revision)` of an answer.
pub(super) fn opaque(app: &App, revision: Revision) -> String {
    let snapshot = app.view.current();
    let epoch = snapshot.epoch().map_or("", |epoch| epoch.epoch.as_str());
    format!("{epoch}.{}", revision.get())
}

/// Reads it back: the epoch and the revision.
pub(super) fn read_opaque(text: &str) -> Option<(&str, Revision)> {
    let (epoch, revision) = text.rsplit_once('.')?;
    Some((epoch, Revision::new(revision.parse().ok()?)))
}

impl<T> Reply<T> {
    /// What the view shows now.
    pub(super) fn seen(app: &App, body: T) -> Self {
        let revision = opaque(app, app.view.revision());
        Self {
            body,
            status: StatusCode::OK,
            revision,
            etag: None,
            behind: false,
        }
    }

    /// What a change came to.
    pub(super) fn written(app: &App, body: T, written: Written) -> Self {
        let revision = opaque(app, written.revision);
        Self {
            body,
            status: StatusCode::OK,
            revision,
            etag: None,
            behind: written.behind,
        }
    }

    /// Says at which revision the thing itself was last changed, for `If-Match`.
    pub(super) const fn at(mut self, revision: Revision) -> Self {
        self.etag = Some(revision);
        self
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) const fn created(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&self.revision) {
            headers.insert(REVISION, value);
        }
        if let Some(Ok(value)) = self
            .etag
            .map(|etag| HeaderValue::from_str(&format!("\"{}\"", etag.get())))
        {
            headers.insert(header::ETAG, value);
        }
        if self.behind {
            headers.insert(VIEW, HeaderValue::from_static("behind"));
        }
        response
    }
}
