//! The scripts: the one that enrols a node, the two that look at a host and take AAMI off it, and the one that installs
//! a server from the release this control plane holds.
//!
//! They are short and do three things: fetch a program, verify it, run it. All logic is in the program, and how a file
//! is fetched and verified is one text for all of them. With a bootstrap token in the header a node's script is rendered
//! for that token: token, CA and the agents' checksums stand in it, so it is never stored. A token that is not good is
//! answered with a script that says so: curl shows no body of a refusal, and the person at the terminal should read the
//! reason.

use std::sync::Arc;

use aami_model::{Code, code};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use super::call::bearer;
use super::dist::checksum;
use crate::app::{App, Refusal};

/// How files are fetched and verified, in all of them.
const FETCH: &str = include_str!("../../assets/fetch.sh");
const NODE: &str = include_str!("../../assets/bootstrap.sh");
const INSTALL: &str = include_str!("../../assets/install.sh");
const REFUSED: &str = include_str!("../../assets/refused.sh");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest public key taken: minisign's file is a comment and 56 characters.
const LONGEST_KEY: usize = 4096;
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
        .replace("@HINT@", &quoted(code.hint))
        .replace("@EXIT@", &code.exit.number().to_string());
    script(text)
}

/// What a node's script runs the agent for.
#[derive(Clone, Copy)]
struct Errand {
    verb: &'static str,
    purpose: &'static str,
}

pub(super) async fn bootstrap(state: State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let errand = Errand {
        verb: "bootstrap",
        purpose: "enrols this machine as a node.",
    };
    node(state, headers, errand).await
}

pub(super) async fn preflight(state: State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let errand = Errand {
        verb: "preflight",
        purpose: "looks whether AAMI can be installed on this machine.",
    };
    node(state, headers, errand).await
}

pub(super) async fn uninstall(state: State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let errand = Errand {
        verb: "uninstall",
        purpose: "takes AAMI off this node.",
    };
    node(state, headers, errand).await
}

async fn node(State(app): State<Arc<App>>, headers: HeaderMap, errand: Errand) -> Result<Response, Refusal> {
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
    let mut text = NODE
        .replace("@FETCH@\n", FETCH)
        .replace("@VERSION@", VERSION)
        .replace("@PURPOSE@", errand.purpose)
        .replace("@VERB@", errand.verb);
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

/// The script that installs a server, from the release of this version where its folder lies in `dist/`.
pub(super) async fn install(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let release = app.config.dist_dir().join(VERSION);
    let key = tokio::fs::read_to_string(release.join("minisign.pub")).await;
    let key = key.ok().filter(|key| key.len() <= LONGEST_KEY);
    let Some(key) = key.as_deref().and_then(|key| key.lines().nth(1)) else {
        let detail = format!("this control plane holds no release {VERSION} to install from");
        return Ok(refused(code::RELEASE_MISSING, &detail));
    };
    let mut text = INSTALL.replace("@FETCH@\n", FETCH);
    for arch in ARCHITECTURES {
        let path = release.join(arch).join("aami");
        let sum = if path.is_file() {
            checksum(&app, path).await?
        } else {
            String::new()
        };
        text = text.replace(&format!("@SHA256_{}@", arch.to_ascii_uppercase()), &quoted(&sum));
    }
    text = text
        .replacen("@VERSION@", VERSION, 1)
        .replace("@VERSION@", &quoted(VERSION))
        .replace("@BASE_URL@", &quoted(&format!("{}/dist", app.reach.public_url)))
        .replace("@PUBLIC_KEY@", &quoted(key.trim()))
        .replace(
            "@CA@",
            &quoted(app.reach.ca.as_deref().unwrap_or_default().trim_end()),
        );
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

    #[test]
    fn every_code_a_script_says_is_one_of_the_registry() {
        for text in [FETCH, NODE, INSTALL] {
            let mut said = 0;
            for (at, _) in text.match_indices("stop ") {
                let mut words = text[at..].split(' ').skip(1);
                let (Some(exit), Some(symbol)) = (words.next(), words.next()) else {
                    continue;
                };
                if exit.parse::<u8>().is_err() {
                    continue;
                }
                assert!(Code::find(symbol).is_some(), "{symbol} has no page");
                said += 1;
            }
            assert!(said > 2, "no code was found");
        }
    }
}
