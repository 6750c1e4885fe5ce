//! The calls by name.

use std::net::IpAddr;

use aami_model::group::Group;
use aami_model::run::RunEvent;
use aami_model::{NodeId, RunId};
use ureq::http::Method;

use super::{Answer, Client, ClientError};
use crate::check::NodeChecks;
use crate::event::{Audit, Events};
use crate::health::{Health, Status};
use crate::key::{CreateKey, CreatedKey, KeyView};
use crate::node::{NodeView, Verified};
use crate::node_token::{GenerateToken, GeneratedToken};
use crate::page::Page;
use crate::register::Registered;
use crate::run::{OpenRun, ReportEvents, Reported};
use crate::token::{CreateToken, CreatedToken, OpenedRun, TokenView, Validated};

const NOTHING: Option<&()> = None;

impl Client {
    /// Whether a control plane answers, and what its clock says.
    pub fn health(&self) -> Result<Answer<Health>, ClientError> {
        let answer: Answer<Health> = self.call(Method::GET, "/api/v1/health", NOTHING, &[])?;
        if answer.body.service == "aami" {
            Ok(answer)
        } else {
            Err(ClientError::NotAami {
                url: format!("{}/api/v1/health", self.server()),
                status: 200,
                line: "JSON of another service".to_owned(),
            })
        }
    }

    /// The whole in a few numbers.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/v1/status")
    }

    /// Judges the bootstrap token this client carries, and opens a run for its installation.
    pub fn validate(&self) -> Result<Answer<Validated>, ClientError> {
        self.call(Method::POST, "/api/v1/bootstrap-tokens/validate", NOTHING, &[])
    }

    /// Judges the bootstrap token this client carries; writes nothing.
    pub fn validate_only(&self) -> Result<Answer<Validated>, ClientError> {
        self.call(Method::GET, "/api/v1/bootstrap-tokens/validate", NOTHING, &[])
    }

    /// The same for a machine that will register `address`, which is judged with the token: what may not be registered
    /// is refused before anything is installed there. Opens a run where `opens_run` says so.
    pub fn validate_at(&self, address: IpAddr, opens_run: bool) -> Result<Answer<Validated>, ClientError> {
        let method = if opens_run { Method::POST } else { Method::GET };
        let path = format!("/api/v1/bootstrap-tokens/validate?address={address}");
        self.call(method, &path, NOTHING, &[])
    }

    /// Registers a machine. `body` is the exact JSON that `proof` signs; `proof_old` is the same by the
    /// node's former key.
    pub fn register(
        &self,
        body: &[u8],
        proof: Option<&str>,
        proof_old: Option<&str>,
    ) -> Result<Registered, ClientError> {
        let mut headers = Vec::new();
        headers.extend(proof.map(|proof| (crate::PROOF, proof)));
        headers.extend(proof_old.map(|proof| (crate::PROOF_OLD, proof)));
        Ok(self
            .send(Method::POST, "/api/v1/bootstrap/register", Some(body), &headers)?
            .body)
    }

    /// Asks the control plane to reach this node's exporters now.
    pub fn verify(&self, node: &NodeId) -> Result<Verified, ClientError> {
        self.post(&format!("/api/v1/nodes/{node}/verify"), NOTHING)
    }

    /// Asks the control plane what it sees of this node's exporters now; the node stays as it is.
    pub fn look(&self, node: &NodeId) -> Result<Verified, ClientError> {
        self.post(&format!("/api/v1/nodes/{node}/verify?look=true"), NOTHING)
    }

    /// Makes a node's install token; those made for it before end.
    pub fn node_token(&self, node: &NodeId, wanted: &GenerateToken) -> Result<GeneratedToken, ClientError> {
        self.post(&format!("/api/v1/nodes/{node}/token"), Some(wanted))
    }

    /// Takes a node's key and credential away at once, and makes an install token for new ones.
    pub fn rotate_node(&self, node: &NodeId, wanted: &GenerateToken) -> Result<GeneratedToken, ClientError> {
        self.post(&format!("/api/v1/nodes/{node}/rotate"), Some(wanted))
    }

    /// Takes a node out for good; a node may do so to itself.
    pub fn retire(&self, node: &NodeId) -> Result<(), ClientError> {
        let _: Answer<serde_json::Value> =
            self.call(Method::DELETE, &format!("/api/v1/nodes/{node}"), NOTHING, &[])?;
        Ok(())
    }

    /// Opens a run of an installation that no bootstrap token began.
    pub fn open_run(&self, run: &OpenRun) -> Result<OpenedRun, ClientError> {
        self.post("/api/v1/runs", Some(run))
    }

    /// Reports what happened in a run; repeating a batch is harmless.
    pub fn report(&self, run: &RunId, events: Vec<RunEvent>) -> Result<Reported, ClientError> {
        self.post(
            &format!("/api/v1/runs/{run}/events"),
            Some(&ReportEvents { events }),
        )
    }

    /// Makes a bootstrap token.
    pub fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, ClientError> {
        self.post("/api/v1/bootstrap-tokens", Some(token))
    }

    /// The bootstrap tokens, a page of them.
    pub fn tokens(&self, query: &str) -> Result<Page<TokenView>, ClientError> {
        self.get(&format!("/api/v1/bootstrap-tokens{query}"))
    }

    /// The nodes, a page of them; `query` is empty or begins with `?`.
    pub fn nodes(&self, query: &str) -> Result<Page<NodeView>, ClientError> {
        self.get(&format!("/api/v1/nodes{query}"))
    }

    /// One node.
    pub fn node(&self, node: &NodeId) -> Result<Answer<NodeView>, ClientError> {
        self.call(Method::GET, &format!("/api/v1/nodes/{node}"), NOTHING, &[])
    }

    /// The groups, a page of them.
    pub fn groups(&self, query: &str) -> Result<Page<Group>, ClientError> {
        self.get(&format!("/api/v1/groups{query}"))
    }

    /// The checks meant for a node, asked with its own credential. `have` is the `set_sha256` of the answer
    /// before, where there was one: while the set is the same, the answer is short.
    pub fn node_checks(&self, hostname: &str, have: Option<&str>) -> Result<NodeChecks, ClientError> {
        let have = have.map(|have| format!("&have={have}")).unwrap_or_default();
        self.get(&format!("/api/v1/checks/node?hostname={hostname}{have}"))
    }

    /// Which node the credential that this client carries is of.
    pub fn own_node(&self) -> Result<NodeId, ClientError> {
        let own: NodeChecks = self.get("/api/v1/checks/node")?;
        Ok(own.node_id)
    }

    /// Makes an API key.
    pub fn create_key(&self, key: &CreateKey) -> Result<CreatedKey, ClientError> {
        self.post("/api/v1/keys", Some(key))
    }

    /// The API keys.
    pub fn keys(&self) -> Result<Page<KeyView>, ClientError> {
        self.get("/api/v1/keys")
    }

    /// Events after a sequence number.
    pub fn events(&self, after: u64, limit: usize) -> Result<Events, ClientError> {
        self.get(&format!("/api/v1/events?after={after}&limit={limit}"))
    }

    /// Audit entries after a sequence number.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Audit, ClientError> {
        self.get(&format!("/api/v1/audit?after={after}&limit={limit}"))
    }

    /// GET as JSON.
    pub fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.call(Method::GET, path, NOTHING, &[])?.body)
    }

    /// POST as JSON.
    pub fn post<B: serde::Serialize, T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        Ok(self.call(Method::POST, path, body, &[])?.body)
    }

    /// PATCH as JSON.
    pub fn patch<B: serde::Serialize, T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        Ok(self.call(Method::PATCH, path, Some(body), &[])?.body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        let _: Answer<serde_json::Value> = self.call(Method::DELETE, path, NOTHING, &[])?;
        Ok(())
    }
}
