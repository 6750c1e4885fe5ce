//! Step 5: each part is asked whether it is well.

use std::sync::Arc;

use aami_install::{Probe, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;

use super::super::health;
use super::super::session::Session;
use super::needs;

/// Step 5.
pub(super) struct HealthChecks(pub(super) Arc<Session>);

impl Step for HealthChecks {
    fn id(&self) -> &str {
        "health_checks"
    }

    fn title(&self) -> String {
        "Waiting for health checks".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["start_services"])
    }

    fn probe(&self, _: &Survey<'_>) -> Result<Probe, StepError> {
        for part in self.0.parts()? {
            if let Err(why) = health::is_well(&self.0, part) {
                return Ok(Probe::Missing(format!("{part} does not answer: {why}")));
            }
        }
        Ok(Probe::Holds)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        for part in self.0.parts()? {
            health::wait(&self.0, context.host(), context.voice(), part)?;
            context.note(format!("{part} answers at {}", self.0.wishes().near(part)));
        }
        Ok(StepOutcome::AlreadySo)
    }
}
