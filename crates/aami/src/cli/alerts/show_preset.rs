//! `aami alerts show-preset`.

use aami_model::{Exit, code};
use aami_monitor::presets::{self, Preset};
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::failure::Failure;
use crate::cli::screen::{Format, Screen};
use crate::cli::table::Table;

/// Show what a preset or pack watches; `-o yaml` shows its rules as Prometheus reads them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts show-preset gpu-production
  aami alerts show-preset infiniband -o yaml > rules.yaml")]
pub(crate) struct ShowPreset {
    /// Name of the preset or pack
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(presets::all().iter().map(|preset| preset.id)))]
    preset: String,
}

impl ShowPreset {
    pub(super) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        let preset = presets::find(&self.preset).ok_or_else(|| {
            Failure::found(
                code::ALERT_PRESET_UNKNOWN,
                format!("there is no alert preset {:?}", self.preset),
            )
        })?;
        match screen.format() {
            Format::Table | Format::Wide => {
                screen.show("", |wide| table(preset, wide))?;
            }
            Format::Json | Format::Yaml => screen.show(&preset.file(), |_| Table::of_one())?,
        }
        Ok(Exit::Ok)
    }
}

fn table(preset: &Preset, wide: bool) -> Table {
    let mut headings = vec!["ID", "ALERT", "SEVERITY", "FOR", "SAYS"];
    if wide {
        headings.push("WHEN");
    }
    let mut table = Table::new(&headings, "no rules");
    for (id, rule) in preset.rules() {
        let summary = rule.annotations.get("summary").map_or("", String::as_str);
        let mut row = vec![
            id.to_owned(),
            rule.alert.clone(),
            rule.severity().to_owned(),
            rule.lasting.clone(),
            plain(summary),
        ];
        if wide {
            row.push(rule.expr.clone());
        }
        table.row(row);
    }
    table
}

/// A text with templates as people read it: `GPU {{ $labels.gpu }}` is `GPU <gpu>`.
fn plain(text: &str) -> String {
    let mut said = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        said.push_str(before);
        let (inside, after) = after.split_once("}}").unwrap_or((after, ""));
        if let Some(label) = inside.trim().strip_prefix("$labels.") {
            said.push_str(&format!("<{label}>"));
        } else if let Some(label) = inside.trim().strip_prefix("with $labels.") {
            said.push_str(&format!("<{label}>"));
            // What stands there instead of a label that is missing.
            rest = after.split_once("{{ end }}").map_or("", |(_, after)| after);
            continue;
        } else if inside.trim().starts_with("$value") {
            said.push_str("<value>");
        }
        rest = after;
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_as_people_see_it() {
        insta::assert_snapshot!(table(presets::find("gpu-basic").unwrap(), false));
    }

    #[test]
    fn templates_are_told_by_what_they_show() {
        assert_eq!(
            plain(
                "{{ with $labels.node }}{{ . }}{{ else }}{{ $labels.instance }}{{ end }} is {{ $value | humanize }}"
            ),
            "<node> is <value>"
        );
        assert_eq!(plain("plain {{ $labels.a"), "plain <a>");
    }
}
