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

use crate::presets::RenderError;
use crate::promql::{Compared, Expression, Matcher};
use crate::rules::Rule;

/// Which nodes a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    matchers: Vec<Matcher>,
}

impl Scope {
    /// Those whose series fit all of these.
    pub fn of(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        Self {
            matchers: matchers.into_iter().collect(),
        }
    }

    /// The same rule, about these nodes alone.
    ///
    /// Fails for a rule that looks at no series: it has nothing that could be matched.
    pub fn keep(&self, rule: Rule) -> Result<Rule, RenderError> {
        if self.matchers.is_empty() {
            return Ok(rule);
        }
        match Expression::parse(&rule.expr) {
            Ok(read) if read.looks_at_series() => Ok(Rule {
                expr: read.restricted(&self.matchers),
                ..rule
            }),
            Ok(_) | Err(_) => Err(RenderError::Everywhere(rule.alert)),
        }
    }
}

/// A group's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRules {
    /// The group's name, for the label `aami_group` of its alerts.
    pub group: String,
    /// The label that tells its nodes: one that discovery puts on them, or `node` with their names.
    pub label: String,
    /// The values of that label; a group without any has no alerts.
    pub values: Vec<String>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl GroupRules {
    fn matcher(&self, compared: Compared) -> Option<Matcher> {
        Matcher::new(&self.label, compared, self.values.iter().cloned())
    }
}

/// Rules for all and rules of groups as one list, in which no alert of one name is about a node twice.
///
/// In: the rules for all, and the groups', the strongest first. Out: for each name of an alert the strongest group's rules
/// about its nodes, the next group's about those that are left, and the rules for all about the rest. The same groups in the
/// same order always give the same list. Fails where a rule that has to be kept to some nodes looks at no series.
pub fn layered(global: &[Rule], groups: &[GroupRules]) -> Result<Vec<Rule>, RenderError> {
    let mut rules = Vec::new();
    // By name of an alert: whose nodes have it already.
    let mut taken: BTreeMap<&str, Vec<Matcher>> = BTreeMap::new();
    for group in groups {
        let (Some(only), Some(others)) = (group.matcher(Compared::In), group.matcher(Compared::NotIn)) else {
            continue;
        };
        for rule in &group.rules {
            let before = taken.get(rule.alert.as_str()).cloned().unwrap_or_default();
            let scope = Scope::of(std::iter::once(only.clone()).chain(before));
            rules.push(scope.keep(rule.clone())?.labelled("aami_group", &group.group));
        }
        // Only now: a group may have several rules of one name, which are about the same nodes.
        let names: BTreeSet<&str> = group.rules.iter().map(|rule| rule.alert.as_str()).collect();
        for name in names {
            taken.entry(name).or_default().push(others.clone());
        }
    }
    for rule in global {
        let rest = taken.get(rule.alert.as_str()).cloned().unwrap_or_default();
        rules.push(Scope::of(rest).keep(rule.clone())?);
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
            label: label.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            rules,
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
        let told: Vec<(String, String, Option<String>)> = layered(&global, &groups)
            .unwrap()
            .into_iter()
            .map(|rule| (rule.alert, rule.expr, rule.labels.get("aami_group").cloned()))
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
    fn what_looks_at_nothing_cannot_be_kept_to_some_nodes() {
        let always = rule("A", "vector(1)");
        let all = layered(std::slice::from_ref(&always), &[]).unwrap();
        assert_eq!(all, std::slice::from_ref(&always));
        let group = group("g", "node", &["n"], vec![always]);
        assert!(matches!(layered(&[], &[group]), Err(RenderError::Everywhere(alert)) if alert == "A"));
    }

    proptest! {
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
