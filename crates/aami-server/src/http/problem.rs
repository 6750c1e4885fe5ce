//! Refusals as `application/problem+json`.

use aami_api::PROBLEM_JSON;
use aami_api::problem::Problem;
use aami_model::Code;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::app::Refusal;

/// Which code an answer carries, for the counters.
#[derive(Clone, Copy)]
pub(super) struct Refused(pub(super) Code);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut problem = Problem::new(self.code, self.detail);
        problem.current = self.current.map(|current| *current);
        let status = StatusCode::from_u16(self.code.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some(after) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(Refused(self.code));
        response
    }
}
