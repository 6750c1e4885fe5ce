//! Presets, and what is pending or fires.

use std::sync::Arc;

use aami_api::rules::{ActiveAlerts, AlertState, PresetView, Presets};
use axum::extract::State;
use serde::Deserialize;

use super::call::{Id, Params, Who};
use super::reply::Reply;
use crate::app::alerts::{Wanted, all_presets, preset as one_preset};
use crate::app::{App, Refusal};

/// Which alerts are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    state: Option<AlertState>,
    node: Option<String>,
    group: Option<String>,
}

pub(super) async fn presets(State(app): State<Arc<App>>, Who(_): Who) -> Result<Reply<Presets>, Refusal> {
    Ok(Reply::seen(&app, all_presets()))
}

pub(super) async fn preset(
    State(app): State<Arc<App>>,
    Who(_): Who,
    Id(id): Id<String>,
) -> Result<Reply<PresetView>, Refusal> {
    Ok(Reply::seen(&app, one_preset(&id)?))
}

pub(super) async fn active(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(which): Params<Which>,
) -> Result<Reply<ActiveAlerts>, Refusal> {
    let wanted = Wanted {
        state: which.state,
        node: which.node,
        group: which.group,
    };
    let alerts = app.active_alerts(&caller, &wanted).await?;
    Ok(Reply::seen(&app, alerts))
}
