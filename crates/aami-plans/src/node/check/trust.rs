//! What this node grants to checks: the file its own operator writes, `/etc/aami/agent.yaml`.
//!
//! ```yaml
//! checks:
//!   root:                    # these may run as root
//!     - builtin: disk_smart  # one that the agent brings along
//!     - name: deep_scan      # exactly this definition, by its hash
//!       sha256: 4f...
//!   keys:                    # and whatever one of these has signed
//!     - id: site-2026
//!       public_key: <32 bytes, base64>
//! ```
//!
//! A name alone grants nothing: whoever may define checks could put another script under it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aami_model::check::{CheckDefinition, RunAs};
use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

use super::CheckRoundError;

/// No file of rules is longer, in bytes.
const LONGEST: u64 = 256 * 1024;

/// What a node grants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rules {
    checks: Checks,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Checks {
    root: Vec<Granted>,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Granted {
    Builtin { builtin: String },
    Definition { name: String, sha256: String },
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    id: String,
    public_key: String,
}

impl Rules {
    /// Reads them; without a file nothing is granted. A file that others than root could have written is refused.
    pub(super) fn read(path: &Path) -> Result<Self, CheckRoundError> {
        let invalid = |why: String| CheckRoundError::Rules {
            path: path.to_owned(),
            why,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(CheckRoundError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let meta = file.metadata().map_err(CheckRoundError::file(path))?;
        let own = rustix::process::geteuid().as_raw();
        if !meta.is_file() || meta.mode() & 0o022 != 0 || ![0, own].contains(&meta.uid()) {
            return Err(invalid(
                "it must be a file of root's that nobody else can write".to_owned(),
            ));
        }
        let mut text = String::new();
        file.take(LONGEST)
            .read_to_string(&mut text)
            .map_err(CheckRoundError::file(path))?;
        Self::parse(&text).map_err(invalid)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        }) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let text = error.to_string();
            text.lines().next().unwrap_or("it is not YAML").to_owned()
        })
    }

    /// Whether a check that the agent brings along may run as root.
    pub(super) fn grants_builtin(&self, name: &str) -> bool {
        self.checks
            .root
            .iter()
            .any(|granted| matches!(granted, Granted::Builtin { builtin } if builtin == name))
    }

    /// Whether a definition that wants to run as root may, and if not, why.
    pub(super) fn grants(&self, definition: &CheckDefinition, sha256: &str) -> Result<(), String> {
        if definition.run_as != RunAs::Root {
            return Ok(());
        }
        let listed = self.checks.root.iter().any(|granted| {
            matches!(granted, Granted::Definition { name, sha256: known }
                if *name == definition.name && known.eq_ignore_ascii_case(sha256))
        });
        if listed {
            return Ok(());
        }
        let Some(signature) = &definition.signature else {
            return Err(format!(
                "it wants to run as root, and /etc/aami/agent.yaml does not list it (sha256 {sha256})"
            ));
        };
        let bytes = signature.bytes().ok_or("its signature is none")?;
        let key = self.checks.keys.iter().find(|key| key.id == signature.key_id);
        let key = key.ok_or_else(|| {
            let id = &signature.key_id;
            format!(
                "it wants to run as root, and /etc/aami/agent.yaml does not list the key {id} that signed it"
            )
        })?;
        let raw: Option<[u8; 32]> = BASE64
            .decode(key.public_key.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let key = raw.and_then(|raw| VerifyingKey::from_bytes(&raw).ok());
        let key = key.ok_or_else(|| format!("the key {} in agent.yaml is no key", signature.key_id))?;
        key.verify_strict(&definition.canonical(), &Signature::from_bytes(&bytes))
            .map_err(|_| format!("its signature is not by the key {}", signature.key_id))
    }
}

#[cfg(test)]
mod tests {
    use aami_model::check::CheckSignature;
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn wants_root() -> CheckDefinition {
        CheckDefinition {
            run_as: RunAs::Root,
            ..CheckDefinition::new("deep_scan", "exit 0")
        }
    }

    #[test]
    fn a_name_alone_grants_nothing() {
        let text = "checks:\n  root:\n    - name: deep_scan\n";
        assert!(
            Rules::parse(text).is_err(),
            "a name without its hash is refused as such"
        );
        let sum = "ab".repeat(32);
        let text = format!(
            "checks:\n  root:\n    - name: deep_scan\n      sha256: {sum}\n    - builtin: disk_smart\n"
        );
        let rules = Rules::parse(&text).unwrap();
        assert_eq!(rules.grants(&wants_root(), &sum), Ok(()));
        let refused = rules.grants(&wants_root(), &"cd".repeat(32)).unwrap_err();
        assert!(refused.contains("cdcd"), "{refused}");
        assert!(rules.grants_builtin("disk_smart") && !rules.grants_builtin("deep_scan"));
    }

    #[test]
    fn a_signature_by_a_listed_key_grants() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = BASE64.encode(key.verifying_key().as_bytes());
        let text = format!("checks:\n  keys:\n    - id: site\n      public_key: {public}\n");
        let rules = Rules::parse(&text).unwrap();
        let mut check = wants_root();
        let sign = |check: &CheckDefinition, id: &str| {
            Some(CheckSignature {
                key_id: id.to_owned(),
                signature: BASE64.encode(&key.sign(&check.canonical()).to_bytes()),
            })
        };
        check.signature = sign(&check, "site");
        assert_eq!(rules.grants(&check, ""), Ok(()));
        // Another script under the same signature.
        check.script.push_str("; rm -rf /");
        assert!(
            rules
                .grants(&check, "")
                .unwrap_err()
                .contains("not by the key site")
        );
        check.signature = sign(&check, "other");
        assert!(rules.grants(&check, "").unwrap_err().contains("the key other"));
    }

    #[test]
    fn without_a_file_or_with_comments_alone_nothing_is_granted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.yaml");
        let none = Rules::read(&path).unwrap();
        assert!(none.grants(&wants_root(), "").is_err());
        assert!(Rules::parse("# nothing\n\n").is_ok());
        // One that anybody can write is refused whatever it says.
        std::fs::write(&path, "checks: {}\n").unwrap();
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
        std::fs::set_permissions(&path, open).unwrap();
        assert!(
            Rules::read(&path)
                .unwrap_err()
                .to_string()
                .contains("nobody else")
        );
    }
}
