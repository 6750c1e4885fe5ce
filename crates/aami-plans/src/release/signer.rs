//! Who signs: minisign's keys and signatures.
//!
//! The signature is made here and not by the `minisign` crate, which mixes random bytes into it: Ed25519 needs none,
//! and without them the same content and key give the same signature. Keys are those of `minisign -G -W`: without a
//! password, since whoever signs by a program would have to lay the password beside the key.

use std::fmt;

use blake2::{Blake2b256, Blake2b512, Digest as _};
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};

use super::PublicKey;

/// The algorithm of keys: Ed25519.
const ED25519: &[u8] = b"Ed";
/// The algorithm of signatures: Ed25519 over the BLAKE2b-512 of the file.
const PREHASHED: &[u8] = b"ED";
/// No password.
const PLAIN: &[u8] = &[0, 0];
/// Checksums of keys are BLAKE2b-256.
const BLAKE2: &[u8] = b"B2";
/// Salt and limits of the password that there is not.
const UNUSED: usize = 32 + 8 + 8;
/// How long a secret key is: three algorithms, what is unused, id, seed, public key, checksum.
const LENGTH: usize = 3 * 2 + UNUSED + 8 + 32 + 32 + 32;

/// Why a text is no key that can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASigner {
    /// Something else.
    #[error("it is not a minisign secret key")]
    NotAKey,
    /// A key with a password.
    #[error("it has a password; make one without by `minisign -G -W`")]
    HasPassword,
    /// A key whose parts do not belong together.
    #[error("it is damaged")]
    Damaged,
}

/// A secret key.
pub struct Signer {
    id: [u8; 8],
    secret: SigningKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key from random bytes.
    pub fn new(id: [u8; 8], seed: &[u8; 32]) -> Self {
        Self {
            id,
            secret: SigningKey::from_bytes(seed),
        }
    }

    /// Reads a secret key as minisign writes it: a comment and a line of base64.
    pub fn read(text: &str) -> Result<Self, NotASigner> {
        let line = text.lines().nth(1).ok_or(NotASigner::NotAKey)?;
        let bytes = BASE64
            .decode(line.trim().as_bytes())
            .map_err(|_| NotASigner::NotAKey)?;
        if bytes.len() != LENGTH || !bytes.starts_with(ED25519) {
            return Err(NotASigner::NotAKey);
        }
        if bytes[2..4] != *PLAIN {
            return Err(NotASigner::HasPassword);
        }
        let (key, sum) = bytes[3 * 2 + UNUSED..].split_at(8 + 64);
        let (id, halves) = key.split_at(8);
        let (seed, public) = halves.split_at(32);
        let (Ok(id), Ok(seed)) = (id.try_into(), seed.try_into()) else {
            return Err(NotASigner::NotAKey);
        };
        let signer = Self::new(id, seed);
        // A key that signs what its public half does not confirm would show at every reader, not here.
        if sum != self::sum(key) || signer.secret.verifying_key().as_bytes() != public {
            return Err(NotASigner::Damaged);
        }
        Ok(signer)
    }

    /// The secret key as minisign's file.
    pub fn file(&self, comment: &str) -> String {
        let secret = self.secret.to_bytes();
        let public = self.secret.verifying_key();
        let key = [&self.id[..], &secret, public.as_bytes()].concat();
        let bytes = [ED25519, PLAIN, BLAKE2, &[0; UNUSED], &key, &sum(&key)].concat();
        format!("untrusted comment: {comment}\n{}\n", BASE64.encode(&bytes))
    }

    /// The public key as one line of base64.
    pub fn public(&self) -> String {
        let public = self.secret.verifying_key();
        BASE64.encode(&[ED25519, &self.id, public.as_bytes()].concat())
    }

    /// The public key, to verify by.
    pub fn public_key(&self) -> Result<PublicKey, super::ReleaseError> {
        PublicKey::read(&self.public())
    }

    /// A signature over `bytes`, as minisign's file. `comment` is signed, too.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.secret.sign(&Blake2b512::digest(bytes)).to_bytes();
        let global = self.secret.sign(&[&signature[..], comment.as_bytes()].concat());
        format!(
            "untrusted comment: signature made by AAMI\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode(&[PREHASHED, &self.id, &signature].concat()),
            BASE64.encode(&global.to_bytes()),
        )
    }
}

/// The checksum of a key: over its algorithm, its id and both halves.
fn sum(key: &[u8]) -> Vec<u8> {
    let mut sum = Blake2b256::new();
    sum.update(ED25519);
    sum.update(key);
    sum.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use minisign::{KeyPair, SecretKeyBox};

    use super::*;

    #[test]
    fn a_key_that_minisign_made_signs_what_minisign_confirms() {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        let signer = Signer::read(&text).unwrap();
        assert_eq!(signer.public(), pair.pk.to_base64());
        let signature = signer.sign(b"content", "aami-bundle 0.1.0");
        assert_eq!(
            signature,
            signer.sign(b"content", "aami-bundle 0.1.0"),
            "the same each time"
        );
        let boxed = minisign::SignatureBox::from_string(&signature).unwrap();
        let verified = minisign::verify(
            &pair.pk,
            &boxed,
            std::io::Cursor::new(b"content"),
            true,
            false,
            false,
        );
        assert!(verified.is_ok(), "{verified:?}");
        let comment = signer.public_key().unwrap().comment_of(b"content", &signature);
        assert_eq!(comment.as_deref(), Ok("aami-bundle 0.1.0"));
        assert!(
            signer
                .public_key()
                .unwrap()
                .comment_of(b"contents", &signature)
                .is_err()
        );
    }

    #[test]
    fn a_key_that_is_made_here_is_one_of_minisigns() {
        let signer = Signer::new([7; 8], &[9; 32]);
        let text = signer.file("a key");
        let theirs = SecretKeyBox::from_string(&text)
            .and_then(SecretKeyBox::into_unencrypted_secret_key)
            .unwrap();
        let public = minisign::PublicKey::from_secret_key(&theirs).unwrap();
        assert_eq!(public.to_base64(), signer.public());
        assert_eq!(Signer::read(&text).unwrap().public(), signer.public());
    }

    #[test]
    fn what_cannot_sign_says_why_and_shows_nothing_of_itself() {
        assert_eq!(Signer::read("").unwrap_err(), NotASigner::NotAKey);
        assert_eq!(Signer::read("a\nb\n").unwrap_err(), NotASigner::NotAKey);
        let signer = Signer::new([7; 8], &[9; 32]);
        assert_eq!(
            Signer::read(&format!("comment\n{}\n", signer.public())).unwrap_err(),
            NotASigner::NotAKey,
            "a public key"
        );
        let good = signer.file("a key");
        let line = good.lines().nth(1).unwrap();
        let mut bytes = BASE64.decode(line.as_bytes()).unwrap();
        bytes[2..4].copy_from_slice(b"Sc");
        let locked = format!("comment\n{}\n", BASE64.encode(&bytes));
        assert_eq!(Signer::read(&locked).unwrap_err(), NotASigner::HasPassword);
        bytes[2..4].copy_from_slice(PLAIN);
        for at in [54, 62, 94, 157] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let damaged = format!("comment\n{}\n", BASE64.encode(&damaged));
            assert_eq!(
                Signer::read(&damaged).unwrap_err(),
                NotASigner::Damaged,
                "byte {at}"
            );
        }
        assert!(!format!("{signer:?}").contains('9'), "{signer:?}");
    }
}
