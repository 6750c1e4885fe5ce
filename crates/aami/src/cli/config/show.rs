//! `aami config show`.

use aami_config::{Setting, Source};
use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::{FileFleet, Fleet as _, invalid};

/// Show every setting that holds; secrets are hidden
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config show
  aami config show --sources
  aami config show ssh -o json")]
pub(crate) struct Show {
    /// Only this field and those below it, such as `ssh` or `nodes[0]`
    field: Option<String>,
    /// Also show where each value came from: a line of the file, variables, or the default
    #[arg(long)]
    sources: bool,
}

/// A setting for programs.
#[derive(Serialize)]
struct Shown<'a> {
    field: &'a str,
    value: &'a str,
    /// `default`, `file` or `environment`.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<&'a str>,
}

impl Show {
    pub(super) fn run(self, fleet: &mut FileFleet) -> Result<Exit, Failure> {
        let settings = fleet.read()?;
        let place = fleet.place().clone();
        let (read, mut values) = place
            .with_environment(|environment| aami_config::explain(&settings.bytes, environment))
            .map_err(|problems| invalid(&place.config, &problems))?;
        if let Some(field) = &self.field {
            values.retain(|setting| is_below(&setting.field, field));
            if values.is_empty() {
                return Err(Failure::invalid(format!(
                    "nothing is set at `{field}`, and nothing below it"
                )));
            }
        }
        for warning in &read.warnings {
            fleet.screen().note(&format!("aami: {warning}"));
        }
        let shown: Vec<Shown<'_>> = values.iter().map(shown).collect();
        fleet
            .screen()
            .show(&shown, |wide| table(&values, wide || self.sources))?;
        Ok(Exit::Ok)
    }
}

/// Whether `field` is `above` or lies below it.
fn is_below(field: &str, above: &str) -> bool {
    field
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn shown(setting: &Setting) -> Shown<'_> {
    let (source, line, variables) = match &setting.source {
        Source::Default => ("default", None, Vec::new()),
        Source::Line(line) => ("file", Some(*line), Vec::new()),
        Source::Variables { line, names } => (
            "environment",
            Some(*line),
            names.iter().map(String::as_str).collect(),
        ),
    };
    Shown {
        field: &setting.field,
        value: &setting.value,
        source,
        line,
        variables,
    }
}

fn table(values: &[Setting], sources: bool) -> Table {
    let headings: &[&str] = if sources {
        &["FIELD", "VALUE", "SOURCE"]
    } else {
        &["FIELD", "VALUE"]
    };
    let mut table = Table::new(headings, "nothing is set");
    for setting in values {
        let cells = [
            setting.field.clone(),
            setting.value.clone(),
            source(&setting.source),
        ];
        table.row(cells.into_iter().take(headings.len()));
    }
    table
}

/// Where a value came from, for people.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Default => "default".to_owned(),
        Source::Line(line) => format!("line {line}"),
        Source::Variables { line, names } => format!("line {line}, from {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_shown_with_all_below_it_and_nothing_beside_it() {
        for (field, above, is) in [
            ("ssh.port", "ssh", true),
            ("ssh.port", "ssh.port", true),
            ("nodes[0].ip", "nodes[0]", true),
            ("nodes[10].ip", "nodes[1]", false),
            ("sshx.port", "ssh", false),
        ] {
            assert_eq!(is_below(field, above), is, "{field} {above}");
        }
    }
}
