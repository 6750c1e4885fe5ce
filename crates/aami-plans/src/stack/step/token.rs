//! Step 6: the first bootstrap token, made by the control plane and kept in files of root's alone.

use std::io::Write;
use std::sync::Arc;

use aami_install::{
    Content, Effect, Fetch, HostPath, Owner, Probe, Step, StepContext, StepError, Survey, Voice,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::session::Session;
use super::needs;

/// Step 6.
pub(super) struct BootstrapToken(pub(super) Arc<Session>);

impl BootstrapToken {
    fn effects(&self) -> Vec<Effect> {
        if !self.0.wishes().control_plane {
            return Vec::new();
        }
        let layout = &self.0.layout;
        let file = |path: &HostPath, which| {
            let from = MakeToken {
                session: self.0.clone(),
                which,
            };
            let content = Content::fetched("made by the control plane", None, Arc::new(from));
            Effect::file(path.clone(), content, 0o600, Some(Owner::root()))
        };
        vec![
            file(&layout.token, Which::Token),
            file(&layout.one_line, Which::OneLine),
        ]
    }
}

impl Step for BootstrapToken {
    fn id(&self) -> &str {
        "bootstrap_token"
    }

    fn title(&self) -> String {
        "Creating bootstrap token".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["health_checks"])
    }

    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok(self.effects())
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if !self.0.wishes().control_plane {
            return Ok(Probe::NotApplicable(
                "there is no control plane to make one".to_owned(),
            ));
        }
        survey.probe(&self.effects())
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.effects())?;
        context.note(format!("Token created, in {}", self.0.layout.token));
        Ok(outcome)
    }
}

#[derive(Clone, Copy)]
enum Which {
    Token,
    OneLine,
}

struct MakeToken {
    session: Arc<Session>,
    which: Which,
}

impl Fetch for MakeToken {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let options = &self.session.options;
        let made = self
            .session
            .first_token(|| options.control_plane.token(options.token))?;
        let text = match self.which {
            Which::Token => &made.token,
            Which::OneLine => &made.one_line,
        };
        write_line(into, text)?;
        voice.check()
    }
}

/// One line into a staging file, which only root can read.
pub(super) fn write_line(into: &mut dyn Write, text: &str) -> Result<(), StepError> {
    writeln!(into, "{text}").map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}
