//! A ruleset of nftables, as `nft --json list ruleset` tells it (`libnftables-json(5)`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A chain that decides what comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
    /// Whether something may be turned away in it.
    pub(super) closes: bool,
    /// Rules with a comment: handle and comment.
    pub(super) commented: Vec<(u64, String)>,
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// Whether a verdict that turns packets away stands anywhere in a rule.
fn turns_away(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| matches!(name.as_str(), "drop" | "reject") || turns_away(value)),
        Value::Array(all) => all.iter().any(turns_away),
        _ => false,
    }
}

/// The chains `rule` hands on to.
fn hands_on_to(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    let target = |one: &Value| {
        ["jump", "goto"]
            .iter()
            .find_map(|verb| one[*verb]["target"].as_str().map(str::to_owned))
    };
    all.filter_map(target).collect()
}

/// Names a chain: family, table, name.
type Name = (String, String, String);

/// What the rules of one chain do.
#[derive(Default)]
struct Rules {
    turns_away: bool,
    hands_on_to: Vec<String>,
    commented: Vec<(u64, String)>,
}

/// Whether something that comes into `name` may be turned away, there or further down.
fn closes(name: &Name, rules: &BTreeMap<Name, Rules>, seen: &mut BTreeSet<Name>) -> bool {
    let Some(own) = rules.get(name) else {
        return false;
    };
    let further = |target: &String| (name.0.clone(), name.1.clone(), target.clone());
    seen.insert(name.clone())
        && (own.turns_away
            || own
                .hands_on_to
                .iter()
                .any(|target| closes(&further(target), rules, seen)))
}

/// The base chains of the input hook that filter IP, in order.
pub(super) fn input_chains(json: &str) -> Option<Vec<Chain>> {
    let document: Value = serde_json::from_str(json).ok()?;
    let objects = document["nftables"].as_array()?;
    let mut rules: BTreeMap<Name, Rules> = BTreeMap::new();
    for rule in objects.iter().filter_map(|object| object.get("rule")) {
        let of = rules
            .entry((text(rule, "family"), text(rule, "table"), text(rule, "chain")))
            .or_default();
        of.turns_away |= turns_away(&rule["expr"]);
        of.hands_on_to.extend(hands_on_to(&rule["expr"]));
        if let (Some(handle), Some(comment)) = (rule["handle"].as_u64(), rule["comment"].as_str()) {
            of.commented.push((handle, comment.to_owned()));
        }
    }
    let base = objects
        .iter()
        .filter_map(|object| object.get("chain"))
        .filter(|chain| {
            chain["hook"] == "input"
                && chain["type"] == "filter"
                && matches!(text(chain, "family").as_str(), "ip" | "ip6" | "inet")
        });
    let chain = |chain: &Value| {
        let name = (text(chain, "family"), text(chain, "table"), text(chain, "name"));
        let closes = chain["policy"] == "drop" || closes(&name, &rules, &mut BTreeSet::new());
        let commented = rules.get(&name).map(|rules| rules.commented.clone());
        let (family, table, name) = name;
        Chain {
            family,
            table,
            name,
            closes,
            commented: commented.unwrap_or_default(),
        }
    };
    Some(base.map(chain).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_close_are_told_from_those_that_do_not() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"table": {"family": "inet", "name": "filter", "handle": 1}},
            {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "ip", "table": "count", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": -5, "policy": "accept"}},
            {"chain": {"family": "ip", "table": "nat", "name": "input", "handle": 1, "type": "nat", "hook": "input", "prio": 0, "policy": "accept"}},
            {"chain": {"family": "ip6", "table": "six", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
            {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4, "comment": "ssh", "expr": [{"accept": null}]}},
            {"rule": {"family": "ip6", "table": "six", "chain": "in", "handle": 4, "expr": [{"jump": {"target": "end"}}]}},
            {"rule": {"family": "ip6", "table": "six", "chain": "end", "handle": 5, "expr": [{"match": {}}, {"reject": {"type": "tcp reset"}}]}},
            {"rule": {"family": "ip", "table": "count", "chain": "in", "handle": 4, "expr": [{"jump": {"target": "round"}}]}},
            {"rule": {"family": "ip", "table": "count", "chain": "round", "handle": 5, "expr": [{"goto": {"target": "in"}}]}}]}"#;
        let chains = input_chains(json).unwrap();
        let told: Vec<_> = chains
            .iter()
            .map(|chain| (chain.table.as_str(), chain.closes))
            .collect();
        assert_eq!(told, [("filter", true), ("count", false), ("six", true)]);
        assert_eq!(chains[0].commented, [(4, "ssh".to_owned())]);
        assert_eq!(input_chains("no JSON"), None);
    }
}
