//! The secrets of destinations at rest: encrypted by a key that only the data folder holds.
//!
//! They cannot be kept as hashes, for they are used: to sign, to sign in. So the store holds them sealed
//! (ChaCha20-Poly1305, RFC 8439, bound to the destination's id), and `seal.key` in the data folder (0600) opens them.
//! A read of the store alone gives none of them. Replicas share that file, as they share the certificate's key.

use std::path::{Path, PathBuf};

use aami_model::Timestamp;
use data_encoding::BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::secret_file;
use crate::world::World;

/// The key, and the file it came from.
pub(crate) struct Seal {
    key: LessSafeKey,
    path: PathBuf,
}

/// What is secret about a destination.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    /// What requests are signed with, `whsec_...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing: Option<String>,
    /// The one before it, and until when requests are signed with it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<(String, Timestamp)>,
    /// A URL that is itself the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Sent as `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization: Option<String>,
    /// The mail server's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
}

/// Why secrets cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("its secrets cannot be opened with {}: they were sealed by another key, or changed", path.display())]
pub(crate) struct Unopened {
    path: PathBuf,
}

impl Seal {
    /// Takes the key of the data folder; makes one where there is none.
    pub(crate) fn of(data_dir: &Path, world: &World) -> std::io::Result<Self> {
        let path = data_dir.join("seal.key");
        let bytes = match std::fs::read_to_string(&path) {
            Ok(text) => BASE64.decode(text.trim().as_bytes()).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let bytes: [u8; 32] = world.random();
                secret_file::write(&path, format!("{}\n", BASE64.encode(&bytes)).as_bytes(), 0o600)?;
                bytes.to_vec()
            }
            Err(error) => return Err(error),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| {
            std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "seal.key holds no key of 32 bytes in base64",
            )
        })?;
        Ok(Self {
            key: LessSafeKey::new(key),
            path,
        })
    }

    /// Encrypts secrets of the destination `id`.
    pub(crate) fn close(&self, world: &World, id: &str, secrets: &Secrets) -> String {
        let nonce: [u8; NONCE_LEN] = world.random();
        let mut text = serde_json::to_vec(secrets).unwrap_or_default();
        // Fails only beyond 256 GiB.
        let _ = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(id.as_bytes()),
            &mut text,
        );
        BASE64.encode(&[&nonce[..], &text].concat())
    }

    /// Opens what was sealed for the destination `id`.
    pub(crate) fn open(&self, id: &str, sealed: &str) -> Result<Secrets, Unopened> {
        let unopened = || Unopened {
            path: self.path.clone(),
        };
        let mut bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| unopened())?;
        if bytes.len() < NONCE_LEN {
            return Err(unopened());
        }
        let mut text = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| unopened())?;
        let text = self
            .key
            .open_in_place(nonce, Aad::from(id.as_bytes()), &mut text)
            .map_err(|_| unopened())?;
        serde_json::from_slice(text).map_err(|_| unopened())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_open_with_the_same_file_for_the_same_destination_only() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::system();
        let seal = Seal::of(folder.path(), &world).unwrap();
        let mode = folder
            .path()
            .join("seal.key")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let secrets = Secrets {
            signing: Some("whsec_abc".to_owned()),
            ..Secrets::default()
        };
        let sealed = seal.close(&world, "w1", &secrets);
        assert!(!sealed.contains("whsec"));
        // The same folder, after a restart.
        let again = Seal::of(folder.path(), &world).unwrap();
        assert!(again.open("w1", &sealed).unwrap() == secrets);
        // Another destination, another folder, another text.
        assert!(again.open("w2", &sealed).is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(
            Seal::of(elsewhere.path(), &world)
                .unwrap()
                .open("w1", &sealed)
                .is_err()
        );
        for text in ["", "AAAA", "no base64!", &sealed[..sealed.len() - 4]] {
            assert!(again.open("w1", text).is_err(), "{text:?}");
        }
    }
}
