//! Rule files of the presets that are wanted and of an operator's own rules.

mod declared;

use std::collections::{BTreeMap, BTreeSet};

use aami_model::rule_file::{CUSTOM_FILE, RECORDING_FILE, RuleFile};
use aami_model::{Code, code};

use super::{Preset, all, memory};
use crate::custom::{self, Custom, CustomError};
use crate::rules::{File, Group, Line, Recording, Rule, RulesError};
use crate::scope::Scope;

/// How the files are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Labels for every alert, beside its own.
    pub labels: BTreeMap<String, String>,
    /// The nodes that should be there. With them, a node that left the list of targets, and GPUs that are gone, are
    /// noticed, by the rules that look at them; empty where nobody knows.
    pub declared: Vec<Declared>,
    /// Which nodes the alerts are about; all where it matches nothing.
    pub scope: Scope,
}

/// A node that should be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name, as the label `node` has it.
    pub node: String,
    /// Its cluster, as the label `cluster` has it.
    pub cluster: String,
    /// Its other labels, as its targets have them.
    pub labels: BTreeMap<String, String>,
    /// Whether somebody works on it, so that it alerts nobody by being away.
    pub in_maintenance: bool,
    /// How many GPUs it has, where that is known.
    pub gpus: Option<u32>,
}

/// Why no files can be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Own rules that cannot be used, with everything that is wrong with them.
    #[error("{}", said(.0))]
    Custom(Vec<CustomError>),
    /// An own rule that looks at no series cannot be kept to some nodes.
    #[error("the rule {0:?} looks at no metric, so it cannot be kept to some nodes")]
    Everywhere(String),
    /// Something YAML cannot carry.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl RenderError {
    /// The condition.
    pub const fn code(&self) -> Code {
        match self {
            Self::Custom(_) | Self::Everywhere(_) | Self::Rules(_) => code::ALERT_RULE_INVALID,
        }
    }
}

fn said(errors: &[CustomError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// One file for each preset, one for the operator's own rules, and what they share in files of its own.
///
/// In: presets in any order, each once or more; own rules; options. Out: files, in a stable order, that can be loaded
/// together: a rule that several presets have stands in the file of the first, and a preset whose rules all stand
/// elsewhere has no file. Fails on own rules that cannot be used, with all that is wrong with them.
pub fn render(
    presets: &[&Preset],
    customs: &[Custom],
    options: &Options,
) -> Result<Vec<RuleFile>, RenderError> {
    let own = custom::judge(customs).map_err(RenderError::Custom)?;
    let mut files = Vec::new();
    let mut done: BTreeSet<(String, String)> = BTreeSet::new();
    // In the order of `all`, so that the files do not depend on the order of the question.
    for preset in all().iter().filter(|preset| presets.contains(preset)) {
        let rules: Vec<Rule> = preset
            .rules()
            .into_iter()
            .map(|(_, rule)| rule)
            .filter(|rule| done.insert((rule.alert.clone(), rule.expr.clone())))
            .collect();
        if !rules.is_empty() {
            let group = format!("aami_preset_{}", preset.id.replace('-', "_"));
            files.push(alerts(
                &format!("aami-preset-{}.yaml", preset.id),
                group,
                rules,
                options,
            )?);
        }
    }
    let is_used = done.iter().any(|(_, expr)| expr.contains(memory::USED));
    let names_declared = (done.iter().map(|(_, expr)| expr))
        .chain(own.iter().map(|rule| &rule.expr))
        .any(|expr| expr.contains(declared::PREFIX));
    if !own.is_empty() {
        files.push(alerts(CUSTOM_FILE, "aami_custom".to_owned(), own, options)?);
    }
    if names_declared && !options.declared.is_empty() {
        files.push(declared::file(&options.declared)?);
    }
    if is_used {
        files.push(recordings(
            RECORDING_FILE,
            "aami_recording",
            vec![memory::used()],
        )?);
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn alerts(name: &str, group: String, rules: Vec<Rule>, options: &Options) -> Result<RuleFile, RenderError> {
    let mut lines = Vec::new();
    let mut alerts = BTreeSet::new();
    for rule in rules {
        let mut rule = options.scope.keep(rule)?;
        for (name, value) in &options.labels {
            rule.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        alerts.insert(rule.alert.clone());
        lines.push(Line::Alert(rule));
    }
    file(name, group, lines, alerts)
}

fn recordings(name: &str, group: &str, rules: Vec<Recording>) -> Result<RuleFile, RenderError> {
    let lines = rules.into_iter().map(Line::Record).collect();
    file(name, group.to_owned(), lines, BTreeSet::new())
}

fn file(
    name: &str,
    group: String,
    rules: Vec<Line>,
    alerts: BTreeSet<String>,
) -> Result<RuleFile, RenderError> {
    let groups = vec![group.clone()];
    Ok(RuleFile {
        name: name.to_owned(),
        text: File {
            groups: vec![Group { name: group, rules }],
        }
        .text()?,
        groups,
        alerts: alerts.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests;
