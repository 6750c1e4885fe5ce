//! Where a check runs, and which definition of a name wins there.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Check, CheckError};
use crate::GroupId;
use crate::label::Labels;

/// Where a check runs: on the nodes that are in the group, where one is named, and carry all the labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckScope {
    /// The group; every node where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Labels a node must carry, its groups' labels included.
    #[serde(skip_serializing_if = "no_labels")]
    pub selector: Labels,
}

fn no_labels(labels: &Labels) -> bool {
    labels.0.is_empty()
}

impl CheckScope {
    /// Checks the selector.
    pub fn check(&self) -> Result<(), CheckError> {
        self.selector.check().map_err(CheckError::Selector)
    }

    /// Whether a node in these groups, with these labels (its groups' included), is meant.
    pub fn holds(&self, groups: &[GroupId], labels: &Labels) -> bool {
        self.group.as_ref().is_none_or(|group| groups.contains(group)) && labels.matches(&self.selector)
    }

    /// Which of two scopes wins: a group over everybody, then more labels over fewer.
    fn width(&self) -> (Reverse<bool>, Reverse<usize>) {
        (Reverse(self.group.is_some()), Reverse(self.selector.0.len()))
    }
}

/// What a node runs of these checks: of each name the one with the narrowest scope that holds, and of
/// equally narrow ones that with the lowest id. In the order of their names; those that are switched off
/// are among them, so that a node knows that a name of its own is switched off.
pub fn choose<'a>(
    checks: impl IntoIterator<Item = &'a Check>,
    groups: &[GroupId],
    labels: &Labels,
) -> Vec<&'a Check> {
    let mut chosen: BTreeMap<&str, &Check> = BTreeMap::new();
    let rank = |check: &'a Check| (check.scope.width(), &check.id);
    for check in checks
        .into_iter()
        .filter(|check| check.scope.holds(groups, labels))
    {
        chosen
            .entry(&check.definition.name)
            .and_modify(|best| {
                if rank(check) < rank(best) {
                    *best = check;
                }
            })
            .or_insert(check);
    }
    chosen.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::CheckDefinition;
    use crate::{OrgId, Timestamp};

    fn check(id: &str, name: &str, group: Option<&str>, labels: &[(&str, &str)]) -> Check {
        Check {
            id: id.parse().unwrap(),
            org: OrgId::default(),
            description: String::new(),
            scope: CheckScope {
                group: group.map(|group| group.parse().unwrap()),
                selector: labels.iter().copied().collect(),
            },
            enabled: true,
            definition: CheckDefinition::new(name, "exit 0\n"),
            sha256: String::new(),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    fn ids(chosen: &[&Check]) -> Vec<String> {
        chosen.iter().map(|check| check.id.to_string()).collect()
    }

    #[test]
    fn the_narrower_definition_of_a_name_wins() {
        let group: GroupId = "training".parse().unwrap();
        let labels: Labels = [("gpu_vendor", "nvidia"), ("rack", "a1")].into_iter().collect();
        let all = [
            check("a", "disk", None, &[]),
            check("b", "disk", Some("training"), &[]),
            check("c", "gpu", None, &[]),
            check("d", "gpu", None, &[("gpu_vendor", "nvidia")]),
            check("e", "gpu", None, &[("gpu_vendor", "amd"), ("rack", "a1")]),
            check("f", "net", Some("other"), &[]),
        ];
        assert_eq!(
            ids(&choose(&all, std::slice::from_ref(&group), &labels)),
            ["b", "d"]
        );
        assert_eq!(ids(&choose(&all, &[], &Labels::default())), ["a", "c"]);
    }

    proptest! {
        #[test]
        fn the_choice_hangs_on_no_order_and_holds_each_name_once(
            scopes in proptest::collection::vec((0..3_usize, any::<bool>(), 0..3_usize), 0..12),
            in_group: bool,
            turn in 0..12_usize,
        ) {
            let labels = [("l0", "v"), ("l1", "v")];
            let mut all: Vec<Check> = scopes
                .iter()
                .enumerate()
                .map(|(i, (name, group, many))| {
                    let group = group.then_some("g");
                    check(&format!("id{i:02}"), &format!("n{name}"), group, &labels[..(*many).min(2)])
                })
                .collect();
            let groups: Vec<GroupId> = in_group.then(|| "g".parse().unwrap()).into_iter().collect();
            let node: Labels = labels.into_iter().collect();
            let first = ids(&choose(&all, &groups, &node));
            if !all.is_empty() {
                let by = turn % all.len();
                all.rotate_left(by);
            }
            let chosen = choose(&all, &groups, &node);
            prop_assert_eq!(&first, &ids(&chosen));
            for pair in chosen.windows(2) {
                prop_assert!(pair[0].definition.name < pair[1].definition.name);
            }
            for check in &chosen {
                prop_assert!(check.scope.holds(&groups, &node));
                let wider = all.iter().filter(|other| other.definition.name == check.definition.name)
                    .all(|other| !other.scope.holds(&groups, &node) || other.scope.group.is_none() || check.scope.group.is_some());
                prop_assert!(wider, "a definition for everybody beat one for the group");
            }
        }
    }
}
