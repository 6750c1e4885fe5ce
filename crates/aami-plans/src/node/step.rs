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

use aami_install::Step;

use super::Form;
use super::session::Session;

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
    steps
}

fn needs(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
