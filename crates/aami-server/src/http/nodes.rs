//! Nodes, and paging, which every list shares.

use std::str::FromStr;
use std::sync::Arc;

use aami_api::node::{CreateNode, NodeView, PatchNode, Reason, Verified};
use aami_api::page::{self, Page};
use aami_model::access::Scope;
use aami_model::label::Labels;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, code};
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Id, Params, Who};
use super::events::After;
use super::reply::Reply;
use crate::app::nodes::{Filter, Wish};
use crate::app::{App, Refusal};

/// What every list may be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Paging {
    pub(super) limit: Option<usize>,
    pub(super) page_token: Option<String>,
}

/// Where a page begins and how long it may be.
pub(super) fn paged<T: FromStr>(paging: &Paging) -> Result<(Option<T>, usize), Refusal> {
    let limit = paging.limit.unwrap_or(page::DEFAULT_LIMIT);
    if !(1..=page::MOST).contains(&limit) {
        return Err(Refusal::invalid("limit", format!("it is 1 to {}", page::MOST)));
    }
    let token = paging.page_token.as_deref().filter(|token| !token.is_empty());
    let after = token
        .map(str::parse)
        .transpose()
        .map_err(|_| Refusal::invalid("page_token", "it is not one of this list's"))?;
    Ok((after, limit))
}

/// Which nodes are wanted, as the query says. `label` may be repeated: `label=rack=A1&label=env=prod`.
fn filter(query: &str) -> Result<(Filter, Paging), Refusal> {
    let mut filter = Filter::default();
    let mut paging = Paging::default();
    let mut labels = Labels::default();
    let pairs: Vec<(String, String)> = serde_urlencoded_pairs(query)?;
    for (name, value) in pairs {
        match name.as_str() {
            "hostname" => {
                filter.hostname = Some(
                    value
                        .parse()
                        .map_err(|error| Refusal::invalid("hostname", error))?,
                );
            }
            "status" => {
                let status = NodeStatus::from_name(&value);
                filter.status = Some(status.ok_or_else(|| {
                    let names: Vec<&str> = NodeStatus::ALL.iter().map(|status| status.name()).collect();
                    Refusal::invalid("status", format!("it is one of {}", names.join(", ")))
                })?);
            }
            "group" => filter.group = Some(value),
            "label" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or_else(|| Refusal::invalid("label", "it is NAME=VALUE"))?;
                labels.0.insert(name.to_owned(), value.to_owned());
            }
            "q" => filter.text = Some(value.to_ascii_lowercase()),
            "limit" => {
                paging.limit = Some(
                    value
                        .parse()
                        .map_err(|_| Refusal::invalid("limit", "it is a number"))?,
                );
            }
            "page_token" => paging.page_token = Some(value),
            _ => {
                return Err(Refusal::invalid(
                    "query",
                    "it names something this list cannot be asked for",
                ));
            }
        }
    }
    filter.labels = labels;
    Ok((filter, paging))
}

fn serde_urlencoded_pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let uri: http::Uri = format!("/?{query}")
        .parse()
        .map_err(|_| Refusal::invalid("query", "it cannot be read"))?;
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map(|pairs| pairs.0)
        .map_err(|_| Refusal::invalid("query", "it cannot be read"))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateNode>,
) -> Result<Reply<NodeView>, Refusal> {
    let (view, written) = app.create_node(&asking, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Reply<Page<NodeView>>, Refusal> {
    let (filter, paging) = filter(query.as_deref().unwrap_or_default())?;
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(
        &app,
        app.nodes(&caller, &filter, after.as_ref(), limit),
    ))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<NodeId>,
) -> Result<Reply<NodeView>, Refusal> {
    let held = app.node(&caller, &id)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    Call { asking, body }: Call<PatchNode>,
) -> Result<Reply<NodeView>, Refusal> {
    let (view, written) = app.patch_node(&asking, &id, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}

/// Retires; what is retired already is purged.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Value>, Refusal> {
    let held = app.node(&asking.caller, &id)?;
    if held.doc.status == NodeStatus::Inactive {
        // Purging is an operator's word; the node itself only learns that it is gone already.
        if asking.caller.has_scope(&Scope::Node(id.clone())) {
            return Err(Refusal::plain(code::NODE_DECOMMISSIONED));
        }
        let written = app.purge_node(&asking, &id).await?;
        return Ok(Reply::written(&app, Value::Null, written));
    }
    let (view, written) = app.move_node(&asking, &id, Wish::Retire, None, None).await?;
    Ok(Reply::written(&app, json!(view), written))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Looking {
    /// Whether nothing is to be made of what is seen.
    look: bool,
}

pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    Params(Looking { look }): Params<Looking>,
    Call { asking, .. }: Call<Value>,
) -> Result<Reply<Verified>, Refusal> {
    let verified = app.verify_for(&asking.caller, &id, look).await?;
    Ok(Reply::seen(&app, verified))
}

async fn wish(app: &App, call: Call<Reason>, id: &NodeId, wish: Wish) -> Result<Reply<NodeView>, Refusal> {
    let Reason { reason, until } = call.body;
    let (view, written) = app.move_node(&call.asking, id, wish, reason, until).await?;
    Ok(Reply::written(app, view, written).at(written.revision))
}

type Answer = Result<Reply<NodeView>, Refusal>;

pub(super) async fn maintenance(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    call: Call<Reason>,
) -> Answer {
    wish(&app, call, &id, Wish::Maintenance).await
}

pub(super) async fn resume(State(app): State<Arc<App>>, Id(id): Id<NodeId>, call: Call<Reason>) -> Answer {
    wish(&app, call, &id, Wish::Resume).await
}

pub(super) async fn decommission(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    call: Call<Reason>,
) -> Answer {
    wish(&app, call, &id, Wish::Retire).await
}

pub(super) async fn restore(State(app): State<Arc<App>>, Id(id): Id<NodeId>, call: Call<Reason>) -> Answer {
    wish(&app, call, &id, Wish::Restore).await
}

pub(super) async fn allow_reenrol(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    call: Call<Reason>,
) -> Answer {
    let (view, written) = app.allow_reenrol(&call.asking, &id).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}

pub(super) async fn history(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<NodeId>,
    Params(after): Params<After>,
) -> Result<Reply<Value>, Refusal> {
    let (events, pruned_through) = app.node_history(&caller, &id, after.wanted()?).await?;
    let told = json!({ "events": events, "pruned_through": pruned_through });
    Ok(Reply::seen(&app, told))
}
