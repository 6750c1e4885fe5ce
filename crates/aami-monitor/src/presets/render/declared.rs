//! The nodes that should be there, as series Prometheus makes itself: `aami_declared_node`, `aami_declared_gpus`.
//!
//! A series is one rule that is no more than a number, so what they cost grows with the nodes and with nothing else. They
//! stand in groups of a thousand, which Prometheus evaluates side by side, once a minute: what is missing is missing for
//! five.

use std::collections::{BTreeMap, BTreeSet};

use aami_model::rule_file::{DECLARED_FILE, RuleFile};
use serde::Serialize;

use super::Declared;
use crate::rules::{Recording, RulesError, text_of};

/// Whatever begins like this is recorded here.
pub(super) const PREFIX: &str = "aami_declared_";
/// More nodes are not told of: a Prometheus says all its rules in one answer.
pub(super) const MOST: usize = 50_000;
/// From so many nodes on, only names are told: their other labels are for routes, and each is told as often as there are
/// nodes.
const MOST_WITH_LABELS: usize = 5_000;
/// How many nodes a group tells of.
const IN_A_GROUP: usize = 1_000;

#[derive(Serialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    interval: &'static str,
    rules: Vec<Recording>,
}

/// The file that records them, in the order of clusters and names, whatever order they come in. One that is named twice
/// counts as it comes first.
pub(super) fn file(nodes: &[Declared]) -> Result<RuleFile, RulesError> {
    let mut seen = BTreeSet::new();
    // Prometheus refuses a file in which a series stands twice.
    let mut nodes: Vec<&Declared> = (nodes.iter())
        .filter(|node| seen.insert((&node.cluster, &node.node)))
        .collect();
    nodes.sort_by(|one, other| (&one.cluster, &one.node).cmp(&(&other.cluster, &other.node)));
    nodes.truncate(MOST);
    let with_labels = nodes.len() <= MOST_WITH_LABELS;
    let groups: Vec<Group> = nodes
        .chunks(IN_A_GROUP)
        .enumerate()
        .map(|(at, nodes)| Group {
            name: match at {
                0 => "aami_declared".to_owned(),
                at => format!("aami_declared_{at}"),
            },
            interval: "1m",
            rules: nodes
                .iter()
                .flat_map(|node| recorded(node, with_labels))
                .collect(),
        })
        .collect();
    Ok(RuleFile {
        name: DECLARED_FILE.to_owned(),
        groups: groups.iter().map(|group| group.name.clone()).collect(),
        text: text_of(&File { groups })?,
        alerts: Vec::new(),
    })
}

fn recorded(node: &Declared, with_labels: bool) -> Vec<Recording> {
    let mut labels = BTreeMap::new();
    if with_labels {
        labels.clone_from(&node.labels);
    }
    labels.insert("cluster".to_owned(), node.cluster.clone());
    labels.insert("node".to_owned(), node.node.clone());
    let gpus = node.gpus.map(|gpus| Recording {
        record: format!("{PREFIX}gpus"),
        expr: format!("vector({gpus})"),
        labels: labels.clone(),
    });
    let state = if node.in_maintenance {
        "maintenance"
    } else {
        "active"
    };
    labels.insert("state".to_owned(), state.to_owned());
    let node = Recording {
        record: format!("{PREFIX}node"),
        expr: "vector(1)".to_owned(),
        labels,
    };
    gpus.into_iter().chain([node]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: String) -> Declared {
        Declared {
            node: name,
            cluster: "prod".to_owned(),
            labels: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
            gpus: Some(8),
            in_maintenance: false,
        }
    }

    #[test]
    fn the_order_they_come_in_does_not_matter_and_there_is_an_end() {
        let nodes: Vec<Declared> = (0..2_500).map(|at| node(format!("n{at}"))).collect();
        let made = file(&nodes).unwrap();
        assert_eq!(
            made.groups,
            ["aami_declared", "aami_declared_1", "aami_declared_2"]
        );
        assert_eq!(made.text.matches("record: aami_declared_gpus").count(), 2_500);
        let turned: Vec<Declared> = nodes.into_iter().rev().collect();
        assert_eq!(file(&turned).unwrap(), made);
        // The largest fleet still fits, without what is not needed.
        let many: Vec<Declared> = (0..MOST + 7)
            .map(|at| node(format!("very-long-name-of-a-node-{at}")))
            .collect();
        let made = file(&many).unwrap();
        assert!(!made.text.contains("rack"));
        assert_eq!(made.text.matches("record: aami_declared_node").count(), MOST);
        assert_eq!(aami_model::rule_file::check(&[made]), Ok(()));
    }
}
