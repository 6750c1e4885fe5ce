//! What a preflight found: checks with their evidence and what to do, gathered into a report.

use aami_model::{Code, Timestamp};
use serde_json::{Map, Value};

use super::fix::Fix;
use super::request::Choice;

/// Where a check stands in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// The machine and its operating system.
    System,
    /// Programs that are needed.
    Software,
    /// Hosts that are needed, and the way to them.
    Network,
    /// Ports that will be listened on.
    Ports,
    /// Rights.
    Permissions,
    /// GPUs and what belongs to them.
    Hardware,
}

impl Category {
    /// All, in the order they are shown.
    pub const ALL: [Self; 6] = [
        Self::System,
        Self::Software,
        Self::Network,
        Self::Ports,
        Self::Permissions,
        Self::Hardware,
    ];

    /// The member of the JSON document.
    pub const fn key(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Software => "software",
            Self::Network => "network",
            Self::Ports => "ports",
            Self::Permissions => "permissions",
            Self::Hardware => "hardware",
        }
    }

    /// The heading people see.
    pub const fn title(self) -> &'static str {
        match self {
            Self::System => "System Requirements",
            Self::Software => "Software Dependencies",
            Self::Network => "Network Connectivity",
            Self::Ports => "Port Availability",
            Self::Permissions => "Permissions",
            Self::Hardware => "Hardware Detection",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// An install works, and somebody should know.
    Warned,
    /// An install would not work.
    Failed,
    /// It would have failed or warned, and was told to be ignored by its code.
    Ignored,
    /// It has no meaning in this mode, on this machine.
    Skipped,
}

impl Outcome {
    /// The member `severity` of the JSON document.
    pub const fn severity(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warned => "warning",
            Self::Failed => "error",
            Self::Ignored => "ignored",
            Self::Skipped => "skipped",
        }
    }
}

/// What was measured, against what, and where it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The value found; null where nothing could be measured.
    pub measured: Value,
    /// What it is held against; null where there is no limit.
    pub limit: Value,
    /// The file, program or question it comes from.
    pub source: String,
}

/// Something a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// One sentence without a full stop, e.g. `Stop the service with 'sudo systemctl stop x'`.
    pub text: String,
    /// The exact command, where there is one.
    pub argv: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Where it belongs.
    pub category: Category,
    /// Its member in the category's JSON object.
    pub key: String,
    /// What people call it.
    pub title: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What stands behind the title, e.g. `8 cores (minimum: 2)`.
    pub summary: String,
    /// The condition, where it did not pass.
    pub code: Option<Code>,
    /// One sentence that names the thing and the values, where it did not pass.
    pub message: String,
    /// The same for people, where it is said otherwise to them.
    pub sentence: Option<String>,
    /// What the verdict rests on.
    pub evidence: Evidence,
    /// What to do, the best first.
    pub remedies: Vec<Remedy>,
    /// What `--fix` can do about it.
    pub fix: Option<Fix>,
    /// Whether it is shown only when it did not pass, or when everything is shown.
    pub quiet: bool,
    /// Members of its JSON object in place of `value` and `minimum`.
    pub members: Map<String, Value>,
}

impl Check {
    /// A check that passed so far.
    pub(super) fn new(category: Category, key: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            category,
            key: key.into(),
            title: title.into(),
            outcome: Outcome::Passed,
            summary: String::new(),
            code: None,
            message: String::new(),
            sentence: None,
            evidence: Evidence::default(),
            remedies: Vec::new(),
            fix: None,
            quiet: false,
            members: Map::new(),
        }
    }

    /// Where its facts were read.
    pub(super) fn from(mut self, source: impl Into<String>) -> Self {
        self.evidence.source = source.into();
        self
    }

    /// What was measured.
    pub(super) fn measured(mut self, value: impl Into<Value>) -> Self {
        self.evidence.measured = value.into();
        self
    }

    /// What it is held against.
    pub(super) fn limit(mut self, value: impl Into<Value>) -> Self {
        self.evidence.limit = value.into();
        self
    }

    /// Shown only when it did not pass.
    pub(super) const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// It passed; `summary` stands behind its title.
    pub(super) fn passed(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// It would keep an install from working.
    pub(super) fn failed(self, code: Code, summary: impl Into<String>, message: impl Into<String>) -> Self {
        self.not_passed(Outcome::Failed, code, summary.into(), message.into())
    }

    /// An install works, and somebody should know.
    pub(super) fn warned(self, code: Code, summary: impl Into<String>, message: impl Into<String>) -> Self {
        self.not_passed(Outcome::Warned, code, summary.into(), message.into())
    }

    fn not_passed(mut self, outcome: Outcome, code: Code, summary: String, message: String) -> Self {
        self.outcome = outcome;
        self.code = Some(code);
        self.summary = summary;
        self.message = message;
        self
    }

    /// It has no meaning here, because of `why`.
    pub(super) fn skipped(mut self, why: impl Into<String>) -> Self {
        self.outcome = Outcome::Skipped;
        self.summary = why.into();
        self
    }

    /// What a person can do, in words.
    pub(super) fn advice(mut self, text: impl Into<String>) -> Self {
        self.remedies.push(Remedy {
            text: text.into(),
            argv: Vec::new(),
        });
        self
    }

    /// What a person can do, with a command; `what` is the beginning of the sentence.
    pub(super) fn remedy(mut self, what: &str, argv: &[&str]) -> Self {
        self.remedies.push(Remedy {
            text: format!("{what} with '{}'", line(argv)),
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        });
        self
    }

    /// What `--fix` can do about it.
    pub(super) fn fixed_by(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// A member of its JSON object.
    pub(super) fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Whether it did not pass and nobody said to ignore that.
    pub const fn is_issue(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Warned)
    }

    /// The command of the first remedy that has one, as a person would type it.
    pub fn command(&self) -> Option<String> {
        let remedy = self.remedies.iter().find(|remedy| !remedy.argv.is_empty())?;
        Some(line(&remedy.argv))
    }
}

/// A command line as a person would type it: what a shell would take apart is quoted.
pub(super) fn line<S: AsRef<str>>(argv: &[S]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    let words: Vec<String> = argv
        .iter()
        .map(|word| match word.as_ref() {
            word if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
            word => format!("'{}'", word.replace('\'', "'\\''")),
        })
        .collect();
    words.join(" ")
}

/// Everything a preflight found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What it was looked at for, and why that.
    pub choice: Choice,
    /// When.
    pub at: Timestamp,
    /// Every check, in the order shown.
    pub checks: Vec<Check>,
}

impl Report {
    /// The checks that would keep an install from working.
    pub fn errors(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.outcome == Outcome::Failed)
    }

    /// The checks somebody should know of.
    pub fn warnings(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.outcome == Outcome::Warned)
    }

    /// Whether nothing would keep an install from working.
    pub fn passed(&self) -> bool {
        self.errors().next().is_none()
    }

    /// What the program exits with: 1 where an issue was found, 0 where an install may begin.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.passed())
    }

    /// The checks of one category.
    pub fn of(&self, category: Category) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.category == category)
    }

    /// Lets what is named by these codes pass.
    pub(super) fn ignore(&mut self, codes: &[Code]) {
        for check in &mut self.checks {
            if check.is_issue() && check.code.is_some_and(|code| codes.contains(&code)) {
                check.outcome = Outcome::Ignored;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        assert_eq!(
            line(&["sudo", "systemctl", "stop", "a@b.service"]),
            "sudo systemctl stop a@b.service"
        );
        assert_eq!(
            line(&["rm", "--", "a b", "it's", ""]),
            "rm -- 'a b' 'it'\\''s' ''"
        );
    }
}
