//! Who may do what: roles for people, scopes for programs, and the caller every use case is handed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{KeyId, NodeId, OrgId, RunId, Timestamp, UserId};

/// What an operator's key allows, each including the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Role {
    /// Reads all of its organisations except audit.
    Viewer,
    /// Also changes nodes, groups, exporters, tokens, tasks, runs, batches and alerts.
    Operator,
    /// Also audit, keys, users, checks, webhooks, prometheuses and purge.
    Admin,
}

impl Role {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a program's key allows, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Service discovery and metrics.
    Discovery,
    /// One region's work.
    Region(String),
    /// One node's own.
    Node(NodeId),
    /// One run's own.
    Run(RunId),
    /// Delivering another control plane's events.
    EventsIn,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("discovery"),
            Self::Region(id) => write!(f, "region:{id}"),
            Self::Node(id) => write!(f, "node:{id}"),
            Self::Run(id) => write!(f, "run:{id}"),
            Self::EventsIn => f.write_str("events-in"),
        }
    }
}

/// Why a text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is discovery, events-in, region:ID, node:ID or run:ID")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        match text.split_once(':') {
            None if text == "discovery" => Ok(Self::Discovery),
            None if text == "events-in" => Ok(Self::EventsIn),
            Some(("region", id)) => Ok(Self::Region(
                id.parse::<KeyId>().map_err(|_| NotAScope)?.as_str().to_owned(),
            )),
            Some(("node", id)) => id.parse().map(Self::Node).map_err(|_| NotAScope),
            Some(("run", id)) => id.parse().map(Self::Run).map_err(|_| NotAScope),
            _ => Err(NotAScope),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Scope {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .examples(["discovery"])
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Scope {}

/// An API key as it is kept: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public half.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// A role, for people. Exactly one of role and scopes is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Scopes, for programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// The tenants it sees; empty means all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orgs: Vec<OrgId>,
    /// The person who holds it; what is made with it is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// SHA-256 of the whole key, lower-case hex.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Which organisations somebody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orgs {
    /// All of them.
    All,
    /// These.
    Only(Vec<OrgId>),
}

impl Orgs {
    /// Whether `org` is one of them.
    pub fn includes(&self, org: &OrgId) -> bool {
        match self {
            Self::All => true,
            Self::Only(orgs) => orgs.contains(org) && *org != OrgId::every(),
        }
    }

    /// Whether what belongs to `org`, or to every organisation where there is none, is theirs to see.
    pub fn covers(&self, org: Option<&OrgId>) -> bool {
        match org {
            Some(org) => self.includes(org),
            None => *self == Self::All,
        }
    }

    /// The organisation a new thing of theirs belongs to when they do not say.
    pub fn home(&self) -> OrgId {
        match self {
            Self::All => OrgId::default(),
            Self::Only(orgs) => orgs.first().cloned().unwrap_or_default(),
        }
    }
}

/// Who is asking. Every use case of the control plane takes one; there is no way to call one without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who, as audit entries name them: `key:abc`, `node:abc`, `run:abc`, `token:abc`, `system`.
    pub id: String,
    /// The role, where they have one.
    pub role: Option<Role>,
    /// The scopes, where they have some.
    pub scopes: Vec<Scope>,
    /// What they see.
    pub orgs: Orgs,
    /// The person behind it, where one is known.
    pub user: Option<UserId>,
}

impl Caller {
    /// The control plane itself, for what it does by its own clock.
    pub fn system() -> Self {
        Self {
            id: "system".to_owned(),
            role: Some(Role::Admin),
            scopes: Vec::new(),
            orgs: Orgs::All,
            user: None,
        }
    }

    /// Whoever holds a key, unless it has ended.
    pub fn of_key(key: &ApiKey, now: Timestamp) -> Option<Self> {
        let orgs = if key.orgs.is_empty() {
            Orgs::All
        } else {
            Orgs::Only(key.orgs.clone())
        };
        key.expires_at.is_none_or(|end| now < end).then(|| Self {
            id: format!("key:{}", key.id),
            role: key.role,
            scopes: key.scopes.clone(),
            orgs,
            user: key.user.clone(),
        })
    }

    /// Whether they have at least this role.
    pub fn has_role(&self, role: Role) -> bool {
        self.role.is_some_and(|held| held >= role)
    }

    /// Whether they hold this scope.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        self.scopes.contains(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_the_one_before() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn what_belongs_to_every_organisation_is_seen_by_who_sees_all_of_them() {
        let every = OrgId::every();
        assert!(Orgs::All.includes(&every) && Orgs::All.covers(None));
        let some = Orgs::Only(vec![OrgId::default(), every.clone()]);
        assert!(some.includes(&OrgId::default()) && !some.includes(&every) && !some.covers(None));
    }

    #[test]
    fn scopes_read_back() {
        for text in ["discovery", "events-in", "region:eu-1", "node:abc", "run:abc"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "admin", "node:", "node:A", "region:", "discovery:x"] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }
}
