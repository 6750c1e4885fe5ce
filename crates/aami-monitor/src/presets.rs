//! Alert presets and packs: which alerts there are, by names an operator can remember.
//!
//! A [`Preset`] is a name for a list of ids; an id (`gpu_xid_error`) stands for one thing that can go wrong and may need
//! several rules, because exporters tell of it in several ways. Start at [`all`] and [`find`]; [`render()`] makes files
//! of those that are wanted, together with an operator's own rules ([`crate::custom`]).
//!
//! The rules themselves are in the rooms below, one for each part of a machine. They expect the labels `cluster` and
//! `node` on every target and the jobs of discovery (`node`, `dcgm`, `all_smi`, `aami`), and dcgm-exporter with AAMI's list
//! of counters; with less, fewer of them can fire. Nothing here writes a file.

mod amd;
mod checks;
mod ecc;
mod infiniband;
mod memory;
mod node;
mod nvlink;
mod render;
mod storage;
mod stragglers;
mod temperature;
mod xid;

use aami_model::finding::Severity;
pub use aami_model::rule_file::RuleFile;

use crate::rules::{File, Group, Line, Rule};

pub(crate) use memory::{USED, used};

pub use render::{Declared, Options, RenderError, render};

/// What tells one node from another.
const NODE: &str = "cluster, node";
/// What tells one GPU from another.
const GPU: &str = "cluster, node, UUID";
/// What tells an instance of a GPU (MIG): what befalls the whole GPU is exported for each of them.
const WHOLE_GPU: &str = "GPU_I_ID, GPU_I_PROFILE";

/// A named set of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name, as it is asked for.
    pub id: &'static str,
    /// What it is for.
    pub sentence: &'static str,
    /// What it watches, by ids; each has at least one rule.
    pub ids: &'static [&'static str],
}

impl Preset {
    /// Its rules, with the id each belongs to.
    pub fn rules(&self) -> Vec<(&'static str, Rule)> {
        self.ids
            .iter()
            .flat_map(|id| rules_of(id).into_iter().map(move |rule| (*id, rule)))
            .collect()
    }

    /// All of it in one rule file, with what is recorded for it.
    pub fn file(&self) -> File {
        let rules: Vec<Rule> = self.rules().into_iter().map(|(_, rule)| rule).collect();
        let recorded = rules.iter().any(|rule| rule.expr.contains(memory::USED));
        let recorded = recorded.then(|| Line::Record(memory::used()));
        File {
            groups: vec![Group {
                name: self.group(),
                rules: recorded
                    .into_iter()
                    .chain(rules.into_iter().map(Line::Alert))
                    .collect(),
            }],
        }
    }

    /// What the group of its rules is called.
    fn group(&self) -> String {
        format!("aami_preset_{}", self.id.replace('-', "_"))
    }
}

/// Every preset and pack, the presets first.
pub const fn all() -> &'static [Preset] {
    PRESETS
}

/// The preset or pack of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.id == name)
}

/// Every id, in the order in which they are told.
pub fn ids() -> impl Iterator<Item = &'static str> {
    IDS.iter().map(|(id, _)| *id)
}

/// The rules of an id; none for an id that nobody knows.
pub fn rules_of(id: &str) -> Vec<Rule> {
    let made = IDS.iter().find(|(known, _)| *known == id);
    made.map(|(_, rules)| rules()).unwrap_or_default()
}

/// The name of every alert, with the first id that has it; each once.
pub fn alerts() -> Vec<(String, &'static str)> {
    let mut alerts: Vec<(String, &'static str)> = Vec::new();
    for (id, rules) in IDS {
        for rule in rules() {
            if !alerts.iter().any(|(alert, _)| *alert == rule.alert) {
                alerts.push((rule.alert, id));
            }
        }
    }
    alerts
}

/// A check on a node that found something grave.
fn checked(alert: &str, severity: Severity, which: &str) -> Rule {
    Rule::new(alert, severity, "2m", format!("aami_check_status{{{which}}} == 2")).saying(
        "The check {{ $labels.check }} fails on {{ $labels.node }}",
        "`aami-agent checks list` on the node says what it found; `aami diagnose {{ $labels.node }}` shows what else the node \
         tells.",
    )
}

/// Makes the rules of an id.
type Made = fn() -> Vec<Rule>;

/// What each id stands for.
const IDS: &[(&str, Made)] = &[
    ("gpu_temperature_critical", temperature::critical),
    ("gpu_temperature_warning", temperature::warning),
    ("gpu_memory_high", memory::high),
    ("gpu_memory_leak", memory::leak),
    ("gpu_ecc_errors", ecc::errors),
    ("gpu_xid_error", xid::errors),
    ("gpu_nvlink_error", nvlink::errors),
    ("node_down", node::down),
    ("gpu_lost", xid::lost),
    ("gpu_memory_temperature", temperature::memory),
    ("gpu_throttling", temperature::throttling),
    ("node_temperature", temperature::node),
    ("gpu_fabric", nvlink::fabric),
    ("ib_port_down", infiniband::down),
    ("ib_link_flap", infiniband::flap),
    ("ib_rate_degraded", infiniband::rate),
    ("ib_link_errors", infiniband::errors),
    ("filesystem_full", storage::full),
    ("filesystem_read_only", storage::read_only),
    ("filesystem_error", storage::error),
    ("disk_failing", storage::disks),
    ("gpu_straggler", stragglers::gpu),
    ("gpu_clock_drop", stragglers::clock),
    ("gpu_pcie", stragglers::pcie),
    ("amd_gpu_temperature", amd::temperature),
    ("amd_gpu_memory_high", amd::memory),
    ("check_failed", checks::failed),
    ("checks_stale", checks::stale),
];

const PRESETS: &[Preset] = &[
    Preset {
        id: "gpu-basic",
        sentence: "The least: GPUs too hot, GPU memory full, nodes down.",
        ids: &["gpu_temperature_critical", "gpu_memory_high", "node_down"],
    },
    Preset {
        id: "gpu-production",
        sentence: "What a cluster in production needs to know of its GPUs and nodes.",
        ids: &[
            "gpu_temperature_critical",
            "gpu_temperature_warning",
            "gpu_memory_high",
            "gpu_memory_leak",
            "gpu_ecc_errors",
            "gpu_xid_error",
            "gpu_nvlink_error",
            "node_down",
        ],
    },
    Preset {
        id: "infiniband",
        sentence: "InfiniBand and RoCE ports that are down, flap, are slow or have errors.",
        ids: &[
            "ib_port_down",
            "ib_link_flap",
            "ib_rate_degraded",
            "ib_link_errors",
        ],
    },
    Preset {
        id: "nvlink",
        sentence: "Links between GPUs, NVSwitches and the fabric.",
        ids: &["gpu_nvlink_error", "gpu_fabric"],
    },
    Preset {
        id: "storage",
        sentence: "File systems that are full, read-only or away, and disks that fail.",
        ids: &[
            "filesystem_full",
            "filesystem_read_only",
            "filesystem_error",
            "disk_failing",
        ],
    },
    Preset {
        id: "thermal",
        sentence: "Heat: GPUs, their memory, the node, and clocks lowered for it.",
        ids: &[
            "gpu_temperature_critical",
            "gpu_temperature_warning",
            "gpu_memory_temperature",
            "gpu_throttling",
            "node_temperature",
        ],
    },
    Preset {
        id: "stragglers",
        sentence: "GPUs that are slower than those they work with.",
        ids: &["gpu_straggler", "gpu_clock_drop", "gpu_pcie"],
    },
    Preset {
        id: "amd",
        sentence: "AMD GPUs, as all-smi tells of them.",
        ids: &["amd_gpu_temperature", "amd_gpu_memory_high", "gpu_lost"],
    },
    Preset {
        id: "checks",
        sentence: "What checks on nodes find, and checks that are not heard any more.",
        ids: &["check_failed", "checks_stale"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::promql::{Expression, Kind};

    #[test]
    fn presets_hold_the_ids_they_promise() {
        assert_eq!(find("gpu-basic").unwrap().ids.len(), 3);
        assert_eq!(find("gpu-production").unwrap().ids.len(), 8);
        assert_eq!(find("gpu-productio"), None);
        let mut names = BTreeSet::new();
        let mut used = BTreeSet::new();
        for preset in all() {
            assert!(names.insert(preset.id));
            for id in preset.ids {
                assert!(!rules_of(id).is_empty(), "{id} has no rule");
                used.insert(*id);
            }
        }
        assert_eq!(used, ids().collect(), "an id that is in no preset");
    }

    #[test]
    fn every_rule_says_how_grave_it_is_what_happened_and_what_to_do() {
        for (id, rule) in ids().flat_map(|id| rules_of(id).into_iter().map(move |rule| (id, rule))) {
            let place = format!("{id}: {}", rule.alert);
            assert!(
                rule.alert.starts_with(|c: char| c.is_ascii_uppercase()),
                "{place}"
            );
            assert!(rule.alert.bytes().all(|b| b.is_ascii_alphanumeric()), "{place}");
            assert!(
                ["critical", "warning", "info"].contains(&rule.severity()),
                "{place}"
            );
            let (summary, description) = (&rule.annotations["summary"], &rule.annotations["description"]);
            assert!(
                !summary.ends_with('.') && summary.contains("{{ "),
                "{place}: {summary}"
            );
            assert!(
                description.ends_with('.') && description.len() > 60,
                "{place}: {description}"
            );
            if rule.severity() == "critical" {
                let acts = ["`", "Look at", "every job"]
                    .iter()
                    .any(|word| description.contains(word));
                assert!(acts, "{place}: {description}");
            }
            let read = Expression::parse(&rule.expr)
                .unwrap_or_else(|error| panic!("{place}: {error}\n{}", rule.expr));
            assert_eq!(read.kind(), Kind::Vector, "{place}");
        }
    }

    #[test]
    fn rules_of_one_name_differ_in_their_labels() {
        let mut seen = BTreeSet::new();
        for (alert, id) in alerts() {
            for rule in rules_of(id).into_iter().filter(|rule| rule.alert == alert) {
                assert!(
                    seen.insert((rule.alert, rule.labels)),
                    "{alert} of {id} stands twice"
                );
            }
        }
    }
}
