//! Things by the name people call them, or by id.

use aami_api::key::KeyView;
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_api::token::TokenView;
use aami_api::webhook::WebhookView;
use aami_model::code;
use aami_model::hostname::Hostname;

use super::failure::Failure;
use super::paging;
use super::query::{Query, encoded};
use super::session::Session;

/// The node with this hostname or id.
pub(crate) fn node(session: &Session, name: &str) -> Result<NodeView, Failure> {
    let mut named: Vec<NodeView> = Vec::new();
    if let Ok(hostname) = name.parse::<Hostname>() {
        let mut query = Query::default();
        query.add("hostname", hostname);
        named = paging::all(session, "/api/v1/nodes", &query, None)?;
    }
    match one_named("node", name, named, |node| node.id.to_string())? {
        Some(node) => Ok(node),
        None => by_id(session, "node", "nodes", name),
    }
}

/// The token with this name or id. Names of tokens may repeat; then only the id will do.
pub(crate) fn token(session: &Session, name: &str) -> Result<TokenView, Failure> {
    let all: Vec<TokenView> = paging::all(session, "/api/v1/bootstrap-tokens", &Query::default(), None)?;
    pick("token", name, all, |token| {
        (token.id.to_string(), token.name.clone())
    })
}

/// The key with this name or id.
pub(crate) fn key(session: &Session, name: &str) -> Result<KeyView, Failure> {
    pick("key", name, session.client.keys()?.items, |key| {
        (key.id.to_string(), key.name.clone())
    })
}

/// The destination with this name or id.
pub(crate) fn webhook(session: &Session, name: &str) -> Result<WebhookView, Failure> {
    let page: Page<WebhookView> = session.client.get("/api/v1/webhooks")?;
    pick("webhook", name, page.items, |webhook| {
        (webhook.id.to_string(), webhook.name.clone())
    })
}

/// Refuses a name that a destination has already.
pub(crate) fn no_webhook(session: &Session, name: &str) -> Result<(), Failure> {
    let page: Page<WebhookView> = session.client.get("/api/v1/webhooks")?;
    if page.items.iter().any(|webhook| webhook.name == name) {
        return Err(Failure::found(
            code::CONFLICT,
            format!("there is a webhook {name:?} already"),
        ));
    }
    Ok(())
}

fn pick<T>(
    noun: &str,
    name: &str,
    all: Vec<T>,
    called: impl Fn(&T) -> (String, String),
) -> Result<T, Failure> {
    let (mut by_id, others): (Vec<T>, Vec<T>) = all.into_iter().partition(|thing| called(thing).0 == name);
    if let Some(thing) = by_id.pop() {
        return Ok(thing);
    }
    let named = others
        .into_iter()
        .filter(|thing| called(thing).1 == name)
        .collect();
    one_named(noun, name, named, |thing| called(thing).0)?.ok_or_else(|| none(noun, name))
}

fn one_named<T>(
    noun: &str,
    name: &str,
    mut named: Vec<T>,
    id: impl Fn(&T) -> String,
) -> Result<Option<T>, Failure> {
    if named.len() > 1 {
        let ids: Vec<String> = named.iter().map(id).collect();
        return Err(Failure::found_with(
            code::CONFLICT,
            format!("{} {noun}s are called {name:?}: {}", ids.len(), ids.join(", ")),
            "Name one by its id.",
        ));
    }
    Ok(named.pop())
}

fn by_id<T: serde::de::DeserializeOwned>(
    session: &Session,
    noun: &str,
    route: &str,
    id: &str,
) -> Result<T, Failure> {
    use aami_api::client::ClientError;
    match session.client.get(&format!("/api/v1/{route}/{}", encoded(id))) {
        Ok(thing) => Ok(thing),
        // Refused as an id or unknown as one: either way there is no such thing.
        Err(ClientError::Refused(problem)) if matches!(problem.status, 400 | 404 | 422) => {
            Err(none(noun, id))
        }
        Err(error) => Err(error.into()),
    }
}

fn none(noun: &str, name: &str) -> Failure {
    Failure::found(code::NOT_FOUND, format!("there is no {noun} called {name:?}"))
}
