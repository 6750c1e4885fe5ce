//! What goes along while a tree is read: the world around, the problems, the sources.

use std::fmt;

use crate::environment::Environment;
use crate::kind::Given;
use crate::problem::{Gathered, Problem};
use crate::section::plain;
use crate::setting::{Setting, Source};
use crate::text::{nearest, shown};
use crate::tree::{Node, Value};
use crate::variable::{Expanded, expand};

/// Where in the tree a value lies: `nodes[3].labels.rack`.
pub(crate) struct Path<'p> {
    above: Option<&'p Self>,
    step: Step<'p>,
}

enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl Path<'_> {
    pub(crate) const fn root() -> Path<'static> {
        Path {
            above: None,
            step: Step::Root,
        }
    }

    pub(crate) const fn key<'k>(&'k self, key: &'k str) -> Path<'k> {
        Path {
            above: Some(self),
            step: Step::Key(key),
        }
    }

    pub(crate) const fn index(&self, at: usize) -> Path<'_> {
        Path {
            above: Some(self),
            step: Step::Index(at),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => {
                let dot = self.above.is_some_and(|above| !matches!(above.step, Step::Root));
                write!(f, "{}{key}", if dot { "." } else { "" })
            }
            Step::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// A secret as it is written.
pub(crate) enum ReadSecret {
    /// With everything put in.
    Given(Given),
    /// These variables are not set.
    Unset(Vec<String>),
}

/// What goes along while a tree is read.
pub(crate) struct Reader<'e> {
    pub(crate) environment: &'e Environment<'e>,
    problems: Gathered,
    warnings: Vec<Problem>,
    /// Filled only where somebody wants to see it: a fleet has many values.
    settings: Option<Vec<Setting>>,
    defaulting: bool,
}

impl<'e> Reader<'e> {
    pub(crate) fn new(environment: &'e Environment<'e>, problems: Gathered, explain: bool) -> Self {
        Self {
            environment,
            problems,
            warnings: Vec::new(),
            settings: explain.then(Vec::new),
            defaulting: false,
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<Setting>, Vec<Problem>, Gathered) {
        (self.settings.unwrap_or_default(), self.warnings, self.problems)
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, line: usize, path: &Path<'_>, sentence: String, hint: Option<String>) {
        self.problems.add(Problem {
            line,
            field: path.to_string(),
            sentence,
            hint,
        });
    }

    /// Notes something that does not hinder.
    pub(crate) fn warn(&mut self, line: usize, path: &Path<'_>, sentence: String, hint: Option<String>) {
        self.warnings.push(Problem {
            line,
            field: path.to_string(),
            sentence,
            hint,
        });
    }

    /// Notes a value that is not what it must be.
    pub(crate) fn refuse(&mut self, node: &Node<'_>, path: &Path<'_>, given: &str, what: &str) {
        self.refuse_with(node, path, given, what, None);
    }

    /// The same, with the word that probably was meant.
    pub(crate) fn refuse_with(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        given: &str,
        what: &str,
        meant: Option<&str>,
    ) {
        let sentence = format!("{} is not {what}", self.quoted(node, given));
        let hint = meant.map(|meant| format!("Did you mean `{meant}`?"));
        self.problem(node.line, path, sentence, hint);
    }

    /// Notes a value with the reason why it cannot be.
    pub(crate) fn refuse_because(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        given: &str,
        why: &str,
        hint: &str,
    ) {
        let sentence = format!("{}: {why}", self.quoted(node, given));
        self.problem(node.line, path, sentence, Some(hint.to_owned()));
    }

    /// A value for a message. What came from a variable may be secret, so then it is shown as it is written.
    fn quoted(&self, node: &Node<'_>, given: &str) -> String {
        let text = node.text().unwrap_or(given);
        format!("`{}`", shown(text, 60))
    }

    /// Notes what holds, for `config show`.
    pub(crate) fn known(&mut self, path: &Path<'_>, value: String, source: Source) {
        if let Some(settings) = &mut self.settings {
            settings.push(Setting {
                field: path.to_string(),
                value,
                source: if self.defaulting { Source::Default } else { source },
            });
        }
    }

    /// Where a value without variables comes from.
    pub(crate) const fn source_of(&self, node: &Node<'_>) -> Source {
        if self.defaulting {
            Source::Default
        } else {
            Source::Line(node.line)
        }
    }

    /// Reads what is not written.
    pub(crate) fn by_default<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.defaulting, true);
        let value = read(self);
        self.defaulting = before;
        value
    }

    /// A scalar with its variables put in. `what` says what it must be, where it is none.
    pub(crate) fn scalar(&mut self, node: &Node<'_>, path: &Path<'_>, what: &str) -> Option<Given> {
        let expanded = self.expanded(node, path, what)?;
        if !expanded.unset.is_empty() {
            let sentence = unset(&expanded.unset);
            self.problem(node.line, path, sentence, Some(UNSET_HINT.to_owned()));
            return None;
        }
        Some(given(node, expanded))
    }

    /// The same for a secret: one whose variables are not set hinders only who needs it.
    pub(crate) fn secret(&mut self, node: &Node<'_>, path: &Path<'_>, what: &str) -> Option<ReadSecret> {
        let expanded = self.expanded(node, path, what)?;
        if expanded.unset.is_empty() {
            return Some(ReadSecret::Given(given(node, expanded)));
        }
        self.warn(
            node.line,
            path,
            unset(&expanded.unset),
            Some(UNSET_HINT.to_owned()),
        );
        let names = expanded.unset.join(", ");
        self.known(path, format!("(not set: {names})"), Source::Line(node.line));
        Some(ReadSecret::Unset(expanded.unset))
    }

    fn expanded(&mut self, node: &Node<'_>, path: &Path<'_>, what: &str) -> Option<Expanded> {
        let Some(text) = node.text() else {
            let sentence = format!("this must be {what}, but it is {}", node.what());
            self.problem(node.line, path, sentence, None);
            return None;
        };
        match expand(text, self.environment.variables) {
            Ok(expanded) => Some(expanded),
            Err(why) => {
                let hint = "Write `${NAME}` for a variable, or `$${` for the characters themselves.";
                self.problem(node.line, path, why.to_string(), Some(hint.to_owned()));
                None
            }
        }
    }

    /// Checks that this is a mapping.
    pub(crate) fn mapping(&mut self, node: &Node<'_>, path: &Path<'_>) -> Option<()> {
        if matches!(node.value, Value::Map { .. }) {
            return Some(());
        }
        let sentence = format!("this must be a mapping, but it is {}", node.what());
        self.problem(
            node.line,
            path,
            sentence,
            Some("Write `key: value` lines below it.".to_owned()),
        );
        None
    }

    /// Notes the keys nobody knows.
    pub(crate) fn unknown_keys(&mut self, node: &Node<'_>, path: &Path<'_>, known: &'static [&'static str]) {
        let keys = || known.iter().map(|key| plain(key));
        for entry in node.entries() {
            if keys().any(|key| key == entry.key) {
                continue;
            }
            let meant = nearest(&entry.key, keys()).or_else(|| other_word(&entry.key, known));
            let hint = match meant {
                Some(meant) => format!("Did you mean `{meant}`?"),
                None => format!("There are: {}.", keys().collect::<Vec<_>>().join(", ")),
            };
            let key = shown(&entry.key, 60);
            self.problem(
                entry.line,
                &path.key(&key),
                "there is no field of this name here".to_owned(),
                Some(hint),
            );
        }
    }
}

const UNSET_HINT: &str =
    "Set it for this command; sudo hands on only what `sudo --preserve-env=NAME` or `sudo NAME=value` names.";

fn unset(names: &[String]) -> String {
    match names {
        [one] => format!("the variable {one} is not set"),
        several => format!("the variables {} are not set", several.join(", ")),
    }
}

fn given(node: &Node<'_>, expanded: Expanded) -> Given {
    Given {
        text: expanded.text,
        source: if expanded.used.is_empty() {
            Source::Line(node.line)
        } else {
            Source::Variables {
                line: node.line,
                names: expanded.used,
            }
        },
    }
}

/// What other programs call our fields.
fn other_word(key: &str, known: &[&'static str]) -> Option<&'static str> {
    const OTHERS: [(&str, &str); 16] = [
        ("hostname", "name"),
        ("host", "ip"),
        ("address", "ip"),
        ("ip_address", "ip"),
        ("ansible_host", "ip"),
        ("user", "ssh_user"),
        ("username", "ssh_user"),
        ("ansible_user", "ssh_user"),
        ("key", "ssh_key"),
        ("identity_file", "ssh_key"),
        ("port", "ssh_port"),
        ("tags", "labels"),
        ("jump_host", "proxy_jump"),
        ("bastion", "proxy_jump"),
        ("rules", "custom"),
        ("smtp_server", "smtp_host"),
    ];
    OTHERS
        .iter()
        .filter(|(theirs, _)| *theirs == key)
        .find_map(|(_, ours)| known.iter().copied().find(|known| known == ours))
}
