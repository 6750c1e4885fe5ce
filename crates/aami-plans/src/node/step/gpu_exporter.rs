//! Step 5: the exporter of this machine's GPUs, where it has any.

use std::sync::Arc;

use aami_install::{Effect, Host, Probe, Step, StepContext, StepError, Survey};
use aami_inventory::gpu::Vendor;
use aami_model::exporter::ExporterKind;
use aami_model::run::StepOutcome;

use super::super::exporter::Setup;
use super::super::session::Session;
use super::super::{Form, Purpose};
use super::needs;

/// Step 5.
pub(super) struct InstallGpuExporter(pub(super) Arc<Session>);

/// The exporter that fits this machine's GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) enum Accelerator {
    /// NVIDIA's own.
    Dcgm,
    /// For GPUs of other vendors.
    AllSmi,
}

impl Accelerator {
    /// The one for this host; `None` without a GPU or under `--skip-gpu`.
    pub(in crate::node) fn of(session: &Session, host: &Host) -> Result<Option<Self>, StepError> {
        if session.options.skip_gpu {
            return Ok(None);
        }
        if session.options.purpose != Purpose::Install {
            let is_installed = |one: &Self| session.installed(host, one.component()).is_some();
            return Ok([Self::Dcgm, Self::AllSmi].into_iter().find(is_installed));
        }
        Ok(session.inventory()?.gpus.vendor().map(|vendor| match vendor {
            Vendor::Nvidia => Self::Dcgm,
            Vendor::Amd | Vendor::Intel => Self::AllSmi,
        }))
    }

    /// Its name in the catalogue.
    pub(in crate::node) const fn component(self) -> &'static str {
        match self {
            Self::Dcgm => "dcgm_exporter",
            Self::AllSmi => "all_smi",
        }
    }

    /// What it is registered as.
    pub(in crate::node) const fn kind(self) -> ExporterKind {
        match self {
            Self::Dcgm => ExporterKind::DcgmExporter,
            Self::AllSmi => ExporterKind::AllSmi,
        }
    }

    /// Where it serves.
    pub(in crate::node) const fn port(self) -> u16 {
        match self {
            Self::Dcgm => 9400,
            Self::AllSmi => 9401,
        }
    }

    /// How it is set up. Both need device nodes, and reading a GPU's state needs root with them.
    pub(in crate::node) fn setup(self, session: &Session, host: &Host) -> Result<Setup, StepError> {
        let port = self.port();
        let (program, unit, description, expected, arguments) = match self {
            Self::Dcgm => (
                "dcgm-exporter",
                "aami-dcgm-exporter.service",
                "NVIDIA dcgm-exporter, installed by AAMI",
                "DCGM_FI_",
                vec!["-a".to_owned(), session.listen(port)?],
            ),
            Self::AllSmi => (
                "all-smi",
                "aami-all-smi.service",
                "all-smi, installed by AAMI",
                "all_smi_",
                vec!["api".to_owned(), "--port".to_owned(), port.to_string()],
            ),
        };
        Ok(Setup {
            component: self.component(),
            program,
            unit,
            user: "root",
            description,
            devices: true,
            arguments,
            folders: Vec::new(),
            port,
            expected,
        }
        .or_installed(session, host))
    }

    /// Whether somebody else's installation of it answers already; then it is registered as it is.
    fn is_elsewhere(self, session: &Arc<Session>, survey: &Survey<'_>) -> Result<bool, StepError> {
        let setup = self.setup(session, survey.host())?;
        if !setup.answers(session)? {
            return Ok(false);
        }
        let ours = setup.effects(session, survey.host()).ok().and_then(|effects| {
            effects
                .iter()
                .find(|effect| matches!(effect, Effect::UnitState(_)))
                .map(Effect::key)
        });
        Ok(ours.is_none_or(|unit| survey.record(&unit).is_none()))
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
        let Some(accelerator) = Accelerator::of(&self.0, survey.host())? else {
            return Ok(Vec::new());
        };
        if self.0.options.form == Form::Foreground || accelerator.is_elsewhere(&self.0, survey)? {
            return Ok(Vec::new());
        }
        accelerator
            .setup(&self.0, survey.host())?
            .effects(&self.0, survey.host())
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.skip_gpu {
            return Ok(Probe::NotApplicable("skipped by --skip-gpu".to_owned()));
        }
        let Some(accelerator) = Accelerator::of(&self.0, survey.host())? else {
            let why = match self.0.options.purpose {
                Purpose::Install => "this machine has no GPU",
                Purpose::Look(_) => "none was installed",
            };
            return Ok(Probe::NotApplicable(why.to_owned()));
        };
        let (name, port) = (accelerator.component(), accelerator.port());
        if accelerator.is_elsewhere(&self.0, survey)? {
            let why = format!("{name} already answers on port {port}; it is registered as it is");
            return Ok(Probe::NotApplicable(why));
        }
        if self.0.options.form == Form::Foreground {
            let why = format!("{name} needs root and is not started in the foreground form");
            return Ok(Probe::NotApplicable(why));
        }
        let probe = survey.probe(&self.desired(survey)?)?;
        if probe == Probe::Holds && !accelerator.setup(&self.0, survey.host())?.answers(&self.0)? {
            return Ok(Probe::Missing("it is installed and does not answer".to_owned()));
        }
        Ok(probe)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        match Accelerator::of(&self.0, context.host())? {
            Some(accelerator) => accelerator
                .setup(&self.0, context.host())?
                .apply(&self.0, context),
            None => Ok(StepOutcome::NotApplicable),
        }
    }
}
