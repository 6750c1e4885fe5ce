//! What is wrong with a configuration or a list: where, what, and what to do.

use std::fmt;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line it stands in, from 1; 0 where it has none (something is missing from the whole file).
    pub line: usize,
    /// The field, `nodes[3].ip`; empty where the text itself is no YAML.
    pub field: String,
    /// What is wrong, in one sentence. Never a secret.
    pub sentence: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Every problem of one text, in the order of its lines; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    left_out: usize,
}

/// At most this many are kept; more help nobody.
pub const MOST_PROBLEMS: usize = 1_000;

impl Problems {
    /// They, in the order of their lines.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many more there were than are kept.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// Where problems are gathered.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    list: Vec<Problem>,
    left_out: usize,
}

impl Gathered {
    pub(crate) fn add(&mut self, problem: Problem) {
        if self.list.len() < MOST_PROBLEMS {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes over those of another.
    pub(crate) fn extend(&mut self, others: Self) {
        self.left_out += others.left_out;
        for problem in others.list {
            self.add(problem);
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them by line, if there are any.
    pub(crate) fn into_problems(mut self) -> Option<Problems> {
        self.list.sort_by_key(|problem| problem.line);
        (!self.list.is_empty()).then_some(Problems {
            list: self.list,
            left_out: self.left_out,
        })
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            list: vec![problem],
            left_out: 0,
        }
    }
}
