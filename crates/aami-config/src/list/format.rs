//! In which form a list is written.

use std::fmt;
use std::str::FromStr;

use super::draft::column;

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `name address [user] [label=value ...]`, one node a line.
    Plain,
    /// Values with commas, semicolons or tabs between, the columns' names first.
    Csv,
    /// A list of mappings, or one under `nodes:`, as in `config.yaml`.
    Yaml,
    /// Ansible's inventory, INI.
    Ansible,
    /// Ansible's inventory, YAML.
    AnsibleYaml,
}

/// Why a text names no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a list is plain, csv, yaml, ansible or ansible-yaml")]
pub struct NotAFormat;

impl Format {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::Csv,
        Self::Yaml,
        Self::Ansible,
        Self::AnsibleYaml,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Csv => "csv",
            Self::Yaml => "yaml",
            Self::Ansible => "ansible",
            Self::AnsibleYaml => "ansible-yaml",
        }
    }

    /// The form of a text, by what is written in it.
    pub(crate) fn guess(text: &str) -> Self {
        let lines = || {
            text.lines()
                .map(str::trim_end)
                .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']))
        };
        let Some(first) = lines().next() else {
            return Self::Plain;
        };
        let says_how = |line: &str| {
            line.split_whitespace()
                .skip(1)
                .any(|word| word.starts_with("ansible_") && word.contains('='))
        };
        if lines().any(is_section) || lines().take(1_000).any(says_how) {
            return Self::Ansible;
        }
        let word = first.split_whitespace().next().unwrap_or_default();
        let begins_yaml =
            first == "---" || first.starts_with("- ") || first == "-" || first.starts_with(['{', '[']);
        if begins_yaml || word.ends_with(':') {
            let is_ours = lines().any(|line| {
                let line = line.trim_start_matches("---").trim();
                line.starts_with("nodes:") || line.starts_with("- ") || line.starts_with("[{")
            });
            let is_ansible = lines().any(|line| matches!(line.trim(), "hosts:" | "children:"));
            return if is_ansible || !is_ours {
                Self::AnsibleYaml
            } else {
                Self::Yaml
            };
        }
        let names_columns = [',', ';', '\t'].into_iter().any(|mark| {
            first.contains(mark)
                && first
                    .split(mark)
                    .any(|cell| column(cell.trim().trim_matches('"')).is_some())
        });
        if names_columns { Self::Csv } else { Self::Plain }
    }
}

/// `[gpu]`, `[gpu:vars]`, with or without a comment.
fn is_section(line: &str) -> bool {
    let Some((name, after)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let after = after.trim_start();
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-:.".contains(&b))
        && (after.is_empty() || after.starts_with(['#', ';']))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, NotAFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or(NotAFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_seen_from_what_is_written() {
        for (text, format) in [
            ("", Format::Plain),
            ("gpu1 10.0.0.1\n", Format::Plain),
            ("# ours\n\ngpu[1-4,7] 10.0.0.[1-4,7] root\n", Format::Plain),
            ("gpu1 2001:db8::\n", Format::Plain),
            ("name,ip\ngpu1,10.0.0.1\n", Format::Csv),
            ("\"Hostname\";\"Address\"\na;b\n", Format::Csv),
            ("name\tip\n", Format::Csv),
            ("nodes:\n  - name: a\n", Format::Yaml),
            ("---\n- name: a\n  ip: 10.0.0.1\n", Format::Yaml),
            ("[{name: a, ip: 10.0.0.1}]\n", Format::Yaml),
            ("[gpu]\na\n", Format::Ansible),
            ("a\n\n[gpu:children] ; all\nb\n", Format::Ansible),
            ("a ansible_host=10.0.0.1\n", Format::Ansible),
            ("all:\n  hosts:\n    a:\n", Format::AnsibleYaml),
        ] {
            assert_eq!(Format::guess(text), format, "{text:?}");
        }
    }
}
