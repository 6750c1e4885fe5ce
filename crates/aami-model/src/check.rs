//! A check: a small script that nodes run, whose result becomes a metric.
//!
//! A definition says what runs ([`CheckDefinition`]), and its scope says where ([`CheckScope`]). Two
//! definitions may have one name as long as their scopes differ: the narrower one wins on a node
//! ([`choose`]), so that a group can replace what is meant for everybody, or switch it off.
//!
//! What a node runs is told by the SHA-256 over [`CheckDefinition::canonical`], and a signature covers
//! the same bytes: who signs a check vouches for the script with its arguments, user and times, not for
//! where it runs.

mod scope;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::label::LabelError;
use crate::{CheckId, OrgId, Timestamp};

pub use scope::{CheckScope, choose};

/// What the canonical bytes of a definition begin with.
pub const CONTEXT: &str = "aami-check-1\n";
/// The longest script, in bytes.
pub const LONGEST_SCRIPT: usize = 64 * 1024;
/// At most this many arguments.
pub const MOST_ARGS: usize = 32;
/// The longest argument, in bytes.
pub const LONGEST_ARG: usize = 1024;
/// How often a check may run at most and at least, in seconds. Nodes look once a minute.
pub const INTERVAL: std::ops::RangeInclusive<u32> = 60..=86_400;
/// How often it runs where nobody says, in seconds.
pub const USUAL_INTERVAL: u32 = 60;
/// The longest a check may take, in seconds.
pub const LONGEST_TIMEOUT: u32 = 300;
/// How long it may take where nobody says, in seconds.
pub const USUAL_TIMEOUT: u32 = 10;
/// What runs the script where nobody says.
pub const USUAL_INTERPRETER: &str = "/bin/sh";
/// At most this many checks an organisation has.
pub const MOST_CHECKS: usize = 256;
/// At most this much script an organisation's checks hold together, in bytes: a node fetches them in one
/// answer.
pub const MOST_SCRIPT: usize = 4 * 1024 * 1024;

/// As whom a check wants to run. `root` is a wish: a node grants it only where its own
/// `/etc/aami/agent.yaml` lists the check or the key that signed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RunAs {
    /// The user `aami-check`, which may do next to nothing.
    #[default]
    AamiCheck,
    /// The superuser.
    Root,
}

impl RunAs {
    /// The user's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AamiCheck => "aami-check",
            Self::Root => "root",
        }
    }
}

/// An Ed25519 signature over [`CheckDefinition::canonical`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckSignature {
    /// What nodes call the key in `/etc/aami/agent.yaml`: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub key_id: String,
    /// The 64 bytes of the signature, base64.
    pub signature: String,
}

/// What runs: everything that its hash covers, and the signature beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckDefinition {
    /// What its metrics carry as `check`, and its files are named after: 1 to 63 characters of
    /// `a-z 0-9 _ -`, beginning with a letter or a digit.
    pub name: String,
    /// How often it runs, in seconds: 60 to 86400.
    #[serde(default = "usual_interval")]
    pub interval_seconds: u32,
    /// How long it may take, in seconds: 1 to 300, and no longer than its interval.
    #[serde(default = "usual_timeout")]
    pub timeout_seconds: u32,
    /// What runs the script: an absolute path, such as `/bin/sh` or `/usr/bin/python3`.
    #[serde(default = "usual_interpreter")]
    pub interpreter: String,
    /// The text of the script, at most 64 KiB.
    pub script: String,
    /// What the script is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// As whom it wants to run.
    #[serde(default)]
    pub run_as: RunAs,
    /// Who vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<CheckSignature>,
}

const fn usual_interval() -> u32 {
    USUAL_INTERVAL
}

const fn usual_timeout() -> u32 {
    USUAL_TIMEOUT
}

fn usual_interpreter() -> String {
    USUAL_INTERPRETER.to_owned()
}

/// A check as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Check {
    /// Its id.
    pub id: CheckId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it runs.
    #[serde(flatten)]
    pub scope: CheckScope,
    /// Whether it runs at all. One that does not still hides a wider one of its name.
    pub enabled: bool,
    /// What runs.
    #[serde(flatten)]
    pub definition: CheckDefinition,
    /// SHA-256 over the definition's canonical bytes, lower-case hex.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Why a check may not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Not a name.
    #[error("name: it is 1 to 63 characters of a-z, 0-9, '_' and '-', beginning with a letter or a digit")]
    Name,
    /// Too often or too rarely.
    #[error("interval_seconds: it is 60 to 86400; nodes look for what is due once a minute")]
    Interval,
    /// Too long, or longer than the interval.
    #[error("timeout_seconds: it is 1 to 300 and not above the interval")]
    Timeout,
    /// Not an absolute path.
    #[error(
        "interpreter: it is an absolute path without '..', of at most 256 printable characters without spaces"
    )]
    Interpreter,
    /// Empty, too long, or with a NUL.
    #[error("script: it is 1 to 65536 bytes without NUL")]
    Script,
    /// Too many or too long.
    #[error("args: they are at most 32 of at most 1024 bytes, without control characters")]
    Args,
    /// Not the shape of a signature.
    #[error(
        "signature: key_id is 1 to 64 characters of A-Z a-z 0-9 . _ -, and signature is the base64 of 64 bytes"
    )]
    Signature,
    /// A label that may not stand.
    #[error("selector: {0}")]
    Selector(#[from] LabelError),
}

fn name_fits(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with(['_', '-'])
}

fn interpreter_fits(path: &str) -> bool {
    (2..=256).contains(&path.len())
        && path.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_graphic())
        && path.split('/').all(|part| part != "..")
}

impl CheckSignature {
    /// Whether it has the shape of one. Whether it is true is for those who have the key.
    pub fn check(&self) -> Result<(), CheckError> {
        let key_fits = (1..=64).contains(&self.key_id.len())
            && self
                .key_id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if key_fits && self.bytes().is_some() {
            Ok(())
        } else {
            Err(CheckError::Signature)
        }
    }

    /// The 64 bytes; `None` when the text is not the base64 of 64 bytes.
    pub fn bytes(&self) -> Option<[u8; 64]> {
        BASE64.decode(self.signature.as_bytes()).ok()?.try_into().ok()
    }
}

impl CheckDefinition {
    /// A definition with the usual times, run by `/bin/sh` as `aami-check`.
    pub fn new(name: impl Into<String>, script: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            interval_seconds: USUAL_INTERVAL,
            timeout_seconds: USUAL_TIMEOUT,
            interpreter: usual_interpreter(),
            script: script.into(),
            args: Vec::new(),
            run_as: RunAs::default(),
            signature: None,
        }
    }

    /// Checks every member. A node asks this too: it believes no control plane.
    pub fn check(&self) -> Result<(), CheckError> {
        let arg_fits = |arg: &String| arg.len() <= LONGEST_ARG && !arg.chars().any(char::is_control);
        if !name_fits(&self.name) {
            Err(CheckError::Name)
        } else if !INTERVAL.contains(&self.interval_seconds) {
            Err(CheckError::Interval)
        } else if !(1..=LONGEST_TIMEOUT.min(self.interval_seconds)).contains(&self.timeout_seconds) {
            Err(CheckError::Timeout)
        } else if !interpreter_fits(&self.interpreter) {
            Err(CheckError::Interpreter)
        } else if !(1..=LONGEST_SCRIPT).contains(&self.script.len()) || self.script.contains('\0') {
            Err(CheckError::Script)
        } else if self.args.len() > MOST_ARGS || !self.args.iter().all(arg_fits) {
            Err(CheckError::Args)
        } else {
            self.signature.as_ref().map_or(Ok(()), CheckSignature::check)
        }
    }

    /// The bytes that are hashed and signed: [`CONTEXT`], then every member but the signature, each as
    /// its name, its length in bytes and itself, so that no two definitions give the same.
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.as_bytes().to_vec();
        let mut add = |name: &str, value: &str| {
            bytes.extend_from_slice(format!("{name} {}\n", value.len()).as_bytes());
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        };
        add("name", &self.name);
        add("interval_seconds", &self.interval_seconds.to_string());
        add("timeout_seconds", &self.timeout_seconds.to_string());
        add("interpreter", &self.interpreter);
        for arg in &self.args {
            add("arg", arg);
        }
        add("run_as", self.run_as.name());
        add("script", &self.script);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_canonical_bytes_are_as_they_are_written_down() {
        let mut definition = CheckDefinition::new("mounts", "exit 0\n");
        definition.args = vec!["/data".into(), String::new()];
        let text = "aami-check-1\nname 6\nmounts\ninterval_seconds 2\n60\ntimeout_seconds 2\n10\n\
                    interpreter 7\n/bin/sh\narg 5\n/data\narg 0\n\nrun_as 10\naami-check\nscript 7\nexit 0\n\n";
        assert_eq!(String::from_utf8(definition.canonical()).unwrap(), text);
    }

    #[test]
    fn what_is_not_a_check_is_refused() {
        let refused = |change: fn(&mut CheckDefinition)| {
            let mut definition = CheckDefinition::new("mounts", "exit 0\n");
            assert_eq!(definition.check(), Ok(()));
            change(&mut definition);
            definition.check().unwrap_err()
        };
        for name in ["", "a/b", "..", "-x", "A", "a b", "a\n"] {
            let mut definition = CheckDefinition::new(name, "exit 0\n");
            assert_eq!(definition.check(), Err(CheckError::Name), "{name:?}");
            definition.name = "x".repeat(64);
            assert_eq!(definition.check(), Err(CheckError::Name));
        }
        assert_eq!(refused(|d| d.interval_seconds = 59), CheckError::Interval);
        assert_eq!(refused(|d| d.timeout_seconds = 61), CheckError::Timeout);
        assert_eq!(refused(|d| d.timeout_seconds = 0), CheckError::Timeout);
        assert_eq!(refused(|d| d.interpreter = "sh".into()), CheckError::Interpreter);
        assert_eq!(
            refused(|d| d.interpreter = "/usr/../bin/sh".into()),
            CheckError::Interpreter
        );
        assert_eq!(refused(|d| d.script = String::new()), CheckError::Script);
        assert_eq!(refused(|d| d.script = "x".repeat(65_537)), CheckError::Script);
        assert_eq!(refused(|d| d.script = "a\0b".into()), CheckError::Script);
        assert_eq!(refused(|d| d.args = vec!["a\n".into()]), CheckError::Args);
        assert_eq!(refused(|d| d.args = vec![String::new(); 33]), CheckError::Args);
        let signed = |d: &mut CheckDefinition| {
            d.signature = Some(CheckSignature {
                key_id: "ops".into(),
                signature: "AAAA".into(),
            });
        };
        assert_eq!(refused(signed), CheckError::Signature);
    }

    fn definitions() -> impl Strategy<Value = CheckDefinition> {
        (
            "[a-z ]{0,4}",
            0..3_u32,
            "[a-z\n0-9 ]{0,6}",
            proptest::collection::vec("[a-z\n0-9 ]{0,6}", 0..3),
            any::<bool>(),
        )
            .prop_map(|(name, interval, script, args, root)| CheckDefinition {
                interval_seconds: interval,
                args,
                run_as: if root { RunAs::Root } else { RunAs::AamiCheck },
                ..CheckDefinition::new(name, script)
            })
    }

    proptest! {
        #[test]
        fn different_definitions_have_different_bytes(a in definitions(), b in definitions()) {
            prop_assert_eq!(a == b, a.canonical() == b.canonical());
        }

        #[test]
        fn nothing_written_into_one_member_reads_as_another(script in "[a-z\n0-9 ]{0,20}", arg in "[a-z\n0-9 ]{0,20}") {
            let with_arg = CheckDefinition { args: vec![arg.clone()], ..CheckDefinition::new("x", script.clone()) };
            let within = CheckDefinition::new("x", format!("{arg}\nrun_as 10\naami-check\nscript {}\n{script}", script.len()));
            prop_assert_ne!(with_arg.canonical(), within.canonical());
        }

        #[test]
        fn what_passes_is_a_file_name_and_a_label_value(name in ".{0,8}") {
            if CheckDefinition::new(&name, "x").check().is_ok() {
                prop_assert!(!name.is_empty() && !name.contains(['/', '.', '\0', '"', '\n', ' ']));
            }
        }
    }
}
