//! What a stranger sent, turned into values that hold their rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aami_api::PROOF_CONTEXT;
use aami_api::register::RegisterRequest;
use aami_model::exporter::{self, Exporter};
use aami_model::hostname::Hostname;
use aami_model::label::Labels;
use aami_model::machine::{SystemInfo, is_machine_id, is_sha256};
use aami_model::{RunId, code};
use data_encoding::BASE64;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use serde_json::Value;

use crate::app::Refusal;
use crate::app::address::AddressPolicy;

/// The most metadata a node may carry, in bytes of JSON.
const MOST_METADATA: usize = 16 * 1024;

/// A registration whose every value holds its rule, and whose signature, if it has a key, is right.
pub(super) struct Candidate {
    pub(super) hostname: Hostname,
    pub(super) address: IpAddr,
    pub(super) labels: Labels,
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) exporters: Vec<Exporter>,
    pub(super) system_info: Option<SystemInfo>,
    /// Base64 of the Ed25519 public key.
    pub(super) key: Option<String>,
    pub(super) credential_hash: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) machine_id: Option<String>,
    pub(super) run: Option<RunId>,
}

impl Candidate {
    pub(super) fn check(
        request: RegisterRequest,
        body: &[u8],
        proof: Option<&str>,
        addresses: &AddressPolicy,
        peer: IpAddr,
    ) -> Result<Self, Refusal> {
        let hostname = request
            .hostname
            .parse()
            .map_err(|error| Refusal::invalid("hostname", error))?;
        let address: IpAddr = request
            .ip_address
            .parse()
            .map_err(|_| Refusal::invalid("ip_address", "it is not an IP address"))?;
        let address = address.to_canonical();
        addresses.judge(address, peer)?;
        request
            .labels
            .check()
            .map_err(|error| Refusal::invalid("labels", error))?;
        check_metadata("metadata", &request.metadata)?;
        let exporters: Vec<Exporter> = request
            .exporters
            .into_iter()
            .map(|info| info.into_exporter())
            .collect();
        exporter::check_set(&exporters).map_err(|error| Refusal::invalid("exporters", error))?;
        for exporter in &exporters {
            check_metadata("exporters.config", &exporter.config)?;
        }
        if let Some(info) = &request.system_info {
            info.check()
                .map_err(|rule| Refusal::invalid("system_info", rule))?;
        }
        let hash = |field: &str, value: &Option<String>| match value {
            Some(text) if !is_sha256(text) => Err(Refusal::invalid(field, "it is 64 lower-case hex digits")),
            _ => Ok(()),
        };
        hash("credential_hash", &request.credential_hash)?;
        hash("machine", &request.machine)?;
        if request.machine_id.as_deref().is_some_and(|id| !is_machine_id(id)) {
            return Err(Refusal::invalid(
                "machine_id",
                "it is 32 lower-case hex digits, not all zero",
            ));
        }
        if let Some(key) = &request.node_key {
            if request.credential_hash.is_none() {
                return Err(Refusal::invalid(
                    "credential_hash",
                    "a request with node_key needs it",
                ));
            }
            check_proof(key, proof, body)?;
        }
        Ok(Self {
            hostname,
            address,
            labels: request.labels,
            metadata: request.metadata,
            exporters,
            system_info: request.system_info,
            credential_hash: request.credential_hash.filter(|_| request.node_key.is_some()),
            key: request.node_key,
            machine: request.machine,
            machine_id: request.machine_id,
            run: request.run_id,
        })
    }
}

/// Refuses metadata that is too large.
pub(in crate::app) fn check_metadata(field: &str, metadata: &BTreeMap<String, Value>) -> Result<(), Refusal> {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |bytes| bytes.len());
    if size > MOST_METADATA {
        return Err(Refusal::invalid(
            field,
            format!("it is {size} bytes of JSON, more than {MOST_METADATA}"),
        ));
    }
    Ok(())
}

fn check_proof(key: &str, proof: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
    let proof = proof.ok_or_else(|| Refusal::new(code::PROOF_INVALID, "the header AAMI-Proof is missing"))?;
    if signed_by(key, proof, body)? {
        Ok(())
    } else {
        Err(Refusal::plain(code::PROOF_INVALID))
    }
}

/// Whether `proof` is a signature over this body by `key`; refuses a key that is none.
pub(super) fn signed_by(key: &str, proof: &str, body: &[u8]) -> Result<bool, Refusal> {
    let bytes: [u8; 32] = BASE64
        .decode(key.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Refusal::invalid("node_key", "it is 32 bytes as base64"))?;
    let key = VerifyingKey::from_bytes(&bytes)
        .map_err(|_| Refusal::invalid("node_key", "it is not an Ed25519 public key"))?;
    let Some(signature) = BASE64
        .decode(proof.as_bytes())
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
    else {
        return Ok(false);
    };
    let mut message = Vec::with_capacity(PROOF_CONTEXT.len() + body.len());
    message.extend_from_slice(PROOF_CONTEXT);
    message.extend_from_slice(body);
    // With a small-order key one signature would fit many messages.
    Ok(!key.is_weak() && key.verify(&message, &signature).is_ok())
}
