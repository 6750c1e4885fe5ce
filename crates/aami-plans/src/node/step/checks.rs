//! Step 6: the program that stays on the node, and checks.
//!
//! Checks are run by `aami-agent`, which this step leaves on the host; it is also what shows the node's
//! status and takes everything back. This version defines no checks: the folder that their results go to
//! is made with node_exporter, so results written there by hand are served.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use aami_install::{
    Content, Digest, Effect, Fetch, Host, Owner, Probe, Step, StepContext, StepError, Survey, Voice,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::exporter::{host_path, missing_parents};
use super::super::session::Session;
use super::super::{Form, installed};
use super::needs;

/// Where people's shells look for it.
const LINK: &str = "/usr/local/bin/aami-agent";

/// Step 6.
pub(super) struct Checks(pub(super) Arc<Session>);

impl Checks {
    fn effects(&self, host: &Host) -> Result<Vec<Effect>, StepError> {
        let Some(agent) = self.0.agent(host)? else {
            return Ok(Vec::new());
        };
        let owner = Some(Owner::root());
        let programs = &self.0.layout.programs;
        let name = format!("aami-agent-{}", agent.version);
        let folder = programs
            .join(&name)
            .map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
        let program = host_path(&format!("{folder}/aami-agent"))?;
        let link = host_path(LINK)?;
        let mut effects = Vec::new();
        effects.extend(installed::effects(
            &self.0.layout,
            "aami-agent",
            &agent,
            owner.as_ref(),
        )?);
        for path in missing_parents(host, programs)?
            .into_iter()
            .chain([programs.clone(), folder])
        {
            effects.push(Effect::directory(path, 0o755, owner.clone()));
        }
        for path in missing_parents(host, &link)? {
            effects.push(Effect::directory(path, 0o755, owner.clone()));
        }
        let sha256: Option<Digest> = agent.sha256.parse().ok();
        let origin = format!("aami-agent {}", agent.version);
        let content = Content::fetched(
            origin,
            sha256,
            Arc::new(Copy {
                program: self.0.options.agent.clone(),
            }),
        );
        effects.push(Effect::binary(program.clone(), content, owner));
        effects.push(Effect::link(link, program.as_str()));
        Ok(effects)
    }
}

impl Step for Checks {
    fn id(&self) -> &str {
        "checks"
    }

    fn title(&self) -> String {
        "Installing checks".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["node_exporter"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        match self.0.options.form {
            Form::Host => self.effects(survey.host()),
            Form::Foreground => Ok(Vec::new()),
        }
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let desired = self.desired(survey)?;
        if desired.is_empty() {
            let textfile = &self.0.layout.textfile;
            return Ok(Probe::NotApplicable(format!(
                "this version defines no checks; metrics placed in {textfile} are served by node_exporter"
            )));
        }
        survey.probe(&desired)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.desired(&context.survey())?)?;
        context.note(format!(
            "aami-agent, which runs checks, is at {LINK}; this version defines none"
        ));
        Ok(outcome)
    }
}

/// Copies the program that runs now.
struct Copy {
    program: Option<PathBuf>,
}

impl Fetch for Copy {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let failed = |error: std::io::Error| {
            StepError::new(
                code::STEP_FAILED,
                format!("this program's own file cannot be copied: {error}"),
            )
        };
        let program = self
            .program
            .as_ref()
            .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let mut file = std::fs::File::open(program).map_err(failed)?;
        std::io::copy(&mut file, into).map_err(failed)?;
        voice.check()
    }
}
