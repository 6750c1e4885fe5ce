//! Service discovery for Prometheus. Always 200 with the whole list: Prometheus sends no
//! `If-None-Match` and takes a 304 for an error.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aami_model::access::{Caller, Role, Scope};
use aami_monitor::{Answer, Selection, Shape};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use serde::Deserialize;

use super::call::{Id, Params, Who};
use crate::app::{App, Refusal};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    shape: Option<String>,
}

fn answer(
    app: &App,
    caller: Caller,
    asked: &Asked,
    narrow: impl FnOnce(&mut Selection),
) -> Result<Response, Refusal> {
    let shape = match asked.shape.as_deref() {
        None | Some("") => Shape::Flat,
        Some(name) => {
            Shape::from_name(name).ok_or_else(|| Refusal::invalid("shape", "it is flat or grouped"))?
        }
    };
    debug_assert!(caller.has_role(Role::Viewer) || caller.has_scope(&Scope::Discovery));
    if caller.has_scope(&Scope::Discovery) {
        app.discovery.was_asked();
    }
    let mut selection = Selection::all(caller.orgs);
    narrow(&mut selection);
    let answer = app.discovery.targets(&app.view, shape, &selection);
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::new(Pieces::of(&answer).boxed()),
    )
        .into_response())
}

pub(super) async fn all(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(asked): Params<Asked>,
) -> Result<Response, Refusal> {
    answer(&app, caller, &asked, |_| {})
}

pub(super) async fn active(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(asked): Params<Asked>,
) -> Result<Response, Refusal> {
    answer(&app, caller, &asked, |selection| selection.active = true)
}

pub(super) async fn group(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Id(name): Id<String>,
    Params(asked): Params<Asked>,
) -> Result<Response, Refusal> {
    let group = app.group(&caller, &name)?.doc.id;
    answer(&app, caller, &asked, |selection| selection.group = Some(group))
}

/// A body of pieces that are shared with the catalogue: handing out a list of any length copies none of
/// it, and its length is known beforehand.
struct Pieces {
    left: VecDeque<Bytes>,
    len: u64,
}

impl Pieces {
    fn of(answer: &Answer) -> Self {
        Self {
            left: answer.pieces().iter().cloned().collect(),
            len: answer.len() as u64,
        }
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.pop_front();
        self.len -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}
