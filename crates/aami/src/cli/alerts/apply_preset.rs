//! `aami alerts apply-preset`.

use aami_model::{Exit, code};
use aami_monitor::presets;
use clap::Args;

use crate::cli::each::{Done, told};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::fleet::{Applied, Fleet, Judged};

/// Write a preset's rules where Prometheus reads them, and see that it loads them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts apply-preset gpu-production
  aami alerts apply-preset gpu-production infiniband
  aami alerts apply-preset gpu-production --dry-run

Rules of your own, under `alerts.custom` in the configuration, are applied with it. Rules are judged by promtool where it
is here. When Prometheus does not take them, everything is as before.")]
pub(crate) struct ApplyPreset {
    /// Presets or packs; `aami alerts list-presets` lists them
    #[arg(required = true, value_name = "PRESET")]
    presets: Vec<String>,
    /// Judge the rules, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl ApplyPreset {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let mut wanted = Vec::new();
        for name in &self.presets {
            wanted.push(presets::find(name).ok_or_else(|| {
                Failure::found(
                    code::ALERT_PRESET_UNKNOWN,
                    format!("there is no alert preset {name:?}"),
                )
            })?);
        }
        let file = fleet.file(
            "aami alerts apply-preset",
            "Apply presets on the machine of that Prometheus: `aami alerts show-preset NAME` prints the rules for its folder.",
        )?;
        if self.dry_run {
            let (files, judged) = file.judge_presets(&self.presets)?;
            note_of(judged, file.screen());
            for rules in &files {
                file.screen()
                    .note(&format!("aami: {} would be written", rules.name));
            }
            return Ok(Exit::Ok);
        }
        let (applied, judged) = file.apply_presets(&self.presets)?;
        note_of(judged, file.screen());
        match applied {
            Applied::Waiting(why) => file.screen().note(&format!(
                "aami: the rules are in place and wait for Prometheus, which was not told: {why}"
            )),
            Applied::Loaded(failing) => {
                for rule in failing {
                    file.screen()
                        .note(&format!("aami: loaded, and cannot be evaluated: {rule}"));
                }
            }
        }
        let attempts = wanted.into_iter().map(|preset| {
            let line = format!("✅ Applied preset {} ({} rules)", preset.id, preset.ids.len());
            Ok(Done::new(preset.id, line))
        });
        told(file.screen(), attempts.collect())
    }
}

fn note_of(judged: Judged, screen: &mut Screen) {
    match judged {
        Judged::Sound => {}
        Judged::Nobody => {
            screen
                .note("aami: there is no promtool on this machine, so the rules were not judged beforehand");
        }
    }
}
