//! Every route there is, who may call it, and what goes in and out. The gate enforces it, the OpenAPI
//! document is written from it, and the authorisation matrix is tested along it.

mod alerts;
mod batches;
mod checks;
mod dashboards;
mod fleet;

use aami_api::command::{CommandView, Commands, GiveCommand};
use aami_api::delivery::Delivery;
use aami_api::discovery::TargetGroup;
use aami_api::event::{Audit, Events};
use aami_api::group::{CreateGroup, PatchGroup};
use aami_api::health::{Health, Status};
use aami_api::key::{CreateKey, CreatedKey, KeyView};
use aami_api::node::{CreateExporter, CreateNode, NodeView, PatchExporter, PatchNode, Reason, Verified};
use aami_api::node_token::{GenerateToken, GeneratedToken};
use aami_api::notice::Notice;
use aami_api::register::{ExporterView, RegisterRequest, Registered};
use aami_api::run::{OpenRun, ReportEvents, Reported, RunView};
use aami_api::token::{CreateToken, CreatedToken, OpenedRun, PatchToken, TokenView, Validated};
use aami_api::webhook::{CreateWebhook, CreatedWebhook, PatchWebhook, WebhookView};
use aami_model::access::Role;
use aami_model::group::Group;
use http::Method;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::app::events_in::Received;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, within limits.
    Open,
    /// Whoever carries a bootstrap token; the use case judges it.
    Token,
    /// Keys with at least this role.
    Role(Role),
    /// The same, or a key with the scope `discovery`.
    RoleOrDiscovery(Role),
    /// The same, or the node itself by its own or its run's credential.
    RoleOrOwnNode(Role),
    /// The same, or whoever carries the bootstrap token that this node enrolled with.
    RoleOrOwnNodeOrItsToken(Role),
    /// Keys with at least this role, or any node; the use case tells a node its own and nothing else.
    RoleOrAnyNode(Role),
    /// The run itself.
    OwnRun,
    /// Keys with at least this role, or whoever carries a ticket; the use case judges that.
    RoleOrTicket(Role),
    /// Keys with the scope `events-in`.
    EventsIn,
    /// A node, by its own credential and no other.
    OwnNode,
    /// Another control plane on the same store, by its badge.
    Replica,
}

/// What a body looks like.
pub(crate) type Schema = fn(&mut Vec<(String, Value)>) -> Value;

/// One route.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// As the router spells it: `/api/v1/nodes/{id}`.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) summary: &'static str,
    pub(crate) takes: Option<Schema>,
    pub(crate) gives: Option<Schema>,
    pub(crate) status: u16,
    pub(crate) query: &'static [&'static str],
}

impl Route {
    fn takes(mut self, schema: Schema) -> Self {
        self.takes = Some(schema);
        self
    }

    fn gives(mut self, schema: Schema) -> Self {
        self.gives = Some(schema);
        self
    }

    const fn created(mut self) -> Self {
        self.status = 201;
        self
    }

    const fn accepted(mut self) -> Self {
        self.status = 202;
        self
    }

    const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }
}

const fn route(method: Method, path: &'static str, access: Access, summary: &'static str) -> Route {
    Route {
        method,
        path,
        access,
        summary,
        takes: None,
        gives: None,
        status: 200,
        query: &[],
    }
}

/// A reference to a type's schema; the schema and all it mentions go into the document.
fn of<T: ToSchema>(all: &mut Vec<(String, Value)>) -> Value {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    all.extend(
        found
            .into_iter()
            .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())),
    );
    json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
}

fn page<T: ToSchema>(all: &mut Vec<(String, Value)>) -> Value {
    let items = of::<T>(all);
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": { "type": "array", "items": items },
            "next_page_token": { "type": "string", "description": "Hand this back as `page_token` for the next page." },
        },
    })
}

fn list<T: ToSchema>(all: &mut Vec<(String, Value)>) -> Value {
    let items = of::<T>(all);
    json!({ "type": "array", "items": items })
}

const PAGE: &[&str] = &["limit", "page_token"];
const NODES: &[&str] = &["hostname", "status", "group", "label", "q", "limit", "page_token"];
const SHAPE: &[&str] = &["shape"];
const LOOK: &[&str] = &["look"];
const DELIVERIES: &[&str] = &["webhook", "result", "limit", "page_token"];
const AFTER: &[&str] = &["after", "limit"];

/// The table.
pub(crate) fn all() -> Vec<Route> {
    const V: Access = Access::Role(Role::Viewer);
    const O: Access = Access::Role(Role::Operator);
    const A: Access = Access::Role(Role::Admin);
    const OPEN: Access = Access::Open;
    const SD: Access = Access::RoleOrDiscovery(Role::Viewer);
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);

    let mut routes = vec![
        route(
            get.clone(),
            "/api/v1/health",
            OPEN,
            "Whether the control plane answers",
        )
        .gives(of::<Health>),
        route(get.clone(), "/health", OPEN, "The same").gives(of::<Health>),
        route(get.clone(), "/health/live", OPEN, "Whether the process lives").gives(of::<Health>),
        route(
            get.clone(),
            "/health/ready",
            OPEN,
            "Whether it can read and write",
        )
        .gives(of::<Health>),
        route(
            get.clone(),
            "/metrics",
            SD,
            "The control plane's own metrics, and aami_node_info",
        ),
        route(get.clone(), "/api/v1/status", V, "The whole in a few numbers").gives(of::<Status>),
        // Tokens
        route(
            post.clone(),
            "/api/v1/bootstrap-tokens",
            O,
            "Make a bootstrap token",
        )
        .takes(of::<CreateToken>)
        .gives(of::<CreatedToken>)
        .created(),
        route(
            get.clone(),
            "/api/v1/bootstrap-tokens",
            V,
            "List bootstrap tokens",
        )
        .gives(page::<TokenView>)
        .query(PAGE),
        route(
            get.clone(),
            "/api/v1/bootstrap-tokens/validate",
            Access::Token,
            "Judge a bootstrap token",
        )
        .gives(of::<Validated>)
        .query(&["token", "address"]),
        route(
            post.clone(),
            "/api/v1/bootstrap-tokens/validate",
            Access::Token,
            "Judge it and open a run",
        )
        .gives(of::<Validated>)
        .query(&["address"]),
        route(
            get.clone(),
            "/api/v1/bootstrap-tokens/{id}",
            V,
            "One bootstrap token",
        )
        .gives(of::<TokenView>),
        route(
            patch.clone(),
            "/api/v1/bootstrap-tokens/{id}",
            O,
            "Change a bootstrap token",
        )
        .takes(of::<PatchToken>)
        .gives(of::<TokenView>),
        route(
            delete.clone(),
            "/api/v1/bootstrap-tokens/{id}",
            O,
            "Revoke a bootstrap token",
        )
        .gives(of::<TokenView>),
        // Enrolment
        route(
            post.clone(),
            "/api/v1/bootstrap/register",
            Access::Token,
            "Register a machine as a node",
        )
        .takes(of::<RegisterRequest>)
        .gives(of::<Registered>),
        route(
            post.clone(),
            "/api/v1/bootstrap-tokens/register",
            Access::Token,
            "The same, under its older name",
        )
        .takes(of::<RegisterRequest>)
        .gives(of::<Registered>),
        // Exporters
        route(post.clone(), "/api/v1/exporters", O, "Add an exporter to a node")
            .takes(of::<CreateExporter>)
            .gives(of::<ExporterView>)
            .created(),
        route(get.clone(), "/api/v1/exporters", V, "List exporters")
            .gives(page::<ExporterView>)
            .query(PAGE),
        route(get.clone(), "/api/v1/exporters/{id}", V, "One exporter").gives(of::<ExporterView>),
        route(patch.clone(), "/api/v1/exporters/{id}", O, "Change an exporter")
            .takes(of::<PatchExporter>)
            .gives(of::<ExporterView>),
        route(delete.clone(), "/api/v1/exporters/{id}", O, "Remove an exporter"),
        // Groups
        route(post.clone(), "/api/v1/groups", O, "Make a group")
            .takes(of::<CreateGroup>)
            .gives(of::<Group>)
            .created(),
        route(get.clone(), "/api/v1/groups", V, "List groups")
            .gives(page::<Group>)
            .query(PAGE),
        route(get.clone(), "/api/v1/groups/{id}", V, "One group, by id or name").gives(of::<Group>),
        route(patch.clone(), "/api/v1/groups/{id}", O, "Change a group")
            .takes(of::<PatchGroup>)
            .gives(of::<Group>),
        route(
            delete.clone(),
            "/api/v1/groups/{id}",
            O,
            "Remove a group nobody is in",
        ),
        // Discovery
        route(get.clone(), "/api/v1/sd/prometheus", SD, "Every target")
            .gives(list::<TargetGroup>)
            .query(SHAPE),
        route(
            get.clone(),
            "/api/v1/sd/prometheus/active",
            SD,
            "Every target not in maintenance",
        )
        .gives(list::<TargetGroup>)
        .query(SHAPE),
        route(
            get.clone(),
            "/api/v1/sd/prometheus/group/{id}",
            SD,
            "Every target of a group",
        )
        .gives(list::<TargetGroup>)
        .query(SHAPE),
        // Runs
        route(get.clone(), "/api/v1/runs", V, "List runs")
            .gives(page::<RunView>)
            .query(PAGE),
        route(
            post.clone(),
            "/api/v1/runs",
            O,
            "Open a run of an installation that no token began",
        )
        .takes(of::<OpenRun>)
        .gives(of::<OpenedRun>)
        .created(),
        route(get.clone(), "/api/v1/runs/{id}", V, "One run").gives(of::<RunView>),
        route(
            post.clone(),
            "/api/v1/runs/{id}/events",
            Access::OwnRun,
            "Report what happened in a run",
        )
        .takes(of::<ReportEvents>)
        .gives(of::<Reported>),
        route(post.clone(), "/api/v1/runs/{id}/cancel", O, "Call a run off").gives(of::<RunView>),
        // Nodes that are connected
        route(
            get.clone(),
            "/ws/node",
            Access::OwnNode,
            "The socket of a node's agent (WebSocket)",
        ),
        route(
            get.clone(),
            "/ws/peer",
            Access::Replica,
            "The socket of another control plane on the same store (WebSocket)",
        ),
        // What happened
        route(get.clone(), "/api/v1/events", V, "Events after a number")
            .gives(of::<Events>)
            .query(AFTER),
        route(get.clone(), "/api/v1/audit", A, "Audit entries after a number")
            .gives(of::<Audit>)
            .query(AFTER),
        route(
            post.clone(),
            "/events",
            Access::EventsIn,
            "Take in an event of another control plane",
        )
        .takes(of::<Notice>)
        .gives(of::<Received>)
        .accepted(),
        // Who is told
        route(
            post.clone(),
            "/api/v1/webhooks",
            A,
            "Make a destination of events",
        )
        .takes(of::<CreateWebhook>)
        .gives(of::<CreatedWebhook>)
        .created(),
        route(get.clone(), "/api/v1/webhooks", A, "List destinations").gives(page::<WebhookView>),
        route(get.clone(), "/api/v1/webhooks/{id}", A, "One destination").gives(of::<WebhookView>),
        route(patch.clone(), "/api/v1/webhooks/{id}", A, "Change a destination")
            .takes(of::<PatchWebhook>)
            .gives(of::<CreatedWebhook>),
        route(delete.clone(), "/api/v1/webhooks/{id}", A, "Remove a destination"),
        route(
            post.clone(),
            "/api/v1/webhooks/{id}/test",
            A,
            "Send a test to a destination",
        )
        .gives(of::<Delivery>),
        route(
            get.clone(),
            "/api/v1/deliveries",
            V,
            "Attempts to deliver, the newest first",
        )
        .gives(page::<Delivery>)
        .query(DELIVERIES),
        route(
            post.clone(),
            "/api/v1/deliveries/{id}/replay",
            A,
            "Send what an attempt was about once more",
        )
        .gives(of::<Delivery>),
        // Keys
        route(post.clone(), "/api/v1/keys", A, "Make an API key")
            .takes(of::<CreateKey>)
            .gives(of::<CreatedKey>)
            .created(),
        route(get.clone(), "/api/v1/keys", A, "List API keys").gives(page::<KeyView>),
        route(delete.clone(), "/api/v1/keys/{id}", A, "Revoke an API key"),
        // Scripts, downloads, pages
        route(
            get.clone(),
            "/bootstrap.sh",
            OPEN,
            "The script that enrols a node",
        ),
        route(
            get.clone(),
            "/preflight-check.sh",
            OPEN,
            "The script that looks at a host before anything is installed",
        ),
        route(
            get.clone(),
            "/uninstall.sh",
            OPEN,
            "The script that takes AAMI off a node",
        ),
        route(
            get.clone(),
            "/install.sh",
            OPEN,
            "The script that installs a server from the release held here",
        ),
        route(get.clone(), "/ca.pem", OPEN, "The control plane's own CA"),
        route(get.clone(), "/dist/{*path}", OPEN, "What nodes download"),
        route(get.clone(), "/", OPEN, "The status page"),
        route(get.clone(), "/api/v1/openapi.json", OPEN, "This document"),
        route(get.clone(), "/docs/explain/{id}", OPEN, "What a code means"),
        route(get.clone(), "/docs/guide/{id}", OPEN, "A page of the guide"),
    ];
    routes.extend(alerts::routes());
    routes.extend(checks::routes());
    routes.extend(batches::routes());
    routes.extend(fleet::routes());
    routes.extend(dashboards::routes());
    // Nodes, also under their older name.
    for (many, one, verbs, talks) in [
        ("/api/v1/nodes", "/api/v1/nodes/{id}", NODE_VERBS, NODE_TALKS),
        (
            "/api/v1/targets",
            "/api/v1/targets/{id}",
            TARGET_VERBS,
            TARGET_TALKS,
        ),
    ] {
        routes.push(
            route(post.clone(), many, O, "Declare a node")
                .takes(of::<CreateNode>)
                .gives(of::<NodeView>)
                .created(),
        );
        routes.push(
            route(get.clone(), many, V, "List nodes")
                .gives(page::<NodeView>)
                .query(NODES),
        );
        routes.push(
            route(get.clone(), one, Access::RoleOrOwnNode(Role::Viewer), "One node").gives(of::<NodeView>),
        );
        routes.push(
            route(patch.clone(), one, O, "Change a node")
                .takes(of::<PatchNode>)
                .gives(of::<NodeView>),
        );
        routes.push(
            route(
                delete.clone(),
                one,
                Access::RoleOrOwnNodeOrItsToken(Role::Operator),
                "Retire a node; on a retired one, purge it",
            )
            .gives(of::<NodeView>),
        );
        let [
            verify,
            maintenance,
            resume,
            decommission,
            restore,
            reenrol,
            history,
            token,
            rotate,
        ] = verbs;
        routes.push(
            route(
                post.clone(),
                verify,
                Access::RoleOrOwnNode(Role::Operator),
                "Fetch each of its exporters once; with `look=true` without making anything of it",
            )
            .gives(of::<Verified>)
            .query(LOOK),
        );
        for (path, summary) in [
            (token, "Make a node's install token and script; those before end"),
            (
                rotate,
                "Take a node's key and credential away, and make an install token for new ones",
            ),
        ] {
            routes.push(
                route(post.clone(), path, O, summary)
                    .takes(of::<GenerateToken>)
                    .gives(of::<GeneratedToken>)
                    .created(),
            );
        }
        for (path, summary) in [
            (maintenance, "Take a node out"),
            (resume, "Bring a node back"),
            (decommission, "Retire a node"),
            (restore, "Take a retired node back"),
            (reenrol, "Let a node enrol with another key, for an hour"),
        ] {
            routes.push(
                route(post.clone(), path, O, summary)
                    .takes(of::<Reason>)
                    .gives(of::<NodeView>),
            );
        }
        routes.push(route(get.clone(), history, V, "A node's own events").query(AFTER));
        let [commands, command, inventory] = talks;
        routes.push(
            route(post.clone(), commands, O, "Tell a connected node to do something")
                .takes(of::<GiveCommand>)
                .gives(of::<CommandView>)
                .created(),
        );
        routes.push(
            route(
                get.clone(),
                commands,
                V,
                "What a node was told to do, the newest first",
            )
            .gives(of::<Commands>),
        );
        routes
            .push(route(get.clone(), command, V, "One command, with what it gave").gives(of::<CommandView>));
        routes.push(route(
            get.clone(),
            inventory,
            Access::RoleOrOwnNode(Role::Viewer),
            "What a node's host is",
        ));
        routes.push(route(
            Method::PUT,
            inventory,
            Access::RoleOrOwnNode(Role::Operator),
            "Report what a node's host is",
        ));
    }
    routes
}

const NODE_VERBS: [&str; 9] = [
    "/api/v1/nodes/{id}/verify",
    "/api/v1/nodes/{id}/maintenance",
    "/api/v1/nodes/{id}/resume",
    "/api/v1/nodes/{id}/decommission",
    "/api/v1/nodes/{id}/restore",
    "/api/v1/nodes/{id}/allow-reenrol",
    "/api/v1/nodes/{id}/history",
    "/api/v1/nodes/{id}/token",
    "/api/v1/nodes/{id}/rotate",
];

const NODE_TALKS: [&str; 3] = [
    "/api/v1/nodes/{id}/commands",
    "/api/v1/nodes/{id}/commands/{command}",
    "/api/v1/nodes/{id}/inventory",
];

const TARGET_TALKS: [&str; 3] = [
    "/api/v1/targets/{id}/commands",
    "/api/v1/targets/{id}/commands/{command}",
    "/api/v1/targets/{id}/inventory",
];

const TARGET_VERBS: [&str; 9] = [
    "/api/v1/targets/{id}/verify",
    "/api/v1/targets/{id}/maintenance",
    "/api/v1/targets/{id}/resume",
    "/api/v1/targets/{id}/decommission",
    "/api/v1/targets/{id}/restore",
    "/api/v1/targets/{id}/allow-reenrol",
    "/api/v1/targets/{id}/history",
    "/api/v1/targets/{id}/token",
    "/api/v1/targets/{id}/rotate",
];
