//! Which checks are meant for this node: asked of the control plane with the node's own credential, and believed
//! only as far as each definition fits its hash.

use std::time::Duration;

use aami_api::check::{NodeCheck, NodeChecks};
use aami_api::client::{Client, ClientError, Settings};
use aami_model::Timestamp;
use aami_model::secret::Secret;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::memory::Remembered;

/// How long asking may take: a round has time for this beside the longest check.
pub(super) const ASK: Duration = Duration::from_secs(10);

/// Who asks, with the node's own credential.
pub fn asker(settings: Settings, credential: &Secret) -> Result<Client, ClientError> {
    let settings = Settings {
        timeout: ASK,
        ..settings
    };
    Ok(Client::new(&settings)?.with_bearer(credential.reveal()))
}

/// Asks, and keeps the answer. Where the control plane does not answer, what it said last stays.
pub(super) fn ask(
    client: &Client,
    hostname: &str,
    remembered: &mut Remembered,
    now: Timestamp,
) -> Result<(), ClientError> {
    let have = remembered
        .set
        .as_deref()
        .map_or_else(String::new, |set| format!("&have={set}"));
    let answer: NodeChecks = client.get(&format!("/api/v1/checks/node?hostname={hostname}{have}"))?;
    remembered.fetched_at = Some(now);
    if !answer.unchanged {
        remembered.definitions = answer.checks;
        remembered.set = Some(answer.set_sha256).filter(|set| aami_model::machine::is_sha256(set));
    }
    Ok(())
}

/// The hash of a definition.
pub(super) fn sum(check: &NodeCheck) -> String {
    HEXLOWER.encode(&Sha256::digest(check.definition.canonical()))
}

/// Why a definition may not run at all.
pub(super) fn fault(check: &NodeCheck) -> Option<String> {
    if let Err(error) = check.definition.check() {
        return Some(format!("its definition may not stand: {error}"));
    }
    let sum = sum(check);
    (sum != check.sha256).then(|| format!("its definition has the hash {sum}, not {}", check.sha256))
}

#[cfg(test)]
mod tests {
    use aami_model::check::CheckDefinition;

    use super::*;

    #[test]
    fn a_definition_that_does_not_fit_its_hash_is_refused() {
        let mut check = NodeCheck {
            id: aami_model::CheckId::from_random([1; 10]),
            enabled: true,
            sha256: String::new(),
            definition: CheckDefinition::new("x", "exit 0"),
        };
        assert!(fault(&check).unwrap().contains("has the hash"));
        check.sha256 = sum(&check);
        assert_eq!(fault(&check), None);
        check.definition.script.push('!');
        assert!(fault(&check).is_some());
        check.definition.name = "../../etc/passwd".to_owned();
        check.sha256 = sum(&check);
        assert!(fault(&check).unwrap().contains("may not stand"));
    }
}
