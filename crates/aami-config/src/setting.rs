//! One value of the configuration as people see it, and where it came from.

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing was written; this is what holds then.
    Default,
    /// The file, at this line.
    Line(usize),
    /// The file at this line, with these variables of the environment put in.
    Variables {
        /// The line, from 1.
        line: usize,
        /// The variables.
        names: Vec<String>,
    },
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The field, `ssh.max_parallel`.
    pub field: String,
    /// The value; `(hidden)` for a secret.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}
