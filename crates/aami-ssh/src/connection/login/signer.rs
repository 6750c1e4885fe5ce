//! Signs what a host sent, once it has said that it takes the key.

use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, ssh_key};

use super::agent::Agent;
use super::patience::Patience;
use crate::identities::KeyFile;
use crate::{Identities, SshError};

/// Who signs.
pub(super) enum Signing<'a> {
    Agent {
        agent: &'a mut Agent,
        patience: Patience,
    },
    File {
        file: Arc<KeyFile>,
        identities: &'a Identities,
        patience: Patience,
    },
}

/// Why nothing was signed.
#[derive(Debug)]
pub(super) enum Unsigned {
    /// The file cannot be used.
    Key(SshError),
    /// The agent would not.
    Agent(String),
    /// The session is gone.
    Ended,
}

impl From<russh::SendError> for Unsigned {
    fn from(_: russh::SendError) -> Self {
        Self::Ended
    }
}

impl russh::Signer for Signing<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        match self {
            Self::Agent { agent, patience } => patience
                .asking(agent.sign(identity, hash, to_sign))
                .await
                .map_err(Unsigned::Agent),
            Self::File {
                file,
                identities,
                patience,
            } => {
                let key = patience
                    .asking(file.key(identities))
                    .await
                    .map_err(Unsigned::Key)?;
                sign(&key, hash, to_sign).map_err(|error| {
                    Unsigned::Key(SshError::Key {
                        file: file.path().to_owned(),
                        why: format!("it cannot sign: {error}"),
                    })
                })
            }
        }
    }
}

/// Appends the signature over some data to it, as the protocol wants it.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, ssh_key::Error> {
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        pair => pair.try_sign(&data)?,
    };
    let mut blob = Vec::new();
    signature.encode(&mut blob)?;
    blob.encode(&mut data)?;
    Ok(data)
}
