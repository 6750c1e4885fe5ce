//! Alerts about some of the nodes: a group's own rules, and what is left of the rules for all.
//!
//! A [`Scope`] is a set of matchers that is put into every selector of an expression
//! ([`crate::promql::Expression::restricted`]). It is sound where every series the expression looks at carries the labels that
//! are matched: `node` and the labels of discovery stand on every target, and the rules of [`crate::presets`] keep them.
//! Comparisons between nodes are then comparisons within the group.
//!
//! [`layered`] decides which rule is about which node when a group has rules of its own: group over all, by the name of
//! the alert, in a stable order. Nothing here knows what a group is or where its rules are kept.

use std::collections::{BTreeMap, BTreeSet};

use aami_model::GroupId;

use crate::presets::RenderError;
use crate::promql::{Compared, Expression, Matcher};
use crate::rules::Rule;

/// The label by which discovery says which groups a node is in: their ids, each between commas, as `,a,b,`.
pub const GROUPS: &str = "aami_groups";

/// Which nodes a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    matchers: Vec<Matcher>,
    /// Whether a rule that looks at no series is left as it is.
    leaves_the_blind: bool,
}

impl Scope {
    /// Those whose series fit all of these.
    pub fn of(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        Self {
            matchers: matchers.into_iter().collect(),
            leaves_the_blind: false,
        }
    }

    /// The same nodes; a rule that looks at no series, and so at no node, stays what it is.
    #[must_use]
    pub fn or_at_no_series(mut self) -> Self {
        self.leaves_the_blind = true;
        self
    }

    /// Those that these matchers fit as well; what looks at no series is refused again.
    fn and(&self, matchers: impl IntoIterator<Item = Matcher>) -> Self {
        Self::of(matchers.into_iter().chain(self.matchers.iter().cloned()))
    }

    /// The same rule, about these nodes alone.
    ///
    /// Fails for a rule that looks at no series: it has nothing that could be matched. The rule is one that was read
    /// before: what this makes may be longer than any that can be read, so a rule is kept to its nodes once.
    pub fn keep(&self, rule: Rule) -> Result<Rule, RenderError> {
        if self.matchers.is_empty() {
            return Ok(rule);
        }
        match Expression::parse(&rule.expr) {
            Ok(read) if read.looks_at_series() => Ok(Rule {
                expr: read.restricted(&self.matchers),
                ..rule
            }),
            Ok(_) if self.leaves_the_blind => Ok(rule),
            Ok(_) | Err(_) => Err(RenderError::Everywhere(rule.alert)),
        }
    }
}

/// A group's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRules {
    /// The group's name, for the label `aami_group` of its alerts.
    pub group: String,
    /// Which nodes are its.
    pub nodes: Members,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// The names of alerts its nodes do not have, whoever else has rules of that name.
    pub without: BTreeSet<String>,
}

/// How the nodes of a group are told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// By a label that discovery puts on them, or `node` with their names; a group without any value has no alerts.
    Labelled {
        /// The label.
        label: String,
        /// Its values.
        values: Vec<String>,
    },
    /// By the label [`GROUPS`], where the group's id is listed.
    InGroup(GroupId),
}

impl Members {
    /// Those that are, and those that are not.
    fn matchers(&self) -> Option<(Matcher, Matcher)> {
        match self {
            Self::Labelled { label, values } => Some((
                Matcher::new(label, Compared::In, values.iter().cloned())?,
                Matcher::new(label, Compared::NotIn, values.iter().cloned())?,
            )),
            Self::InGroup(id) => Some((
                Matcher::new(GROUPS, Compared::Lists, [id.as_str()])?,
                Matcher::new(GROUPS, Compared::ListsNone, [id.as_str()])?,
            )),
        }
    }
}

/// The value of [`GROUPS`] of a node in these groups; nothing for one that is in none.
pub fn groups_label(groups: &[GroupId]) -> Option<String> {
    let ids: BTreeSet<&GroupId> = groups.iter().collect();
    if ids.is_empty() {
        return None;
    }
    let mut value = ",".to_owned();
    for id in ids {
        value.push_str(id.as_str());
        value.push(',');
    }
    Some(value)
}

/// A rule with the group it is of; none for what is left of the rules for all.
pub type Layer<'a> = (Option<&'a GroupRules>, Rule);

/// Rules for all and rules of groups as one list, in which no alert of one name is about a node twice.
///
/// In: whose nodes all of it is about, the rules for all, and the groups', the strongest first. Out: for each name of an alert the strongest group's rules
/// about its nodes, the next group's about those that are left, and the rules for all about the rest; each with the group it
/// is of. The same groups in the
/// same order always give the same list. Fails where a rule that has to be kept to some nodes looks at no series.
pub fn layered<'a>(
    within: &Scope,
    global: &[Rule],
    groups: &'a [GroupRules],
) -> Result<Vec<Layer<'a>>, RenderError> {
    let mut rules = Vec::new();
    // By name of an alert: whose nodes have it already, or do not want it.
    let mut taken: BTreeMap<&str, Vec<Matcher>> = BTreeMap::new();
    for group in groups {
        let Some((only, others)) = group.nodes.matchers() else {
            continue;
        };
        for rule in &group.rules {
            let before = taken.get(rule.alert.as_str()).cloned().unwrap_or_default();
            let scope = within.and(std::iter::once(only.clone()).chain(before));
            let kept = scope.keep(rule.clone())?.labelled("aami_group", &group.group);
            rules.push((Some(group), kept));
        }
        // Only now: a group may have several rules of one name, which are about the same nodes.
        let names: BTreeSet<&str> = (group.rules.iter().map(|rule| rule.alert.as_str()))
            .chain(group.without.iter().map(String::as_str))
            .collect();
        for name in names {
            taken.entry(name).or_default().push(others.clone());
        }
    }
    for rule in global {
        let kept = match taken.get(rule.alert.as_str()) {
            None => within.keep(rule.clone())?,
            Some(rest) => within.and(rest.iter().cloned()).keep(rule.clone())?,
        };
        rules.push((None, kept));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use aami_model::finding::Severity;
    use proptest::prelude::*;

    use super::*;
    use crate::presets;

    fn rule(alert: &str, expr: &str) -> Rule {
        Rule::new(alert, Severity::Warning, "1m", expr)
    }

    fn group(name: &str, label: &str, values: &[&str], rules: Vec<Rule>) -> GroupRules {
        GroupRules {
            group: name.to_owned(),
            nodes: Members::Labelled {
                label: label.to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            },
            rules,
            without: BTreeSet::new(),
        }
    }

    #[test]
    fn a_group_has_its_own_rule_and_the_others_keep_theirs() {
        // Given rules for all, a group that wants one of them otherwise, and a weaker one that shares a node with it,
        let global = [rule("A", "a > 1"), rule("B", "b > 1")];
        let groups = [
            group("train", "node", &["n2", "n1"], vec![rule("A", "a > 5")]),
            group(
                "lab",
                "site",
                &["basement"],
                vec![rule("A", "a > 9"), rule("C", "c > 1")],
            ),
            group("empty", "node", &[], vec![rule("B", "b > 9")]),
        ];
        // when they are laid over each other,
        let told: Vec<(String, String, Option<String>)> = layered(&Scope::default(), &global, &groups)
            .unwrap()
            .into_iter()
            .map(|(_, rule)| (rule.alert, rule.expr, rule.labels.get("aami_group").cloned()))
            .collect();
        // then no node has an alert of one name from two of them.
        let of = |alert: &str, expr: &str, group: Option<&str>| {
            (alert.to_owned(), expr.to_owned(), group.map(str::to_owned))
        };
        assert_eq!(
            told,
            [
                of("A", "a{node=~\"n1|n2\"} > 5", Some("train")),
                of("A", "a{site=\"basement\",node!~\"n1|n2\"} > 9", Some("lab")),
                of("C", "c{site=\"basement\"} > 1", Some("lab")),
                of("A", "a{node!~\"n1|n2\",site!=\"basement\"} > 1", None),
                of("B", "b > 1", None),
            ]
        );
    }

    #[test]
    fn nodes_of_a_group_are_told_by_the_list_of_their_groups() {
        // Given a group whose nodes are not to have an alert that all have, and have another,
        let id: GroupId = "b2".parse().unwrap();
        let groups = [GroupRules {
            nodes: Members::InGroup(id),
            without: BTreeSet::from(["A".to_owned()]),
            ..group("lab", "", &[], vec![rule("B", "b > 1")])
        }];
        // when they are laid over each other,
        let told: Vec<String> = layered(&Scope::default(), &[rule("A", "a > 1")], &groups)
            .unwrap()
            .into_iter()
            .map(|(_, rule)| rule.expr)
            .collect();
        // then the label discovery gives them says whose is what.
        assert_eq!(
            told,
            [
                "b{aami_groups=~\".*,b2,.*\"} > 1",
                "a{aami_groups!~\".*,b2,.*\"} > 1"
            ]
        );
        let of = |ids: &[&str]| {
            let ids: Vec<GroupId> = ids.iter().map(|id| id.parse().unwrap()).collect();
            groups_label(&ids)
        };
        assert_eq!(of(&["b2", "a1", "b2"]).as_deref(), Some(",a1,b2,"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_looks_at_nothing_cannot_be_kept_to_some_nodes() {
        let always = rule("A", "vector(1)");
        let all = layered(&Scope::default(), std::slice::from_ref(&always), &[]).unwrap();
        assert_eq!(all, [(None, always.clone())]);
        let group = group("g", "node", &["n"], vec![always]);
        assert!(
            matches!(layered(&Scope::default(), &[], &[group]), Err(RenderError::Everywhere(alert)) if alert == "A")
        );
    }

    proptest! {
        // Each case keeps every rule there is.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_rule_of_every_preset_can_be_kept_to_any_nodes(
            values in proptest::collection::vec(any::<String>(), 1..5),
            excluded in any::<String>(),
        ) {
            let scope = Scope::of([
                Matcher::new("team", Compared::In, values).unwrap(),
                Matcher::new("node", Compared::NotIn, [excluded]).unwrap(),
            ]);
            for rule in presets::ids().flat_map(presets::rules_of) {
                let before = Expression::parse(&rule.expr).unwrap();
                let kept = scope.keep(rule).unwrap();
                let after = Expression::parse(&kept.expr).unwrap();
                prop_assert_eq!(before.kind(), after.kind());
                prop_assert!(before.metrics().eq(after.metrics()), "{}", kept.expr);
                prop_assert!(kept.expr.matches("team=").count() >= after.metrics().count());
            }
        }
    }
}
