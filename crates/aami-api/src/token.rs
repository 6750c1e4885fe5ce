//! Bootstrap tokens.

use aami_model::label::Labels;
use aami_model::{GroupId, NodeId, OrgId, RunId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

/// POST `/api/v1/bootstrap-tokens`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateToken {
    /// What people call it.
    pub name: String,
    /// How many nodes may enrol; 1 where absent.
    pub max_uses: Option<u32>,
    /// How long it lasts, in seconds; 24 h where absent, at most a year.
    pub ttl_seconds: Option<u64>,
    /// The group its nodes join, by id or name.
    pub group: Option<String>,
    /// Labels its nodes carry.
    pub labels: Labels,
    /// Whether a known hostname or machine may enrol again with a new key.
    pub allow_reenrol: bool,
    /// Only this declared node may use it.
    pub only_node: Option<NodeId>,
    /// The tenant; the caller's own where absent.
    pub org: Option<OrgId>,
}

/// PATCH `/api/v1/bootstrap-tokens/{id}`: what is given changes. `max_uses` only grows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchToken {
    /// A new name.
    pub name: Option<String>,
    /// More uses.
    pub max_uses: Option<u32>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Whether a token can enrol a new machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum TokenState {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// Its uses are taken.
    Exhausted,
    /// An operator took it back.
    Revoked,
}

/// A token as it is shown: never the token itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenView {
    /// Its public half.
    pub id: TokenId,
    /// The tenant its nodes belong to.
    pub org: OrgId,
    /// What people call it.
    pub name: String,
    /// What it is good for now.
    pub state: TokenState,
    /// How many nodes may enrol with it.
    pub max_uses: u32,
    /// How many have.
    pub used: u32,
    /// How many more may.
    pub remaining: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The group its nodes join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Labels its nodes carry.
    #[serde(default)]
    pub labels: Labels,
    /// Whether known machines may enrol again.
    #[serde(default)]
    pub allow_reenrol: bool,
}

/// The answer to creating a token: the one time its secret is shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    /// The token as it will be shown from now on.
    #[serde(flatten)]
    pub view: TokenView,
    /// The token itself.
    pub token: String,
    /// What to paste on a node.
    pub one_line: String,
    /// The same for machines that have only wget, if they can have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_line_wget: Option<String>,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

/// The answer of `bootstrap-tokens/validate`: what the token is good for, and for whom.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Validated {
    /// Always true: a token that is not valid is answered with a problem.
    pub valid: bool,
    /// Its public half.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// How many more nodes may enrol.
    pub remaining: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The name of the group its nodes join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The run that was opened (POST only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<OpenedRun>,
}

impl std::fmt::Debug for Validated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validated")
            .field("id", &self.id)
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

/// A run that reports under a credential of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpenedRun {
    /// Its id, also for `register`.
    pub id: RunId,
    /// Its credential; ends with the run, with the token, or after 24 h.
    pub credential: String,
}

impl std::fmt::Debug for OpenedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedRun")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
