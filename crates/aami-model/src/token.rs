//! Bootstrap tokens: secrets that let machines enrol.

use serde::{Deserialize, Serialize};

use crate::code::{self, Code};
use crate::label::Labels;
use crate::{GroupId, OrgId, Timestamp, TokenId, UserId};

/// The most uses a token may be given.
pub const MOST_USES: u32 = 100_000;

/// A bootstrap token as it is kept: never the token itself. It changes only when it is edited or
/// revoked; each use is a key of its own in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapToken {
    /// The public half.
    pub id: TokenId,
    /// The tenant its nodes will belong to.
    pub org: OrgId,
    /// Whose they will be within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole token, lower-case hex.
    pub hash: String,
    /// How many nodes may enrol with it, 1 to [`MOST_USES`]; only ever grows.
    pub max_uses: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The group its nodes join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Labels its nodes carry, unless the node's own say otherwise.
    #[serde(default)]
    pub labels: Labels,
    /// Whether a known hostname or machine may enrol again with a new key.
    #[serde(default)]
    pub allow_reenrol: bool,
    /// Only this declared node may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_node: Option<crate::NodeId>,
    /// Which agent its script brings, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

/// What a token is good for at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new machine may enrol.
    Good {
        /// How many more may.
        remaining: u32,
    },
    /// Revoked by an operator: good for nothing, not even a retry.
    Revoked,
    /// Too old for a new machine. A machine that enrolled with it may still repeat its request.
    Expired,
    /// Used up for new machines; the same holds.
    Exhausted,
}

impl Verdict {
    /// The code to refuse a new machine with, if it is refused.
    pub const fn refusal(self) -> Option<Code> {
        match self {
            Self::Good { .. } => None,
            Self::Revoked => Some(code::TOKEN_REVOKED),
            Self::Expired => Some(code::TOKEN_EXPIRED),
            Self::Exhausted => Some(code::TOKEN_EXHAUSTED),
        }
    }
}

impl BootstrapToken {
    /// Judges the token at `now` with `used` uses taken. Revoked comes before expired, expired before
    /// exhausted: the reason that lasts longest is the one that is said.
    pub fn judge(&self, now: Timestamp, used: u32) -> Verdict {
        if self.revoked_at.is_some() {
            Verdict::Revoked
        } else if now >= self.expires_at {
            Verdict::Expired
        } else if used >= self.max_uses {
            Verdict::Exhausted
        } else {
            Verdict::Good {
                remaining: self.max_uses - used,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(max_uses: u32, expires: i64, revoked: Option<i64>) -> BootstrapToken {
        BootstrapToken {
            id: TokenId::from_random([1; 10]),
            org: OrgId::default(),
            user: None,
            name: "t".into(),
            hash: String::new(),
            max_uses,
            created_at: Timestamp::EPOCH,
            expires_at: Timestamp::from_millis(expires),
            revoked_at: revoked.map(Timestamp::from_millis),
            group: None,
            labels: Labels::default(),
            allow_reenrol: false,
            only_node: None,
            agent_version: None,
        }
    }

    #[test]
    fn the_reason_that_lasts_longest_is_said() {
        let now = Timestamp::from_millis(100);
        assert_eq!(token(1, 200, None).judge(now, 0), Verdict::Good { remaining: 1 });
        assert_eq!(token(1, 200, None).judge(now, 1), Verdict::Exhausted);
        assert_eq!(token(1, 100, None).judge(now, 1), Verdict::Expired);
        assert_eq!(token(1, 100, Some(50)).judge(now, 1), Verdict::Revoked);
    }

    proptest! {
        #[test]
        fn a_good_token_is_good_for_exactly_what_is_left(max in 1_u32..1000, used in 0_u32..1000) {
            match token(max, 200, None).judge(Timestamp::from_millis(100), used) {
                Verdict::Good { remaining } => prop_assert_eq!(remaining + used, max),
                verdict => { prop_assert_eq!(verdict, Verdict::Exhausted); prop_assert!(used >= max); }
            }
        }
    }
}
