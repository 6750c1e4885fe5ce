//! Events and audit.

use std::sync::Arc;

use aami_api::event::{Audit, Events};
use aami_api::page;
use axum::extract::State;
use serde::Deserialize;

use super::call::{Params, Who};
use super::reply::Reply;
use crate::app::events::Wanted;
use crate::app::{App, Refusal};

/// Where to go on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    after: Option<u64>,
    limit: Option<usize>,
}

impl After {
    pub(super) fn wanted(&self) -> Result<Wanted, Refusal> {
        let limit = self.limit.unwrap_or(page::DEFAULT_LIMIT);
        if !(1..=page::MOST).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("it is 1 to {}", page::MOST)));
        }
        Ok(Wanted {
            after: self.after.unwrap_or(0),
            limit,
            subject: None,
        })
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(after): Params<After>,
) -> Result<Reply<Events>, Refusal> {
    let events = app.events(&caller, &after.wanted()?).await?;
    Ok(Reply::seen(&app, events))
}

pub(super) async fn audit(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(after): Params<After>,
) -> Result<Reply<Audit>, Refusal> {
    let audit = app.audit(&caller, &after.wanted()?).await?;
    Ok(Reply::seen(&app, audit))
}
