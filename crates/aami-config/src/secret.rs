//! A value nobody may see: a password, or an address that lets its reader in.

use std::fmt;

use zeroize::Zeroizing;

/// A secret of the configuration. It is never shown; [`SecretValue::reveal`] is the one way to its text.
///
/// A variable that is not set makes the configuration incomplete only for who needs this secret: listing nodes does
/// not need Slack's address. So the answer to "what is it" may be [`NotSet`], never an empty text.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Result<Zeroizing<String>, NotSet>);

/// Why a secret cannot be had: the variables it is written with are not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} (line {line}) needs the variable {}, which is not set", variables.join(", "))]
pub struct NotSet {
    /// Which field, `grafana.admin_password`.
    pub field: String,
    /// The line it stands in, from 1.
    pub line: usize,
    /// The variables that are missing.
    pub variables: Vec<String>,
}

impl SecretValue {
    pub(crate) fn known(text: String) -> Self {
        Self(Ok(Zeroizing::new(text)))
    }

    pub(crate) const fn missing(why: NotSet) -> Self {
        Self(Err(why))
    }

    /// The text. For a 0600 file, a header, a program's standard input; never for a log.
    pub fn reveal(&self) -> Result<&str, &NotSet> {
        self.0.as_ref().map(|text| text.as_str())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(_) => f.write_str("(hidden)"),
            Err(why) => write!(f, "(not set: {})", why.variables.join(", ")),
        }
    }
}
