//! Judging keys with files as OpenSSH writes them.

mod certified;
mod hashed;
mod known;
mod learned;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use russh::keys::{Algorithm, Certificate};

use super::*;
use crate::ErrorClass;

const ED25519: &str = include_str!("../../tests/files/host_ed25519.pub");
const ECDSA: &str = include_str!("../../tests/files/host_ecdsa.pub");
const RSA: &str = include_str!("../../tests/files/host_rsa.pub");
const AUTHORITY: &str = include_str!("../../tests/files/ca.pub");
const CERTIFICATE: &str = include_str!("../../tests/files/host_ed25519-cert.pub");
const HASHED: &str = include_str!("../../tests/files/known_hosts_hashed");

const ED25519_PRINT: &str = "SHA256:FGcfi9Ubq0JMzcX4ubMRpNPv6PUo9+4ALiN5MkSzSYE";
const ECDSA_PRINT: &str = "SHA256:C5kcJYHbAcD2hA+xZGfzqAFwXgQTTtCMfIKrn3Apk7s";

/// Within the dates of the certificates.
fn in_2026() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_000_000)
}

struct Story {
    folder: tempfile::TempDir,
}

impl Story {
    fn new(lines: &str) -> Self {
        let story = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::write(story.file(), lines).expect("written");
        story
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("readable")
    }

    fn trust(&self, policy: HostKeyPolicy) -> Trust {
        Trust::new(policy, vec![self.file()], Vec::new()).clock(in_2026)
    }

    fn judge(&self, policy: HostKeyPolicy, host: &Host, key: &str) -> Result<Known, SshError> {
        self.trust(policy).judge(host, &offered(key))
    }
}

fn offered(text: &str) -> Offered {
    if text.contains("-cert-v01@") {
        Offered::Certificate(Box::new(Certificate::from_openssh(text).expect("a certificate")))
    } else {
        Offered::Key(PublicKey::from_openssh(text).expect("a key"))
    }
}

fn two_words(key: &str) -> String {
    key.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn host(address: &str, port: u16) -> Host {
    Host {
        port,
        ..Host::new("node", address, "root")
    }
}
