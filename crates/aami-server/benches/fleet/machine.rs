//! A machine of the fleet, as it would register.

use aami_api::PROOF_CONTEXT;
use aami_model::secret::{Secret, SecretKind};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

/// A machine whose key follows from its number.
pub(crate) struct Machine {
    number: usize,
    key: SigningKey,
    exporters: serde_json::Value,
}

impl Machine {
    pub(crate) fn new(number: usize) -> Self {
        let seed: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
        Self {
            number,
            key: SigningKey::from_bytes(&seed),
            exporters: serde_json::json!([{ "type": "node_exporter", "port": 9 }]),
        }
    }

    /// The same with no exporters: it is known by its agent's connection alone.
    #[allow(dead_code, reason = "only `links` connects agents")]
    pub(crate) fn without_exporters(mut self) -> Self {
        self.exporters = serde_json::json!([]);
        self
    }

    /// What it says who it is with, once it is a node.
    pub(crate) fn credential(&self) -> String {
        let random: [u8; 32] = Sha256::digest(format!("credential {}", self.number).as_bytes()).into();
        let id = format!("gpu-{}", self.number);
        let secret = Secret::from_random(SecretKind::NodeCredential, &id, random[..20].try_into().unwrap());
        secret.reveal().to_owned()
    }

    /// The body and its proof.
    pub(crate) fn registration(&self) -> (Vec<u8>, String) {
        let n = self.number;
        let hash = |text: &str| HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        let body = serde_json::json!({
            "hostname": format!("gpu-{n}.example.com"),
            // The control plane will try to reach it: loopback, and nobody listens there.
            "ip_address": format!("127.{}.{}.{}", 64 + n / 62_500, n / 250 % 250, 1 + n % 250),
            "labels": { "rack": format!("r{:04}", n / 48), "gpu_vendor": "nvidia", "gpu_count": "8", "gpu_model": "H100-SXM5-80GB" },
            "exporters": self.exporters,
            "system_info": {
                "os": "debian", "os_version": "12", "architecture": "amd64", "cpu_cores": 192, "memory_gb": 2048,
                "gpu_vendor": "nvidia", "gpu_model": "H100-SXM5-80GB", "gpu_count": 8,
            },
            "node_key": BASE64.encode(self.key.verifying_key().as_bytes()),
            "credential_hash": hash(&self.credential()),
            "machine": hash(&format!("machine {n}")),
            "machine_id": hash(&format!("id {n}"))[..32],
        });
        let body = serde_json::to_vec(&body).unwrap();
        let proof = BASE64.encode(&self.key.sign(&[PROOF_CONTEXT, &body].concat()).to_bytes());
        (body, proof)
    }
}
