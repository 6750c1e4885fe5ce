//! How the updates of agents stand, as the control plane's `/metrics` tells it.

use std::fmt::Write as _;

use aami_model::rollout::{RolloutStatus, Tally};

use crate::node_info::labels;

/// How the update of a group's agents stands.
#[derive(Debug, Clone)]
pub struct OfGroup {
    /// The tenant the group belongs to: another may have one of the same name.
    pub org: String,
    /// The group's name.
    pub group: String,
    /// How far it is.
    pub status: RolloutStatus,
    /// Its nodes.
    pub nodes: Tally,
}

/// The metrics of these rollouts in the text format of Prometheus; nothing where there are none.
pub fn metrics(rollouts: &[OfGroup]) -> String {
    let mut text = String::new();
    if rollouts.is_empty() {
        return text;
    }
    text.push_str(
        "# HELP aami_rollout_halted Whether the update of a group's agents stopped by itself.\n\
         # TYPE aami_rollout_halted gauge\n",
    );
    for one in rollouts {
        let halted = u8::from(one.status == RolloutStatus::Halted);
        let labels = labels(&[("org", &one.org), ("group", &one.group)]);
        let _ = writeln!(text, "aami_rollout_halted{{{labels}}} {halted}");
    }
    text.push_str(
        "# HELP aami_rollout_nodes Nodes of a group whose agents are updated, by how they stand.\n\
         # TYPE aami_rollout_nodes gauge\n",
    );
    for one in rollouts {
        let tally = &one.nodes;
        for (standing, count) in [
            ("updated", tally.updated),
            ("updating", tally.updating),
            ("failed", tally.failed),
            ("waiting", tally.waiting),
            ("silent", tally.silent),
            ("lost", tally.lost),
            ("away", tally.away),
        ] {
            let labels = labels(&[("org", &one.org), ("group", &one.group), ("standing", standing)]);
            let _ = writeln!(text, "aami_rollout_nodes{{{labels}}} {count}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_line_each_also_where_two_have_one_name_and_its_name_is_quoted() {
        assert_eq!(metrics(&[]), "");
        let tally = Tally {
            nodes: 3,
            updated: 1,
            failed: 2,
            ..Tally::default()
        };
        let of = |org: &str| OfGroup {
            org: org.to_owned(),
            group: "a\"b".to_owned(),
            status: RolloutStatus::Halted,
            nodes: tally,
        };
        let text = metrics(&[of("default"), of("other")]);
        for org in ["default", "other"] {
            let halted = format!("aami_rollout_halted{{org=\"{org}\",group=\"a\\\"b\"}} 1\n");
            assert!(text.contains(&halted), "{text}");
            let failed =
                format!("aami_rollout_nodes{{org=\"{org}\",group=\"a\\\"b\",standing=\"failed\"}} 2\n");
            assert!(text.contains(&failed), "{text}");
        }
        let mut series: Vec<&str> = text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|one| one.0)
            .collect();
        let all = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), all, "{text}");
    }
}
