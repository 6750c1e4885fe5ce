//! The agent that holds keys and signs with them.

use std::path::Path;
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// An agent answers at once, unless it asks a person: that is [`Agent::sign`].
const ANSWER: Duration = Duration::from_secs(5);
/// As many keys are offered; a host gives up long before.
const KEYS: usize = 64;

/// A connection to an agent.
pub(super) struct Agent {
    client: AgentClient<UnixStream>,
}

impl Agent {
    /// Connects, and tells it what the session is, which keys that are bound to destinations want to know.
    pub(super) async fn connect(
        socket: &Path,
        binding: Option<&AgentSessionBinding>,
    ) -> Result<Self, String> {
        let mut client = timeout(ANSWER, AgentClient::connect_uds(socket))
            .await
            .map_err(|_| "it does not answer".to_owned())?
            .map_err(|error| error.to_string())?;
        if let Some(binding) = binding {
            // An agent that does not know this says no, and has no keys that need it.
            timeout(ANSWER, client.bind_session(binding, false))
                .await
                .map_err(|_| "it does not answer".to_owned())?
                .or_else(|error| match error {
                    russh::keys::Error::AgentFailure => Ok(()),
                    other => Err(other.to_string()),
                })?;
        }
        Ok(Self { client })
    }

    /// What it holds. One that does not answer holds nothing.
    pub(super) async fn identities(&mut self) -> Vec<AgentIdentity> {
        let mut held = timeout(ANSWER, self.client.request_identities())
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default();
        held.truncate(KEYS);
        held
    }

    /// Signs; may ask a person.
    pub(super) async fn sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        self.client
            .sign_request(identity, hash, data)
            .await
            .map_err(|error| format!("the agent did not sign: {error}"))
    }
}
