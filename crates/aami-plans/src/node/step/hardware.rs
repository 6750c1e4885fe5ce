//! Step 3: what is this machine?

use std::sync::Arc;

use aami_install::{Probe, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;

use super::super::extra::Extra;
use super::super::session::Session;
use super::super::{Form, Purpose};
use super::needs;

/// What to do about an exporter that nobody offers.
const CANNOT_BE_HAD: &str = "Install it yourself, name a mirror that carries it with --mirror, install Docker or Podman \
                             for NVIDIA's own, or pass --skip-gpu.";

/// Step 3.
pub(super) struct DetectHardware(pub(super) Arc<Session>);

impl Step for DetectHardware {
    fn id(&self) -> &str {
        "detect_hardware"
    }

    fn title(&self) -> String {
        "Detecting hardware".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["preflight"])
    }

    fn probe(&self, _survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.purpose != Purpose::Install {
            self.0.inventory()?;
            return Ok(Probe::Holds);
        }
        Ok(Probe::Missing("looked at in every run".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let inventory = self.0.inventory()?;
        let gpus = inventory.gpus.summary();
        if gpus.is_empty() {
            context.note("GPU: none found");
        }
        for line in gpus {
            context.note(format!("GPU: {line}"));
        }
        for disk in inventory
            .disks
            .iter()
            .filter(|disk| disk.name.starts_with("nvme"))
        {
            context.note(format!(
                "NVMe: {} {} GB {}",
                disk.name,
                disk.size_bytes / 1_000_000_000,
                disk.model.as_deref().unwrap_or("of unknown model")
            ));
        }
        for port in &inventory.infiniband {
            let generation = port
                .generation
                .as_deref()
                .or(port.link_layer.as_deref())
                .unwrap_or("unknown");
            let state = port.state.as_deref().unwrap_or("state unknown");
            context.note(format!(
                "InfiniBand: {} port {} ({generation}, {state})",
                port.device, port.port
            ));
        }
        for warning in inventory.warnings.iter().chain(&inventory.gpus.warnings) {
            context.warn(format!("{}: {}", warning.code, warning.message));
        }
        // An exporter that cannot be had is said here, while nothing is changed yet.
        if self.0.options.form == Form::Host {
            for extra in Extra::wanted(&self.0, context.host())? {
                let setup = extra.setup(&self.0, context.host())?;
                if setup.container.is_none() && !setup.answers(&self.0)? {
                    self.0
                        .component(context.host(), extra.component())
                        .map_err(|error| error.with_hint(CANNOT_BE_HAD))?;
                }
            }
        }
        context.note(format!("Address: {}", self.0.address()?));
        Ok(StepOutcome::AlreadySo)
    }
}
