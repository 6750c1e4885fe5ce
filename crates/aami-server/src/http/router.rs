//! Leads each route to its function.

use std::sync::Arc;

use aami_model::code;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};

use super::gate::{self, Gate};
use super::{
    alerts, batches, checks, commands, dashboards, deliveries, dist, events, exporters, found, groups,
    health, inventory, keys, link, node_tokens, nodes, openapi, pages, prometheuses, rollout, rules, runs,
    scripts, sd, tokens, webhooks,
};
use crate::app::{App, Refusal};

/// Everything that is answered.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let gate = Arc::new(Gate::new(app.clone()));
    Router::new()
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/ws", get(dashboards::open))
        .route("/ws/node", get(link::open))
        .route("/ws/peer", get(link::open_peer))
        .route("/events", post(deliveries::receive))
        .route("/", get(pages::status))
        .route("/bootstrap.sh", get(scripts::bootstrap))
        .route("/preflight-check.sh", get(scripts::preflight))
        .route("/uninstall.sh", get(scripts::uninstall))
        .route("/install.sh", get(scripts::install))
        .route("/ca.pem", get(scripts::ca))
        .route("/dist/{*path}", get(dist::download))
        .route("/docs/explain/{id}", get(pages::explain))
        .route("/docs/guide/{id}", get(pages::guide))
        .nest("/api/v1", api())
        .fallback(async || Refusal::plain(code::NOT_FOUND))
        .method_not_allowed_fallback(async || Refusal::plain(code::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(gate.clone(), gate::pass))
        .layer(from_fn_with_state(gate, gate::record))
        .with_state(app.clone())
}

fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health::ready))
        .route("/status", get(health::status))
        .route("/openapi.json", get(openapi::answer))
        .route("/bootstrap-tokens", post(tokens::create).get(tokens::list))
        .route(
            "/bootstrap-tokens/validate",
            get(tokens::validate).post(tokens::open_run),
        )
        .route("/bootstrap-tokens/register", post(tokens::register))
        .route(
            "/bootstrap-tokens/{id}",
            get(tokens::show).patch(tokens::edit).delete(tokens::revoke),
        )
        .route("/bootstrap/register", post(tokens::register))
        .nest("/nodes", nodes())
        .nest("/targets", nodes())
        .route("/exporters", post(exporters::create).get(exporters::list))
        .route("/exporters/found", get(found::list))
        .route(
            "/exporters/{id}",
            get(exporters::show)
                .patch(exporters::edit)
                .delete(exporters::delete),
        )
        .route("/groups", post(groups::create).get(groups::list))
        .route(
            "/groups/{id}",
            get(groups::show).patch(groups::edit).delete(groups::delete),
        )
        .route(
            "/groups/{id}/rollout",
            get(rollout::show).put(rollout::set).delete(rollout::stop),
        )
        .route("/groups/{id}/rollout/pause", post(rollout::pause))
        .route("/groups/{id}/rollout/resume", post(rollout::resume))
        .route("/rollouts", get(rollout::list))
        .route("/checks", post(checks::create).get(checks::list))
        .route("/checks/node", get(checks::node))
        .route(
            "/checks/{id}",
            get(checks::show).patch(checks::edit).delete(checks::delete),
        )
        .route("/alerts/presets", get(alerts::presets))
        .route("/alerts/presets/{id}", get(alerts::preset))
        .route("/alerts/active", get(alerts::active))
        .route("/alerts/rules", post(rules::create).get(rules::list))
        .route(
            "/alerts/rules/{id}",
            get(rules::show).patch(rules::edit).delete(rules::delete),
        )
        .route(
            "/prometheuses",
            post(prometheuses::create).get(prometheuses::list),
        )
        .route("/prometheuses/node", get(prometheuses::node))
        .route(
            "/prometheuses/{id}",
            get(prometheuses::show)
                .patch(prometheuses::edit)
                .delete(prometheuses::delete),
        )
        .route("/prometheuses/{id}/bundle", get(prometheuses::bundle))
        .route("/prometheuses/{id}/loaded", post(prometheuses::loaded))
        .route("/sd/prometheus", get(sd::all))
        .route("/sd/prometheus/active", get(sd::active))
        .route("/sd/prometheus/group/{id}", get(sd::group))
        .route("/runs", get(runs::list).post(runs::open))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/events", post(runs::report))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/tickets", post(dashboards::ticket))
        .route("/events", get(events::list))
        .route("/audit", get(events::audit))
        .route("/batches", post(batches::create).get(batches::list))
        .route("/batches/{id}", get(batches::show))
        .route("/batches/{id}/results", get(batches::results))
        .route("/batches/{id}/cancel", post(batches::cancel))
        .route("/webhooks", post(webhooks::create).get(webhooks::list))
        .route(
            "/webhooks/{id}",
            get(webhooks::show).patch(webhooks::edit).delete(webhooks::delete),
        )
        .route("/webhooks/{id}/test", post(webhooks::test))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}/replay", post(deliveries::replay))
        .route("/keys", post(keys::create).get(keys::list))
        .route("/keys/{id}", delete(keys::revoke))
}

fn nodes() -> Router<Arc<App>> {
    Router::new()
        .route("/", post(nodes::create).get(nodes::list))
        .route(
            "/{id}",
            get(nodes::show)
                .merge(patch(nodes::edit))
                .merge(delete(nodes::delete)),
        )
        .route("/{id}/verify", post(nodes::verify))
        .route("/{id}/maintenance", post(nodes::maintenance))
        .route("/{id}/resume", post(nodes::resume))
        .route("/{id}/decommission", post(nodes::decommission))
        .route("/{id}/restore", post(nodes::restore))
        .route("/{id}/allow-reenrol", post(nodes::allow_reenrol))
        .route("/{id}/history", get(nodes::history))
        .route("/{id}/token", post(node_tokens::token))
        .route("/{id}/rotate", post(node_tokens::rotate))
        .route("/{id}/commands", post(commands::give).get(commands::list))
        .route("/{id}/commands/{command}", get(commands::show))
        .route("/{id}/inventory", get(inventory::show).put(inventory::keep))
}
