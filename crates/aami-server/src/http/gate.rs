//! The gate every request passes: over which wire, how often, who, and whether they may.
//!
//! Order matters. What arrives in plain HTTP from elsewhere is refused before anything in it is
//! believed; then the table of [`routes`](super::routes) decides, and what is open, or fails to sign in,
//! is limited by address. A route the table does not know is refused.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_api::MIN_REVISION;
use aami_model::access::{Caller, Scope};
use aami_model::secret::SecretKind;
use aami_model::{Code, NodeId, code};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::{HeaderValue, Method};
use http_body_util::BodyExt as _;

use super::call::{Who, bearer};
use super::limits::Limiter;
use super::problem::Refused;
use super::reply::read_opaque;
use super::routes::{self, Access};
use crate::app::{App, Refusal};

/// How long a read waits for the revision it must have seen.
const REVISION_PATIENCE: Duration = Duration::from_secs(2);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The other end of the connection.
    pub(crate) socket: SocketAddr,
    /// Whether it is encrypted.
    pub(crate) tls: bool,
    /// Who asked, as far as a trusted proxy may say.
    pub(crate) client: IpAddr,
}

/// What the gate knows.
pub(crate) struct Gate {
    app: Arc<App>,
    table: HashMap<&'static str, Vec<(Method, Access)>>,
    open: Limiter,
    failures: Limiter,
}

impl Gate {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let mut table: HashMap<&'static str, Vec<(Method, Access)>> = HashMap::new();
        for route in routes::all() {
            table
                .entry(route.path)
                .or_default()
                .push((route.method, route.access));
        }
        let rate = f64::from(app.config.open_rate);
        Self {
            table,
            open: Limiter::new(rate, rate * 4.0),
            failures: Limiter::new(10.0, 200.0),
            app,
        }
    }

    fn access(&self, path: &str, method: &Method) -> Option<Access> {
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.table
            .get(path)?
            .iter()
            .find(|(known, _)| known == method)
            .map(|(_, access)| *access)
    }
}

/// Counts, logs and names every answer; lets no request take for ever.
pub(crate) async fn record(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let patience = gate.app.config.patience;
    request.extensions_mut().insert(patience);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)", |path| path.as_str())
        .to_owned();
    let client = request.extensions().get::<Peer>().map(|peer| peer.client);
    let request_id = HEXLOWER.encode(&gate.app.world.random::<8>());

    let mut response = match tokio::time::timeout(patience.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::plain(code::TIMED_OUT).into_response(),
    };
    let status = response.status().as_u16();
    let refused = response.extensions().get::<Refused>().map(|refused| refused.0);
    gate.app.counters.answered(&route, method.as_str(), status);
    gate.app
        .counters
        .durations
        .observe(started.elapsed().as_secs_f64());
    if let Some(code) = refused {
        gate.app.counters.refused(code.symbol);
    }
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let symbol = refused.map(|code| code.symbol);
    if status >= 500 {
        tracing::error!(%request_id, %method, %route, status, millis, ?client, code = ?symbol, "answered");
    } else {
        tracing::debug!(%request_id, %method, %route, status, millis, ?client, code = ?symbol, "answered");
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", value);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Lets a request through, or says why not.
pub(crate) async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let asked = request.headers().get(MIN_REVISION).cloned();
    let admitted = match admit(&gate, &mut request) {
        Ok(client) => seen(&gate.app, asked).await.map(|()| client),
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Ok(client) => {
            let response = next.run(request).await;
            // A bootstrap token is judged by the use case; a wrong one counts as a failure all the same.
            let guessed = response
                .extensions()
                .get::<Refused>()
                .is_some_and(|refused| is_guess(refused.0));
            if guessed {
                let _ = gate.failures.take(client, Instant::now());
            }
            response
        }
        Err(refusal) => {
            drain(request.into_body()).await;
            refusal.into_response()
        }
    }
}

/// Reads away a body nobody wants, as far as it is small and comes at once: a connection with an unread
/// body cannot be used again, and cutting it could cost the client the answer.
async fn drain(mut body: axum::body::Body) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > 64 * 1024 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
}

fn is_guess(code: Code) -> bool {
    code == code::TOKEN_INVALID || code == code::UNAUTHENTICATED
}

fn admit(gate: &Gate, request: &mut Request) -> Result<IpAddr, Refusal> {
    let now = Instant::now();
    let mut peer = request
        .extensions()
        .get::<Peer>()
        .copied()
        .ok_or_else(|| Refusal::plain(code::INTERNAL))?;
    let proxied = gate
        .app
        .config
        .trusted_proxies
        .iter()
        .any(|net| net.holds(peer.socket.ip()));
    if proxied && let Some(client) = forwarded_for(request) {
        peer.client = client;
        request.extensions_mut().insert(peer);
    }
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned())
        .ok_or_else(|| Refusal::plain(code::NOT_FOUND))?;

    let plain_allowed =
        peer.tls || gate.app.config.plain_http || proxied || peer.socket.ip().to_canonical().is_loopback();
    if !plain_allowed && !is_health(&path) {
        let url = &gate.app.reach.public_url;
        return Err(Refusal::new(
            code::TLS_REQUIRED,
            format!("plain HTTP is not answered here; use {url}"),
        ));
    }

    let wait = |after: Duration| Refusal::plain(code::RATE_LIMITED).with_retry_after(after);
    let access = gate
        .access(&path, request.method())
        .ok_or_else(|| Refusal::plain(code::METHOD_NOT_ALLOWED))?;
    match access {
        Access::Open if !is_health(&path) => gate.open.take(peer.client, now).map_err(wait)?,
        Access::Open => {}
        // A token that is known is no guess, however many its neighbours behind one address have made.
        Access::Token => {
            let snapshot = gate.app.view.current();
            let known =
                bearer(request.headers()).is_some_and(|token| gate.app.find_token(&snapshot, token).is_ok());
            if !known {
                gate.failures.has(peer.client, now).map_err(wait)?;
            }
        }
        // A ticket is judged, and used up, by the use case.
        Access::RoleOrTicket(_) if bearer(request.headers()).is_none() => {
            gate.failures.has(peer.client, now).map_err(wait)?;
        }
        Access::Replica => {
            gate.failures.has(peer.client, now).map_err(wait)?;
            if let Err(refusal) = crate::peers::admit(&gate.app, request.headers()) {
                gate.failures.take(peer.client, now).map_err(wait)?;
                return Err(refusal);
            }
        }
        _ => {
            let caller = match bearer(request.headers()) {
                Some(credential) => sign_in(gate, credential, access, request),
                None => Err(Refusal::plain(code::UNAUTHENTICATED)),
            };
            // Somebody who guesses is slowed down; who has a working credential is not made to pay for it.
            let caller = match caller {
                Ok(caller) => caller,
                Err(refusal) => {
                    gate.failures.take(peer.client, now).map_err(wait)?;
                    return Err(refusal);
                }
            };
            permit(&caller, access, request)?;
            request.extensions_mut().insert(Who(caller));
        }
    }
    Ok(peer.client)
}

/// Who a credential speaks for here. A bootstrap token speaks for nobody, but where a machine leaves again it may
/// take back what it brought about.
fn sign_in(gate: &Gate, credential: &str, access: Access, request: &Request) -> Result<Caller, Refusal> {
    let is_token = credential.starts_with(SecretKind::BootstrapToken.prefix());
    match (access, node_of(request).parse()) {
        (Access::RoleOrOwnNodeOrItsToken(_), Ok(node)) if is_token => {
            gate.app.sign_in_to_leave(credential, &node)
        }
        _ => gate.app.sign_in(credential),
    }
}

fn node_of(request: &Request) -> &str {
    request.uri().path().split('/').nth(4).unwrap_or_default()
}

/// Whether this caller may call a route of this access.
fn permit(caller: &Caller, access: Access, request: &Request) -> Result<(), Refusal> {
    let id = node_of(request);
    let (role, scoped) = match access {
        Access::Open | Access::Token => return Ok(()),
        // It carries no credential of ours.
        Access::Replica => (None, false),
        Access::Role(role) | Access::RoleOrTicket(role) => (Some(role), false),
        Access::RoleOrDiscovery(role) => (Some(role), caller.has_scope(&Scope::Discovery)),
        Access::RoleOrOwnNode(role) | Access::RoleOrOwnNodeOrItsToken(role) => (
            Some(role),
            id.parse().is_ok_and(|id| caller.has_scope(&Scope::Node(id))),
        ),
        Access::RoleOrAnyNode(role) => (
            Some(role),
            caller.scopes.iter().any(|scope| matches!(scope, Scope::Node(_))),
        ),
        Access::OwnNode => (None, own_node(caller).is_some()),
        Access::EventsIn => (None, caller.has_scope(&Scope::EventsIn)),
        Access::OwnRun => (None, id.parse().is_ok_and(|id| caller.has_scope(&Scope::Run(id)))),
    };
    if scoped || role.is_some_and(|role| caller.has_role(role)) {
        return Ok(());
    }
    Err(match role {
        None if access == Access::EventsIn => {
            Refusal::new(code::FORBIDDEN, "this needs a key with the scope events-in")
        }
        Some(role) => Refusal::new(code::FORBIDDEN, format!("this needs the role {}", role.name())),
        None => Refusal::new(
            code::FORBIDDEN,
            "only the run or node itself may do this, by its own credential",
        ),
    })
}

/// The node that a caller is, by its own credential: a run that installs one may act for it, but is not it.
pub(super) fn own_node(caller: &Caller) -> Option<NodeId> {
    caller.scopes.iter().find_map(|scope| match scope {
        Scope::Node(id) if caller.id == format!("node:{id}") => Some(id.clone()),
        _ => None,
    })
}

/// Waits until the view shows the revision the caller must see.
async fn seen(app: &App, asked: Option<HeaderValue>) -> Result<(), Refusal> {
    let Some(value) = asked else { return Ok(()) };
    let unknown = || {
        Refusal::invalid(
            "AAMI-Min-Revision",
            "it is an AAMI-Revision as this control plane gave it",
        )
    };
    let (epoch, revision) = value.to_str().ok().and_then(read_opaque).ok_or_else(unknown)?;
    let snapshot = app.view.current();
    if snapshot.epoch().is_none_or(|known| known.epoch != epoch) {
        return Err(Refusal::plain(code::EPOCH_CHANGED));
    }
    if app.view.reached(revision, REVISION_PATIENCE).await {
        Ok(())
    } else {
        Err(Refusal::plain(code::VIEW_BEHIND).with_retry_after(Duration::from_secs(1)))
    }
}

fn is_health(path: &str) -> bool {
    matches!(
        path,
        "/api/v1/health" | "/health" | "/health/live" | "/health/ready"
    )
}

/// The last address in `X-Forwarded-For`: the one our own proxy put there.
fn forwarded_for(request: &Request) -> Option<IpAddr> {
    let text = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    text.rsplit(',').next()?.trim().parse().ok()
}
