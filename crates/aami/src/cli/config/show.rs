//! `aami config show`.

use aami_config::{Setting, Source};
use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::Reach;
use crate::cli::surroundings::Surroundings;
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
    /// Also show where each value came from: a flag, a line of the file, variables, or the default
    #[arg(long)]
    sources: bool,
}

/// A setting for programs.
#[derive(Debug, Serialize)]
struct Shown {
    field: String,
    value: String,
    /// `default`, `file`, `environment` or `flag`.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<&'static str>,
    /// The line of the file over which a flag or a variable stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_line: Option<usize>,
    /// Whether it is for another control plane than the one that is named.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unused: bool,
}

impl Show {
    pub(super) fn run(
        self,
        fleet: &mut FileFleet,
        reach: &Reach,
        surroundings: &Surroundings,
    ) -> Result<Exit, Failure> {
        let settings = fleet.read()?;
        let place = fleet.place().clone();
        let (read, values) = place
            .with_environment(|environment| aami_config::explain(&settings.bytes, environment))
            .map_err(|problems| invalid(&place.config, &problems))?;
        let mut shown: Vec<Shown> = values.into_iter().map(Shown::of).collect();
        outranked(&mut shown, &above(reach, surroundings));
        if let Some(field) = &self.field {
            shown.retain(|setting| is_below(&setting.field, field));
            if shown.is_empty() {
                return Err(Failure::invalid(format!(
                    "nothing is set at `{field}`, and nothing below it"
                )));
            }
        }
        for warning in &read.warnings {
            fleet.screen().note(&format!("aami: {warning}"));
        }
        fleet
            .screen()
            .show(&shown, |wide| table(&shown, wide || self.sources))?;
        Ok(Exit::Ok)
    }
}

/// What stands over a field of the file.
struct Above {
    field: &'static str,
    value: String,
    by: By,
}

#[derive(Debug, Clone, Copy)]
enum By {
    Flag(&'static str),
    Variable(&'static str),
}

/// The address of the control plane, and its key: never the key itself.
const URL: &str = "server.url";
const KEY: &str = "server.key_file";

/// What the command line and the environment say of a control plane, as [`Reach`] takes it.
fn above(reach: &Reach, surroundings: &Surroundings) -> Vec<Above> {
    let url = match (&reach.server, &surroundings.server) {
        (Some(url), _) => Some((url.clone(), By::Flag("--server"))),
        (None, Some(url)) => Some((url.clone(), By::Variable("AAMI_SERVER"))),
        (None, None) => None,
    };
    let key = match (&reach.key_file, &surroundings.api_key) {
        (Some(file), _) => Some((file.display().to_string(), By::Flag("--key-file"))),
        (None, Some(_)) => Some(("(hidden)".to_owned(), By::Variable("AAMI_API_KEY"))),
        (None, None) => None,
    };
    [(URL, url), (KEY, key)]
        .into_iter()
        .filter_map(|(field, said)| {
            let (value, by) = said?;
            Some(Above { field, value, by })
        })
        .collect()
}

/// Puts what stands over the file in its place.
fn outranked(shown: &mut Vec<Shown>, above: &[Above]) {
    let is = |setting: &Shown, field: &str| {
        // `server: URL` alone is written at the name of the whole.
        setting.field == field || (field == URL && setting.field == "server")
    };
    let configured = (shown.iter())
        .find(|setting| is(setting, URL))
        .map(|setting| setting.value.clone());
    let named = above.iter().find(|above| above.field == URL);
    // Key and trust of the file are for the control plane it names, and for no other.
    if let (Some(configured), Some(named)) = (configured, named)
        && configured != named.value
    {
        for setting in shown.iter_mut() {
            setting.unused = setting.line.is_some() && setting.field.starts_with("server.");
        }
    }
    for above in above {
        let at = shown.iter().position(|setting| is(setting, above.field));
        let line = at.and_then(|at| shown[at].line);
        let by = Shown {
            field: above.field.to_owned(),
            value: above.value.clone(),
            source: match above.by {
                By::Flag(_) => "flag",
                By::Variable(_) => "environment",
            },
            line: None,
            variables: match above.by {
                By::Flag(_) => Vec::new(),
                By::Variable(name) => vec![name.to_owned()],
            },
            flag: match above.by {
                By::Flag(name) => Some(name),
                By::Variable(_) => None,
            },
            over_line: line,
            unused: false,
        };
        match at {
            Some(at) => shown[at] = by,
            None => shown.push(by),
        }
    }
}

/// Whether `field` is `above` or lies below it.
fn is_below(field: &str, above: &str) -> bool {
    field
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Shown {
    fn of(setting: Setting) -> Self {
        let (source, line, variables) = match setting.source {
            Source::Default => ("default", None, Vec::new()),
            Source::Line(line) => ("file", Some(line), Vec::new()),
            Source::Variables { line, names } => ("environment", Some(line), names),
        };
        Self {
            field: setting.field,
            value: setting.value,
            source,
            line,
            variables,
            flag: None,
            over_line: None,
            unused: false,
        }
    }

    /// Where it came from, for people.
    fn from(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.line.map(|line| format!("line {line}")));
        match (self.flag, self.variables.as_slice()) {
            (Some(flag), _) => parts.push(flag.to_owned()),
            (None, []) => {}
            (None, names) if self.line.is_some() => parts.push(format!("from {}", names.join(", "))),
            (None, names) => parts.push(names.join(", ")),
        }
        parts.extend(self.over_line.map(|line| format!("over line {line}")));
        if self.unused {
            parts.push("not used: another control plane is named".to_owned());
        }
        if parts.is_empty() {
            self.source.to_owned()
        } else {
            parts.join(", ")
        }
    }
}

fn table(values: &[Shown], sources: bool) -> Table {
    let headings: &[&str] = if sources {
        &["FIELD", "VALUE", "SOURCE"]
    } else {
        &["FIELD", "VALUE"]
    };
    let mut table = Table::new(headings, "nothing is set");
    for setting in values {
        let cells = [setting.field.clone(), setting.value.clone(), setting.from()];
        table.row(cells.into_iter().take(headings.len()));
    }
    table
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
