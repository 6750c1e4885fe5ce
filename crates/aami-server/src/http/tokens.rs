//! Bootstrap tokens, validating and registering.

use std::net::IpAddr;
use std::sync::Arc;

use aami_api::page::Page;
use aami_api::register::{RegisterRequest, Registered};
use aami_api::token::{CreateToken, CreatedToken, PatchToken, TokenView, Validated};
use aami_api::{PROOF, PROOF_OLD};
use aami_model::{TokenId, code};
use axum::extract::State;
use http::HeaderMap;
use serde::Deserialize;

use super::call::{self, Call, Id, Params, Raw, Who};
use super::nodes::{Paging, paged};
use super::reply::Reply;
use crate::app::register::Arrival;
use crate::app::{App, Refusal};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call { asking, body }: Call<CreateToken>,
) -> Result<Reply<CreatedToken>, Refusal> {
    let (view, secret, written) = app.create_token(&asking, body).await?;
    let token = secret.reveal().to_owned();
    let created = CreatedToken {
        view,
        one_line: app.reach.one_line(&token),
        one_line_wget: app.reach.one_line_wget(&token),
        token,
    };
    Ok(Reply::written(&app, created, written).created())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(paging): Params<Paging>,
) -> Result<Reply<Page<TokenView>>, Refusal> {
    let (after, limit) = paged(&paging)?;
    Ok(Reply::seen(&app, app.tokens(&caller, after.as_ref(), limit)))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(id): Id<TokenId>,
) -> Result<Reply<TokenView>, Refusal> {
    let held = app.token(&caller, &id)?;
    Ok(Reply::seen(&app, held.doc).at(held.revision))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Id(id): Id<TokenId>,
    Call { asking, body }: Call<PatchToken>,
) -> Result<Reply<TokenView>, Refusal> {
    let (view, written) = app.patch_token(&asking, &id, body).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Id(id): Id<TokenId>,
    Call { asking, .. }: Call<serde_json::Value>,
) -> Result<Reply<TokenView>, Refusal> {
    let (view, written) = app.revoke_token(&asking, &id).await?;
    Ok(Reply::written(&app, view, written).at(written.revision))
}

/// What may follow `?` when a token is judged.
#[derive(Deserialize)]
pub(super) struct InQuery {
    /// The older clients' way to send it; it is never logged.
    token: Option<String>,
    /// What the machine will register itself with.
    address: Option<String>,
}

impl InQuery {
    /// Judges the address as its registration will, while nothing is installed on the machine yet.
    fn judge(&self, app: &App, peer: IpAddr) -> Result<(), Refusal> {
        let Some(text) = &self.address else { return Ok(()) };
        let address: IpAddr = text
            .parse()
            .map_err(|_| Refusal::invalid("address", "it is not an IP address"))?;
        app.config.addresses().judge(address.to_canonical(), peer)
    }
}

/// The token from the header, or from where the older clients put it.
fn token_of<'a>(headers: &'a HeaderMap, otherwise: Option<&'a str>) -> Result<&'a str, Refusal> {
    call::bearer(headers)
        .or(otherwise.filter(|text| !text.is_empty()))
        .ok_or_else(|| Refusal::plain(code::TOKEN_REQUIRED))
}

pub(super) async fn validate(
    State(app): State<Arc<App>>,
    Params(query): Params<InQuery>,
    raw: Raw,
) -> Result<Reply<Validated>, Refusal> {
    let token = token_of(&raw.headers, query.token.as_deref())?;
    let (_, validated) = app.validate_token(token)?;
    query.judge(&app, raw.peer)?;
    Ok(Reply::seen(&app, validated))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InBody {
    token: Option<String>,
}

pub(super) async fn open_run(
    State(app): State<Arc<App>>,
    Params(query): Params<InQuery>,
    raw: Raw,
) -> Result<Reply<Validated>, Refusal> {
    let body: InBody = call::parse(&raw.bytes)?;
    let token = token_of(&raw.headers, body.token.as_deref())?;
    // Whoever has no good token learns nothing about which addresses are whose.
    app.validate_token(token)?;
    query.judge(&app, raw.peer)?;
    let (validated, written) = app.open_run(token).await?;
    Ok(Reply::written(&app, validated, written))
}

pub(super) async fn register(State(app): State<Arc<App>>, raw: Raw) -> Result<Reply<Registered>, Refusal> {
    let request: RegisterRequest = call::parse(&raw.bytes)?;
    let in_body = request.token.clone();
    let token = token_of(&raw.headers, Some(&in_body))?;
    let proof = |name: &str| raw.headers.get(name).and_then(|value| value.to_str().ok());
    let arrival = Arrival {
        token,
        request,
        body: &raw.bytes,
        proof: proof(PROOF),
        proof_old: proof(PROOF_OLD),
        peer: raw.peer,
    };
    let (registered, written) = app.register(arrival).await?;
    Ok(Reply::written(&app, registered, written))
}
