//! `aami alerts apply-preset`.

use std::time::Duration;

use aami_model::{Exit, code};
use aami_monitor::presets;
use clap::Args;

use crate::cli::dry::Dry;
use crate::cli::each::{Done, told};
use crate::cli::failure::Failure;
use crate::fleet::Fleet;
use crate::fleet::alerts::PresetsWanted;

/// Have a preset's rules where Prometheus reads them, and see that it loads them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts apply-preset gpu-production
  aami alerts apply-preset gpu-production infiniband
  aami alerts apply-preset gpu-production --dry-run
  aami alerts apply-preset thermal --group h100

Rules of your own, under `alerts.custom` in the configuration, are applied with it; a control plane keeps them in its rule
sets, `aami alerts rules`. Rules are judged by promtool where it is. When Prometheus does not take them, it goes on with
those from before; of a declared fleet the configuration is as before as well.")]
pub(crate) struct ApplyPreset {
    /// Presets or packs; `aami alerts list-presets` lists them
    #[arg(required = true, value_name = "PRESET")]
    presets: Vec<String>,
    /// The group whose nodes are watched so; every node without it
    #[arg(long)]
    group: Option<String>,
    /// How many seconds every Prometheus has to load them
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
    #[command(flatten)]
    dry: Dry,
}

impl ApplyPreset {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let mut wanted = Vec::new();
        for name in &self.presets {
            wanted.push(presets::find(name).ok_or_else(|| {
                Failure::unknown(
                    code::ALERT_PRESET_UNKNOWN,
                    format!("there is no alert preset {name:?}"),
                    name,
                    presets::all().iter().map(|preset| preset.id),
                    code::ALERT_PRESET_UNKNOWN.hint,
                )
            })?);
        }
        let remarks = fleet.apply_presets(&PresetsWanted {
            presets: self.presets,
            group: self.group,
            dry: self.dry.dry_run,
            within: Duration::from_secs(self.within),
        })?;
        for remark in remarks {
            fleet.screen().note(&format!("aami: {remark}"));
        }
        if self.dry.dry_run {
            return Ok(Exit::Ok);
        }
        let attempts = wanted.into_iter().map(|preset| {
            let line = format!("✅ Applied preset {} ({} rules)", preset.id, preset.ids.len());
            Ok(Done::new(preset.id, line))
        });
        told(fleet.screen(), attempts.collect())
    }
}
