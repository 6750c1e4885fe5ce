//! Alert presets and packs: which alerts there are, by names an operator can remember.
//!
//! A [`Preset`] is a name for a list of ids; an id (`gpu_xid_error`) stands for one thing that can go wrong and may need
//! several rules, because exporters tell of it in several ways. Start at [`all`] and [`find`]; [`render()`] makes files
//! of those that are wanted, together with an operator's own rules ([`crate::custom`]).
//!
//! The rules themselves are in the rooms below, one for each part of a machine. Nothing here writes a file.

mod render;

use crate::rules::Rule;

pub use render::{Declared, Options, RenderError, RuleFile, is_ours, render};

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
}

/// Every preset and pack, the presets first.
pub const fn all() -> &'static [Preset] {
    PRESETS
}

/// The preset or pack of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.id == name)
}

/// The rules of an id; none for an id that nobody knows.
pub fn rules_of(_id: &str) -> Vec<Rule> {
    Vec::new()
}

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
];
