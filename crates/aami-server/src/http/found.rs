//! Exporters that were found and are offered.

use std::sync::Arc;

use aami_api::node::FoundView;
use aami_api::page::Page;
use aami_model::{NodeId, code};
use axum::extract::State;
use serde::Deserialize;

use super::call::{Params, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::{App, Refusal};

/// On which node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Of {
    node: Option<String>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(of): Params<Of>,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<FoundView>>, Refusal> {
    let node: Option<NodeId> = of
        .node
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Refusal::plain(code::NOT_FOUND))?;
    let (after, limit) = paged(&paging)?;
    let page = app.found_exporters(&caller, node.as_ref(), after.as_ref(), limit)?;
    Ok(Reply::seen(&app, page))
}
