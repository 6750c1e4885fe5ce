//! The scripts: the one that enrols a node, the two that look at a host and take AAMI off it, and the one that installs
//! a server from the release this control plane holds.
//!
//! They are short and do three things: fetch a program, verify it, run it. All logic is in the program, and how a file
//! is fetched and verified is one text for all of them. With a bootstrap token in the header a node's script is rendered
//! for that token: token, CA and the agents' checksums stand in it, so it is never stored. A token that is not good is
//! answered with a script that says so: curl shows no body of a refusal, and the person at the terminal should read the
//! reason. A token that was made for one node is rendered into a script that reports how far it is.

use std::sync::Arc;

use aami_model::access::Orgs;
use aami_model::node::Node;
use aami_model::{Code, code};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use super::call::bearer;
use super::dist::checksum;
use super::node_tokens::agent::Agent;
use super::node_tokens::documentation;
use crate::app::{App, Refusal};
use crate::config::ARCHITECTURES;
use crate::view::Held;

/// How files are fetched and verified, in all of them.
const FETCH: &str = include_str!("../../assets/fetch.sh");
const NODE: &str = include_str!("../../assets/bootstrap.sh");
const INSTALL: &str = include_str!("../../assets/install.sh");
/// What a script does at its turning points: nothing, or tell the control plane of the node it was made for.
const SILENT: &str = include_str!("../../assets/silent.sh");
const REPORT: &str = include_str!("../../assets/report.sh");
const REFUSED: &str = include_str!("../../assets/refused.sh");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest public key taken: minisign's file is a comment and 56 characters.
const LONGEST_KEY: usize = 4096;
/// What the script of a machine does.
const BOOTSTRAP: Errand = Errand {
    verb: "bootstrap",
    purpose: "enrols this machine as a node.",
};

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
    node(state, headers, BOOTSTRAP).await
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

/// What stands in a node's script.
struct Fill<'a> {
    errand: Errand,
    token: &'a str,
    /// By architecture: checksum and address; an address that is empty is the control plane's own.
    builds: [(String, String); 2],
    /// The node it is made for, with the version it brings.
    bound: Option<(&'a Node, &'a str)>,
}

fn render(app: &App, fill: &Fill<'_>) -> String {
    let report = match fill.bound {
        Some((node, version)) => REPORT
            .replace("@NODE@", &quoted(node.hostname.as_str()))
            .replace("@NODE_ID@", &quoted(node.id.as_str()))
            .replace("@AGENT_VERSION@", &quoted(version))
            .replace("@DOCS@", &quoted(&documentation(app))),
        None => SILENT.to_owned(),
    };
    let mut text = NODE
        .replace("@FETCH@\n", FETCH)
        .replace("@REPORT@\n", &report)
        .replace("@VERSION@", VERSION)
        .replace("@PURPOSE@", fill.errand.purpose)
        .replace("@VERB@", fill.errand.verb);
    // Who asks without a token has not said whom they trust: they name server, token and CA themselves.
    let (server, ca) = if fill.token.is_empty() {
        (String::new(), String::new())
    } else {
        (
            app.reach.public_url.clone(),
            app.reach.ca.clone().unwrap_or_default(),
        )
    };
    for (arch, (sum, url)) in ARCHITECTURES.iter().zip(&fill.builds) {
        let arch = arch.to_ascii_uppercase();
        text = text
            .replace(&format!("@SHA256_{arch}@"), &quoted(sum))
            .replace(&format!("@URL_{arch}@"), &quoted(url));
    }
    text.replace("@SERVER@", &quoted(&server))
        .replace("@CA@", &quoted(ca.trim_end()))
        .replace("@TOKEN@", &quoted(fill.token))
}

/// The install script of one node.
pub(super) fn for_node(app: &App, token: &str, node: &Node, agent: &Agent) -> String {
    let build = |arch: &str| {
        let build = agent.build(arch);
        build.map_or_else(Default::default, |build| {
            (build.sha256.clone(), build.url.clone())
        })
    };
    let fill = Fill {
        errand: BOOTSTRAP,
        token,
        builds: ARCHITECTURES.map(build),
        bound: Some((node, &agent.version)),
    };
    render(app, &fill)
}

/// The node a token was made for, where it was made for one, and the agent's version that was asked for with it.
fn meant(app: &App, token: &str) -> Option<(Arc<Held<Node>>, Option<String>)> {
    let snapshot = app.view.current();
    let (token, _) = app.find_token(&snapshot, token).ok()?;
    let node = snapshot.node(token.only_node.as_ref()?, &Orgs::All)?;
    Some((node.clone(), token.agent_version))
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
    if errand.verb == BOOTSTRAP.verb
        && let Some((held, version)) = meant(&app, &token)
    {
        return Ok(match Agent::find(&app, version.as_deref()).await {
            Ok(agent) => script(for_node(&app, &token, &held.doc, &agent)),
            Err(refusal) => refused(refusal.code, &refusal.detail),
        });
    }
    let mut builds: [(String, String); 2] = Default::default();
    for (arch, (sum, _)) in ARCHITECTURES.iter().zip(&mut builds) {
        let path = app.config.dist_dir().join(arch).join("aami-agent");
        if !token.is_empty() && path.is_file() {
            *sum = checksum(&app, path).await?;
        }
    }
    let fill = Fill {
        errand,
        token: &token,
        builds,
        bound: None,
    };
    Ok(script(render(&app, &fill)))
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
        for text in [FETCH, NODE, INSTALL, REPORT] {
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
