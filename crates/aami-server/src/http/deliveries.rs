//! Attempts to deliver, and events that another control plane delivers here.

use std::sync::Arc;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::page::{self, Page};
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Exact, Id, Params, Who};
use super::reply::Reply;
use crate::app::deliveries::Wanted;
use crate::app::events_in::{Envelope, Received};
use crate::app::{App, Refusal};
use crate::notify::outlet::VIA;
use crate::notify::sign;

/// Which attempts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    webhook: Option<String>,
    result: Option<String>,
    limit: Option<usize>,
    page_token: Option<String>,
}

impl Asked {
    fn wanted(self) -> Result<Wanted, Refusal> {
        let limit = self.limit.unwrap_or(page::DEFAULT_LIMIT);
        if !(1..=page::MOST).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("it is 1 to {}", page::MOST)));
        }
        let result = match self.result.as_deref().filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => Some(
                DeliveryResult::from_name(name)
                    .ok_or_else(|| Refusal::invalid("result", "it is delivered, failed or dead"))?,
            ),
        };
        let before = match self.page_token.as_deref().filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(
                token
                    .parse()
                    .map_err(|_| Refusal::invalid("page_token", "it is not one of this list's"))?,
            ),
        };
        Ok(Wanted {
            webhook: self.webhook.filter(|id| !id.is_empty()),
            result,
            before,
            limit,
        })
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(asked): Params<Asked>,
) -> Result<Reply<Page<Delivery>>, Refusal> {
    let page = app.deliveries(&caller, &asked.wanted()?).await?;
    Ok(Reply::seen(&app, page))
}

pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Id(id): Id<u64>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Delivery>, Refusal> {
    let delivery = app.replay_delivery(&asking, id).await?;
    Ok(Reply::seen(&app, delivery))
}

/// POST `/events`.
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Exact { bytes, headers }: Exact,
) -> Result<Reply<Received>, Refusal> {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= 1024).then(|| value.to_owned())
    };
    let envelope = Envelope {
        id: text(sign::ID),
        timestamp: text(sign::TIMESTAMP),
        signature: text(sign::SIGNATURE),
        via: text(VIA).unwrap_or_default(),
    };
    let (received, written) = app.receive_event(&caller, &envelope, &bytes).await?;
    let reply = match written {
        Some(written) => Reply::written(&app, received, written),
        None => Reply::seen(&app, received),
    };
    Ok(reply.with_status(StatusCode::ACCEPTED))
}
