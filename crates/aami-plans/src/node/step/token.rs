//! Step 2: is the bootstrap token good, and for what? Opens the run that this one reports to.

use std::sync::Arc;

use aami_install::{Host, Probe, Step, StepContext, StepError, Survey};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::session::Session;
use super::super::{Purpose, register};
use super::needs;

/// Step 2.
pub(super) struct ValidateToken(pub(super) Arc<Session>);

impl ValidateToken {
    /// Where this host is enrolled, although it shall stand on its own: it would be one node of two fleets.
    fn elsewhere(&self, host: &Host) -> Option<String> {
        let is_alone = self.0.plane().is_none();
        register::last_told(host, &self.0.layout)
            .filter(|_| is_alone)?
            .server
    }
}

impl Step for ValidateToken {
    fn id(&self) -> &str {
        "validate_token"
    }

    fn title(&self) -> String {
        "Validating bootstrap token".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["preflight"])
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.purpose != Purpose::Install {
            return Ok(Probe::NotApplicable("asked before an install".to_owned()));
        }
        if let Some(server) = self.elsewhere(survey.host()) {
            return Ok(Probe::Missing(format!("this machine is enrolled with {server}")));
        }
        if self.0.plane().is_none() {
            return Ok(Probe::NotApplicable(super::ALONE.to_owned()));
        }
        if self.0.options.token.is_none() && self.0.is_enrolled(survey) {
            return Ok(Probe::NotApplicable(
                "this node is enrolled and speaks for itself".to_owned(),
            ));
        }
        Ok(Probe::Missing("asked in every run".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        if let Some(server) = self.elsewhere(context.host()) {
            let why = format!("this machine is enrolled with {server}, and cannot stand on its own as well");
            return Err(StepError::new(code::CONFLICT, why).with_hint(
                "Leave out --standalone to mend it as it is; `aami-agent uninstall` takes it out of that control plane first.",
            ));
        }
        let Some(token) = &self.0.options.token else {
            return Err(StepError::new(
                code::TOKEN_REQUIRED,
                code::TOKEN_REQUIRED.sentence,
            ));
        };
        let client = self.0.asked()?.client.with_bearer(token.reveal());
        // Validating opens a run, unless there is one already. An address that may not be registered is said now, while
        // nothing is changed.
        let answer = client.validate_at(self.0.address()?, self.0.options.run.is_none());
        let validated = match answer {
            Ok(answer) => answer.body,
            Err(error) if error.code() == code::ADDRESS_REFUSED && !self.0.is_enrolled(&context.survey()) => {
                return Err(StepError::new(error.code(), error.to_string()));
            }
            // A known node needs no token: its key is answered before a token's end and uses are judged.
            Err(error) if self.0.is_enrolled(&context.survey()) => {
                context.warn(format!(
                    "{error}; this node is enrolled already and goes on without it"
                ));
                return Ok(StepOutcome::AlreadySo);
            }
            // Its last use may have been this host's own, by a run that was cut off before the answer.
            Err(error)
                if self.0.may_be_enrolled(&context.survey())
                    && [code::TOKEN_EXHAUSTED, code::TOKEN_EXPIRED].contains(&error.code()) =>
            {
                context.warn(format!("{error}; this node may be enrolled already, and asks"));
                return Ok(StepOutcome::AlreadySo);
            }
            Err(error) => return Err(StepError::new(error.code(), error.to_string())),
        };
        let uses = match validated.remaining {
            1 => "1 use".to_owned(),
            uses => format!("{uses} uses"),
        };
        context.note(format!("Token {} is valid, {uses} remaining", validated.name));
        if let Some(group) = &validated.group {
            context.note(format!("Default group: {group}"));
        }
        // Set once: a step is applied once in a run.
        let _ = self.0.validated.set(validated);
        Ok(StepOutcome::AlreadySo)
    }
}
