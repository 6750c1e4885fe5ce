//! The steps, in their order. Each file is one of them: eight, and on a host the agent that stays connected.

mod agent;
mod checks;
mod gpu_exporter;
mod hardware;
mod node_exporter;
mod preflight;
mod register;
mod token;
mod verify;

use std::sync::Arc;

use aami_install::{Effect, Probe, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;

use super::session::Session;
use super::{Form, Purpose};

/// Why a step does not apply to a node without a control plane.
const ALONE: &str = "this node stands on its own, without a control plane";

/// All of them.
pub(super) fn all(session: &Arc<Session>) -> Vec<Box<dyn Step>> {
    let s = || session.clone();
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(preflight::Preflight(s())),
        Box::new(token::ValidateToken(s())),
        Box::new(hardware::DetectHardware(s())),
        Box::new(node_exporter::InstallNodeExporter(s())),
        Box::new(gpu_exporter::InstallGpuExporter(s())),
        Box::new(checks::Checks(s())),
        Box::new(register::Register(s())),
        Box::new(verify::Verify(s())),
    ];
    if session.options.form == Form::Host && !session.options.skip_agent {
        steps.push(Box::new(agent::Agent(s())));
    }
    if let Purpose::Update(_) = session.options.purpose {
        return vec![
            Box::new(Alone(checks::Checks(s()), Vec::new())),
            Box::new(Alone(agent::Agent(s()), needs(&["checks"]))),
        ];
    }
    steps
}

/// A step of a plan that leaves out others which it needs elsewhere: they hold since the install.
struct Alone<S>(S, Vec<String>);

impl<S: Step> Step for Alone<S> {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn title(&self) -> String {
        self.0.title()
    }

    fn needs(&self) -> Vec<String> {
        self.1.clone()
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        self.0.desired(survey)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        self.0.probe(survey)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        self.0.apply(context)
    }
}

fn needs(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
