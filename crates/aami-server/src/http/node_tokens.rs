//! `POST /api/v1/nodes/{id}/token` and `/rotate`: an install token for one node, with the script that brings the agent.

pub(super) mod agent;

use std::sync::Arc;

use aami_api::node_token::{GenerateToken, GeneratedToken, INSTALL_METHOD};
use aami_model::NodeId;
use axum::extract::State;

use self::agent::Agent;
use super::call::{Call, Id};
use super::reply::Reply;
use super::scripts;
use crate::app::node_tokens::{Purpose, lasting};
use crate::app::{App, Refusal};

type Answer = Result<Reply<GeneratedToken>, Refusal>;

pub(super) async fn token(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    call: Call<GenerateToken>,
) -> Answer {
    issue(&app, &id, call, Purpose::Install).await
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Id(id): Id<NodeId>,
    call: Call<GenerateToken>,
) -> Answer {
    issue(&app, &id, call, Purpose::Rotate).await
}

async fn issue(app: &Arc<App>, id: &NodeId, call: Call<GenerateToken>, purpose: Purpose) -> Answer {
    let Call { asking, body } = call;
    let lasts = lasting(&body)?;
    // Before anything is written: a token whose script cannot be made would only end the one before it.
    let agent = Agent::find(app, body.daemon_version.as_deref()).await?;
    let version = body.daemon_version.as_deref();
    let (issued, written) = app.issue_node_token(&asking, id, lasts, version, purpose).await?;
    let arch = issued
        .node
        .system_info
        .as_ref()
        .map(|info| info.architecture.as_str());
    let build = agent.for_node(arch).ok_or_else(|| Refusal::not_found("agent"))?;
    let answer = GeneratedToken {
        token: issued.secret.reveal().to_owned(),
        expires_at: issued.token.expires_at,
        install_script: scripts::for_node(app, issued.secret.reveal(), &issued.node, &agent),
        install_method: INSTALL_METHOD.to_owned(),
        daemon_version: agent.version.clone(),
        download_url: build.url.clone(),
        checksum: format!("sha256:{}", build.sha256),
        documentation_url: documentation(app),
    };
    Ok(Reply::written(app, answer, written).created())
}

/// The page that explains an installation.
pub(super) fn documentation(app: &App) -> String {
    let own = || format!("{}/docs", app.reach.public_url);
    let base = app.config.releases.docs_base_url.clone().unwrap_or_else(own);
    format!("{base}/guide/enrolling")
}
