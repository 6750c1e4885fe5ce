//! The OpenAPI document, written from the table of routes.

use std::collections::BTreeMap;

use aami_api::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::routes::{self, Access, Route};

/// The document, as it is checked in under `openapi/` and answered under `/api/v1/openapi.json`.
pub fn document() -> Value {
    let mut schemas: Vec<(String, Value)> = Vec::new();
    let mut problem = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut problem);
    schemas.extend(
        problem
            .into_iter()
            .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())),
    );

    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes::all() {
        let path = route.path.replace("{*path}", "{path}");
        let operation = operation(&route, &path, &mut schemas);
        paths
            .entry(path)
            .or_default()
            .insert(route.method.as_str().to_ascii_lowercase(), operation);
    }
    let schemas: BTreeMap<String, Value> = schemas.into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "AAMI control plane",
            "description": "AI Accelerator Monitoring Infrastructure: from bare metal to monitored.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (aamik_), a node's (aamin_) or a run's (aamir_) credential, or a bootstrap token (aami_).",
                },
            },
        },
    })
}

fn operation(route: &Route, path: &str, schemas: &mut Vec<(String, Value)>) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(
        route
            .query
            .iter()
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } })),
    );
    let mut answer = json!({ "description": "Done." });
    if let Some(gives) = route.gives {
        answer["content"] = json!({ "application/json": { "schema": gives(schemas) } });
    }
    let mut operation = json!({
        "operationId": operation_id(route, path),
        "summary": route.summary,
        "responses": {
            route.status.to_string(): answer,
            "default": {
                "description": "A refusal.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(takes) = route.takes {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": takes(schemas) } } });
    }
    if route.access != Access::Open {
        operation["security"] = json!([{ "bearer": [] }]);
        operation["description"] = json!(described(route.access));
    }
    operation
}

fn described(access: Access) -> String {
    match access {
        Access::Open => "Anybody.".to_owned(),
        Access::Token => "Whoever carries a bootstrap token.".to_owned(),
        Access::Role(role) => format!("Needs the role {}.", role.name()),
        Access::RoleOrDiscovery(role) => format!("Needs the role {} or the scope discovery.", role.name()),
        Access::RoleOrOwnNode(role) => format!("Needs the role {}, or is the node itself.", role.name()),
        Access::RoleOrOwnNodeOrItsToken(role) => format!(
            "Needs the role {}, or is the node itself, or carries the bootstrap token it enrolled with.",
            role.name()
        ),
        Access::RoleOrAnyNode(role) => {
            format!("Needs the role {}, or is the node it asks about.", role.name())
        }
        Access::RoleOrTicket(role) => format!(
            "Needs the role {}, or a ticket that somebody with it asked for.",
            role.name()
        ),
        Access::EventsIn => "Needs the scope events-in.".to_owned(),
        Access::OwnRun => "Is the run itself.".to_owned(),
        Access::OwnNode => "Is a node, by its own credential.".to_owned(),
        Access::Replica => "Is another control plane on the same store.".to_owned(),
    }
}

/// `get_nodes_id_history`: unique, and stable for generated clients.
fn operation_id(route: &Route, path: &str) -> String {
    let words = path
        .split(['/', '-', '.'])
        .map(|part| part.trim_matches(['{', '}']))
        .filter(|part| !part.is_empty());
    let words: Vec<&str> = words.filter(|part| !matches!(*part, "api" | "v1")).collect();
    let method = route.method.as_str().to_ascii_lowercase();
    if path.starts_with("/api/") || words.is_empty() {
        format!("{method}_{}", words.join("_"))
            .trim_end_matches('_')
            .to_owned()
    } else {
        format!("{method}_root_{}", words.join("_"))
    }
}

pub(super) async fn answer() -> Response {
    let text = serde_json::to_string(&document()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        let document = document();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(
                document["components"]["schemas"].get(name).is_some(),
                "{name} is not described"
            );
        }
        let mut names = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(
                    names.insert(name.clone()),
                    "{name} stands twice ({method} {path})"
                );
            }
        }
    }
}
