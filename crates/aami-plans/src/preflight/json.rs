//! The report for programs, as JSON of format 1.0: `version`, `mode`, `timestamp`, `passed`, `checks`, `errors` and
//! `warnings`, in this order, and after them what was added since.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::report::{Category, Check, Outcome, Report};

/// The version of the document, and of the heading people see.
pub(super) const VERSION: &str = "1.0";

/// The report as one JSON document, indented.
pub fn json(report: &Report) -> String {
    json_with(report, &[])
}

/// The same with what was changed before it was made.
pub(super) fn json_with(report: &Report, fixed: &[String]) -> String {
    let mut text = serde_json::to_string_pretty(&Document(report, fixed)).unwrap_or_default();
    text.push('\n');
    text
}

struct Document<'a>(&'a Report, &'a [String]);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let issues = |outcome| -> Vec<Issue<'_>> {
            let chosen = report.checks.iter().filter(|check| check.outcome == outcome);
            chosen.map(Issue).collect()
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", VERSION)?;
        map.serialize_entry("mode", report.choice.mode.name())?;
        map.serialize_entry("timestamp", &report.at.to_string())?;
        map.serialize_entry("passed", &report.passed())?;
        map.serialize_entry("checks", &Checks(report))?;
        map.serialize_entry("errors", &issues(Outcome::Failed))?;
        map.serialize_entry("warnings", &issues(Outcome::Warned))?;
        map.serialize_entry("ignored", &issues(Outcome::Ignored))?;
        map.serialize_entry("mode_because", &report.choice.mode_because)?;
        map.serialize_entry("runtime", report.choice.runtime.name())?;
        map.serialize_entry("runtime_because", &report.choice.runtime_because)?;
        map.serialize_entry("fixed", self.1)?;
        map.serialize_entry("exit_code", &report.exit_code())?;
        map.end()
    }
}

struct Checks<'a>(&'a Report);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Category::ALL.len()))?;
        for category in Category::ALL {
            map.serialize_entry(category.key(), &Group(self.0, category))?;
        }
        map.end()
    }
}

struct Group<'a>(&'a Report, Category);

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let passed = self.0.of(self.1).all(|check| check.outcome != Outcome::Failed);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("passed", &passed)?;
        for check in self.0.of(self.1) {
            map.serialize_entry(&check.key, &Entry(check))?;
        }
        map.end()
    }
}

/// One check where the document has it.
struct Entry<'a>(&'a Check);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let check = self.0;
        let mut map = serializer.serialize_map(None)?;
        let is_skipped = check.outcome == Outcome::Skipped;
        if check.members.is_empty() {
            map.serialize_entry("value", &check.evidence.measured)?;
            if !check.evidence.limit.is_null() {
                map.serialize_entry("minimum", &check.evidence.limit)?;
            }
        }
        for (name, value) in check.members.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("passed", &(check.outcome != Outcome::Failed))?;
        map.serialize_entry("severity", check.outcome.severity())?;
        map.serialize_entry("skipped", &is_skipped)?;
        if is_skipped {
            map.serialize_entry("reason", &check.summary)?;
        } else {
            map.serialize_entry("evidence", &evidence(check))?;
        }
        if let Some(code) = check.code {
            map.serialize_entry("code", code.symbol)?;
            map.serialize_entry("id", &code.id())?;
        }
        map.end()
    }
}

/// One check that did not pass.
struct Issue<'a>(&'a Check);

impl Serialize for Issue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let check = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("category", check.category.key())?;
        map.serialize_entry("code", check.code.map_or("", |code| code.symbol))?;
        map.serialize_entry("message", &check.message)?;
        map.serialize_entry("fix_command", &check.command())?;
        map.serialize_entry("id", &check.code.map(|code| code.id()))?;
        map.serialize_entry("check", &check.key)?;
        map.serialize_entry("severity", check.outcome.severity())?;
        map.serialize_entry("evidence", &evidence(check))?;
        let remedies: Vec<Value> = check
            .remedies
            .iter()
            .map(|remedy| {
                let argv = (!remedy.argv.is_empty()).then_some(&remedy.argv);
                json!({ "text": remedy.text, "argv": argv })
            })
            .collect();
        map.serialize_entry("remedy", &remedies)?;
        map.serialize_entry("fixable", &check.fix.is_some())?;
        map.end()
    }
}

fn evidence(check: &Check) -> Value {
    let evidence = &check.evidence;
    json!({ "measured": evidence.measured, "limit": evidence.limit, "source": evidence.source })
}
