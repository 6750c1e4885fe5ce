//! API keys.

use aami_model::access::{ApiKey, Role, Scope};
use aami_model::{KeyId, OrgId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// POST `/api/v1/keys`: a role for a person, or scopes for a program; exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateKey {
    /// What people call it.
    pub name: String,
    /// The role.
    pub role: Option<Role>,
    /// The scopes.
    pub scopes: Vec<Scope>,
    /// The tenants it sees; empty means all the caller sees.
    pub orgs: Vec<OrgId>,
    /// The person who will hold it; what is made with it is theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// How long it lasts, in seconds; for ever where absent.
    pub ttl_seconds: Option<u64>,
}

/// A key as it is shown: never the key itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyView {
    /// Its public half.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// The tenants it sees; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orgs: Vec<OrgId>,
    /// The person who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.role,
            scopes: key.scopes.clone(),
            orgs: key.orgs.clone(),
            user: key.user.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// The answer to creating a key: the one time it is shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreatedKey {
    /// The key as it will be shown from now on.
    #[serde(flatten)]
    pub view: KeyView,
    /// The key itself.
    pub key: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
