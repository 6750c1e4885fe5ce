//! The script that enrols a node.
//!
//! It is short and does three things: fetch the agent, verify it, run it. All logic is in the agent. With
//! a bootstrap token in the header it is rendered for that token: token, CA and the agents' checksums
//! stand in it, so it is never stored. A token that is not good is answered with a script that says so:
//! curl shows no body of a refusal, and the person at the terminal should read the reason.

use std::sync::Arc;

use aami_model::{Code, code};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use super::call::bearer;
use super::dist::checksum;
use crate::app::{App, Refusal};

const BOOTSTRAP: &str = include_str!("../../assets/bootstrap.sh");
const REFUSED: &str = include_str!("../../assets/refused.sh");
/// The architectures an agent may be there for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Quotes a text for a POSIX shell: nothing in it means anything.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn script(text: String) -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        text,
    )
        .into_response()
}

fn refused(code: Code, detail: &str) -> Response {
    let text = REFUSED
        .replace("@DETAIL@", &quoted(detail))
        .replace("@CODE@", &quoted(&code.id()))
        .replace("@HINT@", &quoted(code.hint));
    script(text)
}

pub(super) async fn bootstrap(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let token = match bearer(&headers) {
        None => String::new(),
        Some(token) => match app.validate_token(token) {
            Ok(_) => token.to_owned(),
            // The machine that took the last use types the same line again to continue, and is known by its
            // key. Only the agent can tell it from a stranger, who is refused there.
            Err(refusal) if [code::TOKEN_EXHAUSTED, code::TOKEN_EXPIRED].contains(&refusal.code) => {
                token.to_owned()
            }
            Err(refusal) => return Ok(refused(refusal.code, &refusal.detail)),
        },
    };
    let mut text = BOOTSTRAP.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    // Who asks without a token has not said whom they trust: they name server, token and CA themselves.
    let (server, ca) = if token.is_empty() {
        (String::new(), String::new())
    } else {
        (
            app.reach.public_url.clone(),
            app.reach.ca.clone().unwrap_or_default(),
        )
    };
    for arch in ARCHITECTURES {
        let path = app.config.dist_dir().join(arch).join("aami-agent");
        let sum = if token.is_empty() || !path.is_file() {
            String::new()
        } else {
            checksum(&app, path).await?
        };
        text = text.replace(&format!("@SHA256_{}@", arch.to_ascii_uppercase()), &quoted(&sum));
    }
    text = text
        .replace("@SERVER@", &quoted(&server))
        .replace("@CA@", &quoted(ca.trim_end()))
        .replace("@TOKEN@", &quoted(&token));
    Ok(script(text))
}

pub(super) async fn ca(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let ca = app
        .reach
        .ca
        .clone()
        .ok_or_else(|| Refusal::not_found("CA of its own"))?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], ca).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_quotes() {
        assert_eq!(quoted("a'; rm -rf / #"), r"'a'\''; rm -rf / #'");
    }
}
