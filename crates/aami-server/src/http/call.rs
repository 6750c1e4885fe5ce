//! A request, read: who asks, under which conditions, with which body.

use std::sync::Arc;
use std::time::Duration;

use aami_model::access::Caller;
use aami_model::code;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use http::{HeaderMap, header, request::Parts};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gate::Peer;
use crate::app::{App, Asking, Idempotency, Refusal};
use crate::config::Patience;

/// The largest body of any route.
const LARGEST_BODY: usize = 1024 * 1024;
/// How much may be held of what strangers send, all of them together.
pub(crate) const STRANGERS_ROOM: usize = 64 * 1024 * 1024;

/// The caller the gate let in.
#[derive(Debug, Clone)]
pub(super) struct Who(pub(super) Caller);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))
    }
}

/// A request with a JSON body; an empty body counts as `{}`.
pub(super) struct Call<T> {
    pub(super) asking: Asking,
    pub(super) body: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Call<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let who = parts
            .extensions
            .get::<Who>()
            .cloned()
            .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))?;
        let (bytes, _) = read_body(&parts, body, None).await?;
        let body = parse(&bytes)?;
        let asking = Asking {
            if_match: if_match(&parts.headers)?,
            idempotency: idempotency(&parts, &bytes)?,
            ..Asking::by(who.0)
        };
        Ok(Self { asking, body })
    }
}

/// A request whose exact bytes matter, from somebody who is not signed in.
///
/// What strangers send is read into room of bounded size that they share; who carries a known token in the
/// header is no stranger, so that a fleet enrols however much others send.
pub(super) struct Raw {
    pub(super) bytes: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) peer: std::net::IpAddr,
    _room: Option<OwnedSemaphorePermit>,
}

impl FromRequest<Arc<App>> for Raw {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let peer = parts
            .extensions
            .get::<Peer>()
            .map(|peer| peer.client)
            .ok_or_else(|| Refusal::plain(code::INTERNAL))?;
        let known =
            bearer(&parts.headers).is_some_and(|token| app.find_token(&app.view.current(), token).is_ok());
        let (bytes, room) = read_body(&parts, body, (!known).then_some(&app.strangers_room)).await?;
        Ok(Self {
            bytes,
            headers: parts.headers,
            peer,
            _room: room,
        })
    }
}

/// A request of somebody signed in whose exact bytes matter.
pub(super) struct Exact {
    pub(super) bytes: Bytes,
    pub(super) headers: HeaderMap,
}

impl<S: Sync> FromRequest<S> for Exact {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let (bytes, _) = read_body(&parts, body, None).await?;
        Ok(Self {
            bytes,
            headers: parts.headers,
        })
    }
}

/// What follows `?`, read into a struct of optional members.
pub(super) struct Params<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| {
                Refusal::new(
                    code::MALFORMED,
                    format!("the query cannot be read: {}", error.body_text()),
                )
            })
    }
}

/// An id in the path; what is no id names nothing.
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: std::str::FromStr + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let axum::extract::Path(text) = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Refusal::plain(code::NOT_FOUND))?;
        text.parse()
            .map(Self)
            .map_err(|_| Refusal::plain(code::NOT_FOUND))
    }
}

async fn read_body(
    parts: &Parts,
    mut body: axum::body::Body,
    room: Option<&Arc<Semaphore>>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let reading = async {
        let mut bytes = BytesMut::new();
        let mut taken: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new(code::MALFORMED, "the body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > LARGEST_BODY {
                return Err(Refusal::new(
                    code::TOO_LARGE,
                    format!("the body is larger than {LARGEST_BODY} bytes"),
                ));
            }
            if let Some(room) = room {
                let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
                let more = room.clone().try_acquire_many_owned(more).map_err(|_| {
                    Refusal::plain(code::RATE_LIMITED).with_retry_after(Duration::from_secs(1))
                })?;
                match &mut taken {
                    Some(taken) => taken.merge(more),
                    None => taken = Some(more),
                }
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), taken))
    };
    let patience = parts.extensions.get::<Patience>().copied().unwrap_or_default();
    tokio::time::timeout(patience.body, reading)
        .await
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                code::TIMED_OUT,
                format!("the body did not arrive within {} s", patience.body.as_secs_f32()),
            ))
        })
}

/// Reads JSON; the refusal says where it went wrong, and repeats nothing of what was sent.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                // serde's own words name the member and what was expected, but may quote the value.
                let text = error.to_string();
                let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
                return Refusal::new(code::MALFORMED, text);
            }
            serde_json::error::Category::Eof => "it ends early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        Refusal::new(
            code::MALFORMED,
            format!(
                "the body cannot be read: {what} (line {}, column {})",
                error.line(),
                error.column()
            ),
        )
    })
}

fn if_match(headers: &HeaderMap) -> Result<Option<aami_store::Revision>, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let unknown = || Refusal::invalid("If-Match", "it is an ETag as this control plane gave it, or *");
    let text = value.to_str().map_err(|_| unknown())?.trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text
        .trim_start_matches("W/")
        .trim_matches('"')
        .parse()
        .map_err(|_| unknown())?;
    Ok(Some(aami_store::Revision::new(number)))
}

fn idempotency(parts: &Parts, body: &[u8]) -> Result<Option<Idempotency>, Refusal> {
    let Some(value) = parts.headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
    let key =
        key.ok_or_else(|| Refusal::invalid("Idempotency-Key", "it is 1 to 128 printable characters"))?;
    let mut hasher = Sha256::new();
    for part in [
        parts.method.as_str().as_bytes(),
        b"\n",
        parts.uri.path().as_bytes(),
        b"\n",
        body,
    ] {
        hasher.update(part);
    }
    Ok(Some(Idempotency {
        key: key.to_owned(),
        request_hash: HEXLOWER.encode(&hasher.finalize()),
    }))
}

/// The credential a request carries in its header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Body {
        #[serde(default)]
        name: String,
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(parse::<Body>(b" \n").unwrap().name, "");
    }

    #[test]
    fn hostile_json_is_refused_with_a_place() {
        let deep = "[".repeat(100_000);
        for text in ["{", "{\"name\":1}", "nonsense", "\u{feff}{}", deep.as_str()] {
            let refusal = parse::<Body>(text.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, code::MALFORMED, "{text:.20}");
            assert!(refusal.detail.len() < 300);
        }
        assert_eq!(
            parse::<Body>(b"{\"name\":\"\xff\"}").unwrap_err().code,
            code::MALFORMED
        );
    }
}
