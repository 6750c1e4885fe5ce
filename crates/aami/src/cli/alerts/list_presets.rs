//! `aami alerts list-presets`.

use std::fmt::Write as _;

use aami_model::Exit;
use aami_monitor::presets;
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::screen::{Format, Screen};
use crate::cli::table::Table;

/// List the alert presets and packs there are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts list-presets
  aami alerts list-presets -o wide")]
pub(crate) struct ListPresets {}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    sentence: &'static str,
    /// How many ids; one id may need several rules of Prometheus.
    rules: usize,
    ids: &'static [&'static str],
    alerts: Vec<String>,
}

fn listed() -> Vec<Listed> {
    let all = presets::all().iter();
    all.map(|preset| {
        let mut alerts: Vec<String> = preset.rules().into_iter().map(|(_, rule)| rule.alert).collect();
        alerts.dedup();
        Listed {
            name: preset.id,
            sentence: preset.sentence,
            rules: preset.ids.len(),
            ids: preset.ids,
            alerts,
        }
    })
    .collect()
}

impl ListPresets {
    pub(super) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        let presets = listed();
        match screen.format() {
            Format::Table => screen.write(&lines(&presets))?,
            Format::Wide | Format::Json | Format::Yaml => screen.show(&presets, |_| table(&presets))?,
        }
        Ok(Exit::Ok)
    }
}

fn lines(presets: &[Listed]) -> String {
    let mut text = "Available presets:\n".to_owned();
    for preset in presets {
        let _ = writeln!(text, "  {} ({} rules)", preset.name, preset.rules);
    }
    text
}

fn table(presets: &[Listed]) -> Table {
    let mut table = Table::new(&["NAME", "RULES", "WHAT FOR", "IDS"], "no presets");
    for preset in presets {
        table.row([
            preset.name.to_owned(),
            preset.rules.to_string(),
            preset.sentence.to_owned(),
            preset.ids.join(" "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_as_people_see_them() {
        insta::assert_snapshot!(lines(&listed()), @r"
        Available presets:
          gpu-basic (3 rules)
          gpu-production (8 rules)
          infiniband (4 rules)
          nvlink (2 rules)
          storage (4 rules)
          thermal (5 rules)
          stragglers (3 rules)
          amd (3 rules)
          checks (2 rules)
        ");
    }

    #[test]
    fn programs_see_ids_and_the_names_of_alerts() {
        let json = serde_json::to_value(listed()).unwrap();
        assert_eq!(json[0]["name"], "gpu-basic");
        assert_eq!(json[0]["ids"].as_array().unwrap().len(), 3);
        assert_eq!(json[0]["alerts"][0], "GPUTemperatureCritical");
        assert_eq!(json[1]["rules"], 8);
    }
}
