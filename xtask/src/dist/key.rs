//! Who signs: minisign's keys and signatures.
//!
//! The signature is made here and not by the `minisign` crate, which mixes random bytes into it: Ed25519 needs none,
//! and without them the same list and key give the same signature.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use blake2::{Blake2b512, Digest as _};
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use minisign::{KeyPair, PublicKey, SecretKeyBox};

/// Where a secret key's bytes hold what, as minisign writes them: algorithms and salt, then the id, the seed, the public key.
const ID: std::ops::Range<usize> = 54..62;
const SEED: std::ops::Range<usize> = 62..94;
/// The algorithm: Ed25519 over the BLAKE2b-512 of the file.
const PREHASHED: &[u8] = b"ED";

/// A secret key and its public one.
pub(super) struct Key {
    id: [u8; 8],
    secret: SigningKey,
    public: PublicKey,
}

impl Key {
    /// Reads a secret key that is not encrypted, as [`make`] writes it, and `minisign -G -W`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the key {name}"))?;
        let secret = SecretKeyBox::from_string(&text)
            .and_then(SecretKeyBox::into_unencrypted_secret_key)
            .with_context(|| format!("{name} is not a minisign secret key without a password"))?;
        let public = PublicKey::from_secret_key(&secret).with_context(|| format!("{name} is damaged"))?;
        let bytes = secret.to_bytes();
        let (id, seed) = (bytes.get(ID), bytes.get(SEED));
        let (Some(id), Some(seed)) = (
            id.and_then(|id| id.try_into().ok()),
            seed.and_then(|seed| seed.try_into().ok()),
        ) else {
            anyhow::bail!("{name} is too short to be a key");
        };
        let key = Self {
            id,
            secret: SigningKey::from_bytes(seed),
            public,
        };
        // A key that signs what its public half does not confirm would show at every customer, not here.
        ensure!(
            key.public
                .to_bytes()
                .ends_with(key.secret.verifying_key().as_bytes()),
            "{name}: its halves do not belong together"
        );
        Ok(key)
    }

    /// The public key as one line of base64.
    pub(super) fn public(&self) -> String {
        self.public.to_base64()
    }

    /// The public key as minisign's file.
    pub(super) fn public_file(&self) -> String {
        format!(
            "untrusted comment: public key of AAMI releases\n{}\n",
            self.public()
        )
    }

    /// A signature over `bytes`, as minisign's file. `comment` is signed, too.
    pub(super) fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.secret.sign(&Blake2b512::digest(bytes)).to_bytes();
        let global = self.secret.sign(&[&signature[..], comment.as_bytes()].concat());
        format!(
            "untrusted comment: signature of an AAMI release\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode(&[PREHASHED, &self.id, &signature].concat()),
            BASE64.encode(&global.to_bytes()),
        )
    }
}

/// Makes a key pair: the secret one at `path`, for its owner alone, the public one beside it. Neither may be there.
pub(super) fn make(path: &Path) -> Result<PathBuf> {
    let public_path = path.with_extension("pub");
    ensure!(public_path != path, "the secret key's name may not end in .pub");
    let pair = KeyPair::generate_unencrypted_keypair().context("no key could be made")?;
    let secret = pair.sk.to_box(Some("secret key of AAMI releases"))?;
    let write = |path: &Path, mode: u32, text: &str| -> Result<()> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .with_context(|| format!("cannot make {}", path.display()))
    };
    write(path, 0o600, &secret.into_string())?;
    let public = format!(
        "untrusted comment: public key of AAMI releases\n{}\n",
        pair.pk.to_base64()
    );
    write(&public_path, 0o644, &public)?;
    Ok(public_path)
}
