//! All rules of a Prometheus, made of the rule sets that are kept: group over global, in a stable order.
//!
//! [`judge`] says of one set whether it can be used, with the same words as for a declared fleet's own rules; [`render()`]
//! makes the files. The same sets give the same bytes, in whatever order they, their presets, rules and overrides come
//! in. What a group says of the alerts of one name goes before what is said for everybody ([`crate::scope`]); of several
//! groups that a node is in, the one with the higher priority, then with the lower id.
//!
//! Nothing here knows where sets are kept or who is given the files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aami_model::rule_file::{self, NotPlaceable, RECORDING_FILE, RuleFile};
use aami_model::rules::{MOST_CUSTOM, MOST_OVERRIDES, RuleOverride, RuleSet};
use aami_model::{Code, GroupId, OrgId, code};
use serde::Deserialize;

use crate::custom::{self, Custom};
use crate::presets::{self, Preset, RenderError, USED, used};
use crate::promql::{Compared, Expression, Matcher, is_duration};
use crate::rules::{self, File, Group, Line, Rule, RulesError, severity_name};
use crate::scope::{GroupRules, Members, Scope, layered};

/// The rule sets of one organisation.
#[derive(Debug, Clone)]
pub struct Tenant<'a> {
    /// The organisation.
    pub org: &'a OrgId,
    /// The set for every node of it.
    pub global: Option<&'a RuleSet>,
    /// Those of its groups, with the group's name.
    pub groups: Vec<(&'a str, &'a RuleSet)>,
}

/// Why rule sets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A preset nobody knows.
    #[error("presets: there is no preset {0:?}; there are {all}", all = known_presets())]
    Preset(String),
    /// An override that changes nothing there is, or not like that.
    #[error("overrides: {alert:?}: {what}")]
    Override {
        /// The alert, cut short.
        alert: String,
        /// What is wrong with it.
        what: String,
    },
    /// Too many of something.
    #[error("{0}: there are more than {1}")]
    TooMany(&'static str, usize),
    /// Own rules that cannot be used, and what cannot be kept to some nodes.
    #[error("custom: {0}")]
    Rules(#[from] RenderError),
    /// More than a Prometheus is given.
    #[error("all rules together cannot be handed on: {0}")]
    TooMuch(#[from] NotPlaceable),
}

impl SetError {
    /// The condition.
    pub const fn code(&self) -> Code {
        code::ALERT_RULE_INVALID
    }
}

fn known_presets() -> String {
    let all: Vec<&str> = presets::all().iter().map(|preset| preset.id).collect();
    all.join(", ")
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Puts what is in a set into its one order: presets as they are told, the rest by names. Presets that stand there twice
/// stand there once.
pub fn put_in_order(set: &mut RuleSet) {
    let place = |id: &String| presets::all().iter().position(|preset| preset.id == id);
    set.presets
        .sort_by_key(|id| (place(id).unwrap_or(usize::MAX), id.clone()));
    set.presets.dedup();
    set.custom.sort_by(|one, other| one.name.cmp(&other.name));
    set.overrides.sort_by(|one, other| one.alert.cmp(&other.alert));
}

/// Judges one set. `global` is the organisation's set for every node, where the set is a group's.
///
/// Fails with the first kind of thing that is wrong: presets nobody knows, own rules Prometheus would not take (all of
/// them, as for a declared fleet), overrides of what is not there or cannot be changed so.
pub fn judge(set: &RuleSet, global: Option<&RuleSet>) -> Result<(), SetError> {
    if set.custom.len() > MOST_CUSTOM {
        return Err(SetError::TooMany("custom", MOST_CUSTOM));
    }
    let mut rules = own(set)?;
    if let Some(global) = global {
        rules.extend(own(global)?);
    }
    if set.overrides.len() > MOST_OVERRIDES {
        return Err(SetError::TooMany("overrides", MOST_OVERRIDES));
    }
    let mut seen = BTreeSet::new();
    for wish in &set.overrides {
        let wrong = |what: &str| SetError::Override {
            alert: short(&wish.alert),
            what: what.to_owned(),
        };
        if !seen.insert(&wish.alert) {
            return Err(wrong("it stands there twice"));
        }
        let meant: Vec<&Rule> = rules.iter().filter(|rule| rule.alert == wish.alert).collect();
        if meant.is_empty() {
            return Err(wrong("no rule here has this name, nor one for everybody"));
        }
        if wish.lasting.as_ref().is_some_and(|lasting| !is_duration(lasting)) {
            return Err(wrong("for: it is a duration such as 5m or 1h30m"));
        }
        if let Some(number) = wish.threshold
            && meant.iter().all(|rule| compared_with(rule, number).is_none())
        {
            return Err(wrong(
                "threshold: its expression does not end in a comparison with one number; switch it off and write a rule of \
                 your own",
            ));
        }
    }
    Ok(())
}

/// The names of the alerts that the nodes of a set have by it, each once, sorted.
pub fn alerts_of(set: &RuleSet, global: Option<&RuleSet>) -> Vec<String> {
    let (Ok(rules), _) = effective(set, global) else {
        return Vec::new();
    };
    let names: BTreeSet<String> = rules.into_iter().map(|rule| rule.alert).collect();
    names.into_iter().collect()
}

/// All files of one Prometheus.
///
/// In: the organisations whose nodes it watches, whether any organisation but those has nodes there, and whether it
/// also watches the control plane itself. Out: files in the order of their names, which can be loaded together.
///
/// Fails where [`judge`] would, and where rules that have to be kept to some nodes look at no series.
pub fn render(tenants: &[Tenant<'_>], is_shared: bool, itself: bool) -> Result<Vec<RuleFile>, SetError> {
    let mut files: BTreeMap<String, (Group, BTreeSet<String>)> = BTreeMap::new();
    let mut records = false;
    for tenant in tenants {
        let is_named = *tenant.org != OrgId::default();
        let within = if is_shared || is_named {
            of_org(tenant.org)
        } else {
            Scope::default()
        };
        for (file, group, rule) in of_tenant(tenant, &within)? {
            // What an expression sums up may have lost whose it is.
            let rule = if is_named {
                rule.labelled("org", tenant.org.as_str())
            } else {
                rule
            };
            records |= rule.expr.contains(USED);
            let (lines, alerts) = files.entry(file).or_insert_with(|| {
                let group = Group {
                    name: group,
                    rules: Vec::new(),
                };
                (group, BTreeSet::new())
            });
            alerts.insert(rule.alert.clone());
            lines.rules.push(Line::Alert(rule));
        }
    }
    if records {
        let group = Group {
            name: "aami_recording".to_owned(),
            rules: vec![Line::Record(used())],
        };
        files.insert(RECORDING_FILE.to_owned(), (group, BTreeSet::new()));
    }
    let mut made = Vec::new();
    for (name, (group, alerts)) in files {
        made.push(RuleFile {
            name,
            groups: vec![group.name.clone()],
            text: File { groups: vec![group] }.text().map_err(RenderError::from)?,
            alerts: alerts.into_iter().collect(),
        });
    }
    if itself {
        made.extend(about_itself().map_err(RenderError::from)?);
    }
    made.sort_by(|one, other| one.name.cmp(&other.name));
    rule_file::check(&made)?;
    Ok(made)
}

/// The files about AAMI itself, with what is in them.
fn about_itself() -> Result<Vec<RuleFile>, RulesError> {
    #[derive(Deserialize)]
    struct Read {
        groups: Vec<ReadGroup>,
    }
    #[derive(Deserialize)]
    struct ReadGroup {
        name: String,
        rules: Vec<ReadRule>,
    }
    #[derive(Deserialize)]
    struct ReadRule {
        alert: Option<String>,
    }
    let files = rules::FILES.into_iter().zip(rules::texts()?);
    Ok(files
        .map(|(name, text)| {
            // What was written a line above; were it not readable, it would be seen to be missing.
            let read: Read = serde_saphyr::from_str(&text).unwrap_or(Read { groups: Vec::new() });
            let alerts: BTreeSet<String> = (read.groups.iter())
                .flat_map(|group| group.rules.iter().filter_map(|rule| rule.alert.clone()))
                .collect();
            RuleFile {
                name: name.to_owned(),
                text,
                groups: read.groups.into_iter().map(|group| group.name).collect(),
                alerts: alerts.into_iter().collect(),
            }
        })
        .collect())
}

fn of_org(org: &OrgId) -> Scope {
    // Discovery names every organisation but this one.
    if *org == OrgId::default() {
        // What looks at nobody's node is no other organisation's either.
        Scope::of(Matcher::new("org", Compared::In, [""])).or_at_no_series()
    } else {
        Scope::of(Matcher::new("org", Compared::In, [org.as_str()]))
    }
}

/// The rules of an organisation, each with its file and the group it stands in.
fn of_tenant(tenant: &Tenant<'_>, within: &Scope) -> Result<Vec<(String, String, Rule)>, SetError> {
    let global = tenant.global.filter(|set| set.enabled);
    let for_all = match global {
        Some(global) => effective(global, None).0?,
        None => Vec::new(),
    };
    let mut sets: Vec<(&GroupId, &str, &RuleSet)> = (tenant.groups.iter())
        .filter(|(_, set)| set.enabled)
        .filter_map(|(name, set)| Some((set.group.as_ref()?, *name, *set)))
        .collect();
    sets.sort_by(|(one, _, left), (other, _, right)| {
        (Reverse(left.priority), one).cmp(&(Reverse(right.priority), other))
    });
    let mut groups = Vec::new();
    for (id, name, set) in &sets {
        let (rules, without) = effective(set, global);
        groups.push(GroupRules {
            group: (*name).to_owned(),
            nodes: Members::InGroup((*id).clone()),
            rules: rules?,
            without,
        });
    }
    let file = |set: &RuleSet| format!("aami-rules-{}.yaml", set.id);
    let told = layered(within, &for_all, &groups)?;
    Ok(told
        .into_iter()
        .filter_map(|(group, rule)| {
            let Some(group) = group else {
                return Some((file(global?), "aami_global".to_owned(), rule));
            };
            // The layers point into `groups`, which is in the order of `sets`.
            let at = groups.iter().position(|own| std::ptr::eq(own, group))?;
            let (_, name, set) = sets.get(at)?;
            Some((file(set), format!("aami_group_{name}"), rule))
        })
        .collect())
}

/// The rules that a set means for its nodes, and the names of the alerts they do not have. A group's are its own, and
/// those for everybody that it wants otherwise.
fn effective(set: &RuleSet, global: Option<&RuleSet>) -> (Result<Vec<Rule>, SetError>, BTreeSet<String>) {
    let without: BTreeSet<String> = (set.overrides.iter())
        .filter(|wish| wish.disabled)
        .map(|wish| wish.alert.clone())
        .collect();
    let made = || {
        let mut rules = own(set)?;
        if let Some(global) = global.filter(|global| global.enabled) {
            let has: BTreeSet<String> = rules.iter().map(|rule| rule.alert.clone()).collect();
            let is_wanted = |rule: &Rule| {
                !has.contains(&rule.alert) && set.overrides.iter().any(|wish| wish.alert == rule.alert)
            };
            let theirs = effective(global, None).0?;
            rules.extend(theirs.into_iter().filter(is_wanted));
        }
        rules.retain(|rule| !without.contains(&rule.alert));
        for rule in &mut rules {
            if let Some(wish) = set.overrides.iter().find(|wish| wish.alert == rule.alert) {
                change(rule, wish);
            }
        }
        Ok(rules)
    };
    (made(), without.clone())
}

fn change(rule: &mut Rule, wish: &RuleOverride) {
    if let Some(severity) = wish.severity {
        rule.labels
            .insert("severity".to_owned(), severity_name(severity).to_owned());
    }
    if let Some(lasting) = &wish.lasting {
        rule.lasting.clone_from(lasting);
    }
    if let Some(expr) = wish.threshold.and_then(|number| compared_with(rule, number)) {
        rule.expr = expr;
    }
}

fn compared_with(rule: &Rule, number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    Expression::parse(&rule.expr).ok()?.compared_with(number)
}

/// The rules of a set's presets and its own, before anything is said otherwise.
fn own(set: &RuleSet) -> Result<Vec<Rule>, SetError> {
    let wanted: Vec<&Preset> = (set.presets.iter())
        .map(|id| presets::find(id).ok_or_else(|| SetError::Preset(short(id))))
        .collect::<Result<_, _>>()?;
    let mut customs: Vec<Custom> = set.custom.iter().map(Custom::from).collect();
    customs.sort_by(|one, other| one.name.cmp(&other.name));
    let customs = custom::judge(&customs).map_err(RenderError::Custom)?;
    let mut done = BTreeSet::new();
    // In the order in which they are told, so that the files do not depend on the order they were asked for in.
    Ok(presets::all()
        .iter()
        .filter(|preset| wanted.contains(preset))
        .flat_map(|preset| preset.rules())
        .map(|(_, rule)| rule)
        .filter(|rule| done.insert((rule.alert.clone(), rule.expr.clone())))
        .chain(customs)
        .collect())
}

impl From<&aami_model::rules::CustomRule> for Custom {
    fn from(rule: &aami_model::rules::CustomRule) -> Self {
        Self {
            name: rule.name.clone(),
            expr: rule.expr.clone(),
            lasting: rule.lasting.clone(),
            severity: rule.severity,
            summary: rule.summary.clone(),
            description: rule.description.clone(),
            runbook_url: rule.runbook_url.clone(),
            labels: rule.labels.clone(),
            annotations: rule.annotations.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
