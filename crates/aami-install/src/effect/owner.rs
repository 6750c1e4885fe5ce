//! Who a file belongs to, by name: numbers differ from host to host.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::EffectError;
use crate::host::Host;
use crate::path::HostPath;

/// A user and a group by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

impl Owner {
    /// `root:root`.
    pub fn root() -> Self {
        Self::new("root", "root")
    }

    /// `user:group`.
    pub fn new(user: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            group: group.into(),
        }
    }

    /// Their numbers on `host`; `None` where one of them does not exist.
    pub(crate) fn numbers(&self, host: &Host) -> Result<Option<(u32, u32)>, EffectError> {
        let user = host.accounts().user(&self.user)?;
        let group = host.accounts().group(&self.group)?;
        Ok(user.zip(group).map(|(user, group)| (user.uid, group.gid)))
    }

    /// Their numbers on `host`, or the error that names who is missing.
    pub(crate) fn resolve(
        owner: Option<&Self>,
        host: &Host,
        path: &HostPath,
    ) -> Result<Option<(u32, u32)>, EffectError> {
        let Some(owner) = owner else { return Ok(None) };
        let unknown = || EffectError::UnknownOwner {
            path: path.clone(),
            owner: owner.to_string(),
        };
        owner.numbers(host)?.map(Some).ok_or_else(unknown)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

/// `0644`, or `0644 root:root`.
pub(super) fn access(mode: u32, owner: Option<&Owner>) -> String {
    owner.map_or_else(|| format!("{mode:04o}"), |owner| format!("{mode:04o} {owner}"))
}
