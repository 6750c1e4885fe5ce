//! Step 5: the exporter of this machine's GPUs, where it has any, and those its operator asked for.

use std::sync::Arc;

use aami_install::{Effect, Host, Probe, Step, StepContext, StepError, Survey};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::exporter::Setup;
use super::super::extra::{Extra, Wish};
use super::super::session::Session;
use super::super::{Form, Purpose};
use super::{needs, preflight};

/// Step 5.
pub(super) struct InstallGpuExporter(pub(super) Arc<Session>);

impl InstallGpuExporter {
    /// Those that this step brings, and those that are here already without it.
    fn sorted(&self, survey: &Survey<'_>) -> Result<(Vec<Setup>, Vec<Setup>), StepError> {
        let session = &self.0;
        let (mut ours, mut elsewhere) = (Vec::new(), Vec::new());
        for extra in Extra::wanted(session, survey.host())? {
            let setup = extra.setup(session, survey.host())?;
            if extra.is_elsewhere(&setup, session, survey)? {
                elsewhere.push(setup);
            } else if session.options.form == Form::Host {
                ours.push(setup);
            }
        }
        Ok((ours, elsewhere))
    }

    /// That a stranger holds the port of one that does not run yet.
    fn port_is_free(&self, setup: &Setup, host: &Host) -> Result<(), StepError> {
        match preflight::stranger_on(&self.0, host, setup.port) {
            Some(stranger) => Err(StepError::new(
                code::PORT_IN_USE,
                format!(
                    "port {} is in use by {stranger}, and {} needs it",
                    setup.port, setup.component
                ),
            )),
            None => Ok(()),
        }
    }

    /// Why nothing is to be done here.
    fn nothing(&self, elsewhere: &[Setup]) -> String {
        if let Some(setup) = elsewhere.first() {
            let (name, port) = (&setup.component, setup.port);
            return format!("{name} already answers on port {port}; it is registered as it is");
        }
        match (&self.0.options.purpose, self.0.options.form) {
            (Purpose::Install, _) if self.0.options.skip_gpu => "skipped by --skip-gpu",
            (Purpose::Install, Form::Foreground) => {
                "GPU exporters need root and are not started in this form"
            }
            (Purpose::Install, Form::Host) => "this machine has no GPU",
            _ => "none was installed",
        }
        .to_owned()
    }
}

impl Step for InstallGpuExporter {
    fn id(&self) -> &str {
        "gpu_exporter"
    }

    fn title(&self) -> String {
        "Installing GPU exporter".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["validate_token", "detect_hardware"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let host = survey.host();
        let mut effects = Wish::effects(&self.0, host)?;
        for setup in self.sorted(survey)?.0 {
            for effect in setup.effects(&self.0, host)? {
                if !effects.iter().any(|known| known.key() == effect.key()) {
                    effects.push(effect);
                }
            }
        }
        Ok(effects)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let (ours, elsewhere) = self.sorted(survey)?;
        let desired = self.desired(survey)?;
        if desired.is_empty() {
            return Ok(Probe::NotApplicable(self.nothing(&elsewhere)));
        }
        let probe = survey.probe(&desired)?;
        if probe != Probe::Holds {
            return Ok(probe);
        }
        for setup in &ours {
            if !setup.answers(&self.0)? {
                let why = format!("{} is installed and does not answer", setup.component);
                return Ok(Probe::Missing(why));
            }
        }
        Ok(Probe::Holds)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let (ours, elsewhere) = self.sorted(&context.survey())?;
        for setup in &elsewhere {
            context.note(self.nothing(std::slice::from_ref(setup)));
        }
        for setup in &ours {
            self.port_is_free(setup, context.host())?;
        }
        let wish = Wish::effects(&self.0, context.host())?;
        let mut outcome = StepOutcome::AlreadySo;
        let mut note = |did: StepOutcome| {
            if did == StepOutcome::Changed {
                outcome = did;
            }
        };
        // A new one is wished for in later runs only once it is here: one that cannot be had would fail them all.
        let adds = self.0.options.purpose.adds();
        if !adds {
            note(context.perform(&wish)?);
        }
        for setup in &ours {
            note(setup.apply(&self.0, context)?);
        }
        if adds {
            note(context.perform(&wish)?);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
pub(super) mod tests;
