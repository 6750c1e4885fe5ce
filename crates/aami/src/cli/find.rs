//! Things by the name people call them, or by id.

use aami_api::client::{Answer, ClientError};
use aami_api::key::KeyView;
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_api::prometheus::PrometheusView;
use aami_api::token::TokenView;
use aami_api::webhook::WebhookView;
use aami_model::code;
use aami_model::group::Group;
use aami_model::hostname::Hostname;

use http::Method;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::paging;
use super::query::{Query, encoded};
use super::session::Session;

/// Among so many a mistyped name is looked for.
const ENOUGH: usize = 1000;

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
        None => by_id(session, "node", "nodes", name, |node: NodeView| node.hostname),
    }
}

/// The group with this name or id, with what to send to change exactly this.
pub(crate) fn group(session: &Session, name: &str) -> Result<Answer<Group>, Failure> {
    let path = format!("/api/v1/groups/{}", encoded(name));
    match session.client.call(Method::GET, &path, None::<&()>, &[]) {
        Ok(answer) => Ok(answer),
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            let names = names(session, "groups", |group: Group| group.name);
            Err(none("group", name, &names))
        }
        Err(error) => Err(error.into()),
    }
}

/// The Prometheus with this name or id, with what to send to change exactly this.
pub(crate) fn prometheus(session: &Session, name: &str) -> Result<Answer<PrometheusView>, Failure> {
    match session.client.prometheus(name) {
        Ok(answer) => Ok(answer),
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            let names = names(session, "prometheuses", |view: PrometheusView| {
                view.prometheus.name
            });
            Err(no_prometheus(name, &names))
        }
        Err(error) => Err(error.into()),
    }
}

/// That there is no Prometheus of this name among these.
pub(crate) fn no_prometheus(name: &str, known: &[String]) -> Failure {
    Failure::unknown(
        code::NOT_FOUND,
        format!("there is no Prometheus called {name:?}"),
        name,
        known.iter().map(String::as_str),
        "`aami prometheuses list` shows those there are.",
    )
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

/// Why something with a group failed: where there is no such group, with the name that may have been meant.
pub(crate) fn group_meant(session: &Session, name: &str, failure: Failure) -> Failure {
    if failure.code() != Some(code::NOT_FOUND) {
        return failure;
    }
    group(session, name).err().unwrap_or(failure)
}

fn pick<T>(
    noun: &str,
    name: &str,
    all: Vec<T>,
    called: impl Fn(&T) -> (String, String),
) -> Result<T, Failure> {
    let names: Vec<String> = all.iter().map(|thing| called(thing).1).collect();
    let (mut by_id, others): (Vec<T>, Vec<T>) = all.into_iter().partition(|thing| called(thing).0 == name);
    if let Some(thing) = by_id.pop() {
        return Ok(thing);
    }
    let named = others
        .into_iter()
        .filter(|thing| called(thing).1 == name)
        .collect();
    one_named(noun, name, named, |thing| called(thing).0)?.ok_or_else(|| none(noun, name, &names))
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

fn by_id<T: DeserializeOwned>(
    session: &Session,
    noun: &str,
    route: &str,
    id: &str,
    called: impl Fn(T) -> String,
) -> Result<T, Failure> {
    match session.client.get(&format!("/api/v1/{route}/{}", encoded(id))) {
        Ok(thing) => Ok(thing),
        // Refused as an id or unknown as one: either way there is no such thing.
        Err(ClientError::Refused(problem)) if matches!(problem.status, 400 | 404 | 422) => {
            Err(none(noun, id, &names(session, route, called)))
        }
        Err(error) => Err(error.into()),
    }
}

/// What there is, to say what may have been meant. That it cannot be had is no failure of its own.
fn names<T: DeserializeOwned>(session: &Session, route: &str, called: impl Fn(T) -> String) -> Vec<String> {
    let all = paging::all(
        session,
        &format!("/api/v1/{route}"),
        &Query::default(),
        Some(ENOUGH),
    );
    all.unwrap_or_default().into_iter().map(called).collect()
}

fn none(noun: &str, name: &str, known: &[String]) -> Failure {
    Failure::unknown(
        code::NOT_FOUND,
        format!("there is no {noun} called {name:?}"),
        name,
        known.iter().map(String::as_str),
        code::NOT_FOUND.hint,
    )
}
