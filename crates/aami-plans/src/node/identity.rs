//! Who a node is: an Ed25519 key and a credential, both made on the node and never sent.
//!
//! Registration carries the public key and the credential's hash; the key signs the request. So the
//! control plane holds nothing that could speak for the node.

use std::io;

use aami_api::PROOF_CONTEXT;
use aami_install::host::Random;
use aami_install::{Host, HostPath, StepError};
use aami_model::NodeId;
use aami_model::code;
use aami_model::secret::{Secret, SecretKind};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::layout::Layout;

/// Neither file is longer.
const LONGEST: u64 = 4096;

/// A new key: its 32 secret bytes, base64.
pub(crate) fn make_key(random: &dyn Random) -> io::Result<Vec<u8>> {
    let mut bytes = [0_u8; 32];
    random.fill(&mut bytes)?;
    Ok(format!("{}\n", BASE64.encode(&bytes)).into_bytes())
}

/// A new credential. What stands in the place of an id is random too: the node has none yet.
pub(crate) fn make_credential(random: &dyn Random) -> io::Result<Vec<u8>> {
    let (mut id, mut secret) = ([0_u8; 10], [0_u8; 20]);
    random.fill(&mut id)?;
    random.fill(&mut secret)?;
    let id = NodeId::from_random(id);
    let credential = Secret::from_random(SecretKind::NodeCredential, id.as_str(), secret);
    Ok(format!("{}\n", credential.reveal()).into_bytes())
}

/// The node's credential.
pub(crate) fn credential(host: &Host, layout: &Layout) -> Result<Secret, StepError> {
    let text = read(host, &layout.credential)?;
    Secret::parse(&text).map_err(|error| damaged(&layout.credential, &error.to_string()))
}

/// What registration carries of a credential: SHA-256, lower-case hex.
pub(crate) fn hash(credential: &Secret) -> String {
    HEXLOWER.encode(&Sha256::digest(credential.reveal().as_bytes()))
}

/// The node's key.
pub(crate) struct NodeKey(SigningKey);

impl NodeKey {
    pub(crate) fn read(host: &Host, layout: &Layout) -> Result<Self, StepError> {
        let text = read(host, &layout.key)?;
        let bytes = BASE64.decode(text.trim().as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| damaged(&layout.key, "it does not hold 32 bytes in base64"))?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The public half, base64.
    pub(crate) fn public(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// The proof that a registration's exact bytes are this node's.
    pub(crate) fn proof(&self, body: &[u8]) -> String {
        let signed: Vec<u8> = [PROOF_CONTEXT, body].concat();
        BASE64.encode(&self.0.sign(&signed).to_bytes())
    }
}

fn read(host: &Host, path: &HostPath) -> Result<String, StepError> {
    let bytes = host
        .root
        .read(path, LONGEST)
        .map_err(aami_install::EffectError::from)?;
    let bytes = bytes.ok_or_else(|| damaged(path, "it is not there"))?;
    String::from_utf8(bytes).map_err(|_| damaged(path, "it is not text"))
}

/// Says what is wrong, never what the file holds.
fn damaged(path: &HostPath, why: &str) -> StepError {
    StepError::new(code::STEP_FAILED, format!("{path} cannot be used: {why}"))
        .with_hint("Take the node back with `aami-agent uninstall` and enrol it again.")
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    use super::*;

    struct Counting;

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(at % 251).unwrap_or(0);
            }
            Ok(())
        }
    }

    #[test]
    fn a_new_credential_is_a_nodes() {
        let text = String::from_utf8(make_credential(&Counting).unwrap()).unwrap();
        let secret = Secret::parse(&text).unwrap();
        assert_eq!(secret.kind(), SecretKind::NodeCredential);
        assert!(aami_model::machine::is_sha256(&hash(&secret)));
    }

    #[test]
    fn the_proof_is_by_the_key_over_exactly_these_bytes() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        let key = NodeKey(SigningKey::from_bytes(&bytes));
        let public: [u8; 32] = BASE64
            .decode(key.public().as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        let public = VerifyingKey::from_bytes(&public).unwrap();
        let proof: [u8; 64] = BASE64
            .decode(key.proof(b"{}").as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        let signature = Signature::from_bytes(&proof);
        assert!(public.verify(b"aami-register-1\n{}", &signature).is_ok());
        assert!(public.verify(b"aami-register-1\n{ }", &signature).is_err());
    }
}
