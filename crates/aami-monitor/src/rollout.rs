//! How the updates of agents stand, as the control plane's `/metrics` tells it.

use std::fmt::Write as _;

use aami_model::rollout::{RolloutStatus, Tally};

use crate::node_info::labels;

/// The metrics of these rollouts, each with its group's name, in the text format of Prometheus; nothing where there
/// are none.
pub fn metrics(rollouts: &[(String, RolloutStatus, Tally)]) -> String {
    let mut text = String::new();
    if rollouts.is_empty() {
        return text;
    }
    text.push_str(
        "# HELP aami_rollout_halted Whether the update of a group's agents stopped by itself.\n\
         # TYPE aami_rollout_halted gauge\n",
    );
    for (group, status, _) in rollouts {
        let halted = u8::from(*status == RolloutStatus::Halted);
        let _ = writeln!(
            text,
            "aami_rollout_halted{{{}}} {halted}",
            labels(&[("group", group)])
        );
    }
    text.push_str(
        "# HELP aami_rollout_nodes Nodes of a group whose agents are updated, by how they stand.\n\
         # TYPE aami_rollout_nodes gauge\n",
    );
    for (group, _, tally) in rollouts {
        for (standing, count) in [
            ("updated", tally.updated),
            ("updating", tally.updating),
            ("failed", tally.failed),
            ("waiting", tally.waiting),
            ("silent", tally.silent),
            ("away", tally.away),
        ] {
            let labels = labels(&[("group", group), ("standing", standing)]);
            let _ = writeln!(text, "aami_rollout_nodes{{{labels}}} {count}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_line_each_and_its_name_is_quoted() {
        assert_eq!(metrics(&[]), "");
        let tally = Tally {
            nodes: 3,
            updated: 1,
            failed: 2,
            ..Tally::default()
        };
        let text = metrics(&[("a\"b".to_owned(), RolloutStatus::Halted, tally)]);
        assert!(
            text.contains("aami_rollout_halted{group=\"a\\\"b\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("aami_rollout_nodes{group=\"a\\\"b\",standing=\"failed\"} 2\n"),
            "{text}"
        );
    }
}
