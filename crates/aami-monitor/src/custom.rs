//! An operator's own rules: judged here, without a Prometheus, so that what is handed on can be loaded.
//!
//! [`judge`] takes rules as a configuration has them and gives [`Rule`]s, or everything that is wrong with them. One
//! bad rule would make Prometheus refuse all files at its next reload; so a rule that is accepted here is one that
//! Prometheus takes. Templates in texts are a short closed list: a text can show a label or the value, and do nothing.

mod template;

use std::collections::{BTreeMap, BTreeSet};

use aami_model::finding::Severity;
use aami_model::label::{self, Labels};
use aami_model::{Code, code};

use crate::presets;
use crate::promql::{Expression, Kind, is_duration};
use crate::rules::Rule;

/// At most this many own rules.
pub const MOST_RULES: usize = 1000;
/// The longest name of an alert, in bytes.
const LONGEST_NAME: usize = 128;
/// The longest text for people, in bytes.
const LONGEST_TEXT: usize = 4096;
/// At most this many annotations.
const MOST_ANNOTATIONS: usize = 32;

/// A rule as it stands in a configuration, not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// The alert's name.
    pub name: String,
    /// What is evaluated (PromQL).
    pub expr: String,
    /// How long it must hold, a Prometheus duration.
    pub lasting: String,
    /// How grave it is.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: Option<String>,
    /// More words for people.
    pub description: Option<String>,
    /// A page that says what to do.
    pub runbook_url: Option<String>,
    /// Labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// Other annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What is wrong with one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule:?}: {field}: {what}")]
pub struct CustomError {
    /// The rule's place, from 0.
    pub at: usize,
    /// Its name, cut short.
    pub rule: String,
    /// The field, as the configuration names it.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl CustomError {
    /// The condition.
    pub const fn code(&self) -> Code {
        code::ALERT_RULE_INVALID
    }
}

/// Judges rules, in their order.
///
/// Fails with everything that is wrong: each name is an identifier that neither another rule nor a preset has, `for` a
/// duration, the expression one that Prometheus can evaluate to series, labels and annotations such as Prometheus
/// takes.
pub fn judge(customs: &[Custom]) -> Result<Vec<Rule>, Vec<CustomError>> {
    if customs.len() > MOST_RULES {
        return Err(vec![CustomError {
            at: MOST_RULES,
            rule: short(&customs[MOST_RULES].name),
            field: "custom".to_owned(),
            what: format!("there are more than {MOST_RULES} rules"),
        }]);
    }
    let taken = presets::alerts();
    let (mut rules, mut errors, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (at, custom) in customs.iter().enumerate() {
        let before = errors.len();
        let mut wrong = |field: &str, what: String| {
            errors.push(CustomError {
                at,
                rule: short(&custom.name),
                field: field.to_owned(),
                what,
            });
        };
        if let Some((_, id)) = taken.iter().find(|(alert, _)| *alert == custom.name) {
            wrong("name", format!("the presets' rule {id} has this name already"));
        }
        if !seen.insert(&custom.name) {
            wrong("name", "another rule has this name already".to_owned());
        }
        custom.judge(&mut wrong);
        if errors.len() == before {
            rules.push(custom.rule());
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

impl Custom {
    fn judge(&self, wrong: &mut dyn FnMut(&str, String)) {
        if !is_name(&self.name) {
            wrong(
                "name",
                format!(
                    "a name is a letter, then letters, digits and _, at most {LONGEST_NAME}; such as GpuFanStopped"
                ),
            );
        }
        if !is_duration(&self.lasting) {
            wrong("for", "it is a duration such as 5m or 1h30m".to_owned());
        }
        match Expression::parse(&self.expr) {
            Err(error) => wrong("expr", error.to_string()),
            Ok(read) if read.kind() != Kind::Vector => wrong(
                "expr",
                format!(
                    "an alert fires for each series its expression gives, and this gives {}",
                    read.kind()
                ),
            ),
            Ok(_) => {}
        }
        if let Err(error) = Labels(self.labels.clone()).check() {
            wrong("labels", error.to_string());
        }
        for (name, value) in &self.labels {
            // Prometheus fills templates into labels, too: one that changes would make a new alert each time.
            if value.contains("{{") {
                wrong(
                    "labels",
                    format!("the label {name} is filled with a template; a label keeps its value"),
                );
            }
            if matches!(name.as_str(), "alertname" | "severity") {
                wrong(
                    "labels",
                    format!("the label {name} is set by the rule's own field"),
                );
            }
        }
        if self.annotations.len() > MOST_ANNOTATIONS {
            wrong("annotations", format!("there are more than {MOST_ANNOTATIONS}"));
        }
        for (field, name, text) in self.texts() {
            if label::check_name(name).is_err_and(|error| !matches!(error, label::LabelError::Reserved(_))) {
                wrong(field, format!("{:?} is no name of an annotation", short(name)));
            }
            if text.len() > LONGEST_TEXT {
                wrong(field, format!("it is longer than {LONGEST_TEXT} bytes"));
            }
            if text.chars().any(|c| c.is_control() && c != '\n') {
                wrong(field, "it holds control characters".to_owned());
            }
            if let Err(what) = template::judge(text) {
                wrong(field, what);
            }
        }
        for (name, own) in [
            ("summary", &self.summary),
            ("description", &self.description),
            ("runbook_url", &self.runbook_url),
        ] {
            if own.is_some() && self.annotations.contains_key(name) {
                wrong(
                    "annotations",
                    format!("{name} is a field of its own, and given there"),
                );
            }
        }
        let is_page = |url: &String| {
            ["https://", "http://"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        };
        if self.runbook_url.as_ref().is_some_and(|url| !is_page(url)) {
            wrong("runbook_url", "it begins with https:// or http://".to_owned());
        }
    }

    /// Field, name and text of every annotation.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let own = [
            ("summary", &self.summary),
            ("description", &self.description),
            ("runbook_url", &self.runbook_url),
        ];
        own.into_iter()
            .filter_map(|(name, text)| Some((name, name, text.as_deref()?)))
            .chain(
                self.annotations
                    .iter()
                    .map(|(name, text)| ("annotations", name.as_str(), text.as_str())),
            )
    }

    fn rule(&self) -> Rule {
        let mut rule = Rule::new(&self.name, self.severity, &self.lasting, self.expr.as_str());
        for (name, value) in &self.labels {
            rule = rule.labelled(name, value);
        }
        for (_, name, text) in self.texts() {
            rule.annotations.insert(name.to_owned(), text.to_owned());
        }
        rule.annotations.entry("summary".to_owned()).or_insert_with(|| {
            format!(
                "{} on {{{{ with $labels.node }}}}{{{{ . }}}}{{{{ else }}}}{{{{ $labels.instance }}}}{{{{ end }}}}",
                self.name
            )
        });
        rule
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What a hostile sender wrote, as one short line.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests;
