//! Rule files of the presets that are wanted and of an operator's own rules.

use std::collections::BTreeMap;

use super::Preset;
use crate::custom::Custom;
use crate::rules::RulesError;

/// One file for a rules folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name, without a folder.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// The names of the groups in it; a Prometheus that has loaded the file shows each of them.
    pub groups: Vec<String>,
    /// The names of the alerts in it, each once; none where it only records.
    pub alerts: Vec<String>,
}

/// How the files are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Labels for every alert, beside its own.
    pub labels: BTreeMap<String, String>,
    /// The nodes that should be there. With them, a node that left the list of targets, and GPUs that are gone, are
    /// noticed; empty where nobody knows.
    pub declared: Vec<Declared>,
}

/// A node that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name, as the label `node` has it.
    pub node: String,
    /// Its cluster, as the label `cluster` has it.
    pub cluster: String,
    /// Whether somebody works on it, so that it alerts nobody by being away.
    pub in_maintenance: bool,
    /// How many GPUs it has, where that is known.
    pub gpus: Option<u32>,
}

/// Why no files can be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Something YAML cannot carry.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Whether a file of this name in a rules folder is one of [`render`]'s, so that one that is no longer made can go.
pub fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "aami-custom.yaml" | "aami-recording.yaml" | "aami-declared.yaml"
    ) || name.starts_with("aami-preset-") && name.ends_with(".yaml")
}

/// One file for each preset, one for the operator's own rules, and what they share in files of its own.
///
/// In: presets in any order, each once or more; own rules; options. Out: files, in a stable order, that can be loaded
/// together: a rule that several presets have stands in one of them. Fails on an own rule that cannot be used.
pub fn render(
    _presets: &[&Preset],
    _custom: &[Custom],
    _options: &Options,
) -> Result<Vec<RuleFile>, RenderError> {
    Ok(Vec::new())
}
