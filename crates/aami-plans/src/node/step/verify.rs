//! Step 8: does the control plane see the node, and reach its exporters?

use std::sync::Arc;
use std::time::Duration;

use aami_api::node::{Hop, Verified};
use aami_install::{Probe, Step, StepContext, StepError, Survey};
use aami_model::node_status::NodeStatus;
use aami_model::run::StepOutcome;
use aami_model::{NodeId, code};

use super::super::session::Session;
use super::super::{Form, Purpose, identity};
use super::needs;

/// How long the control plane is asked again before the hop that fails is the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause between two questions: each of them makes the control plane fetch the exporters.
const PAUSE: Duration = Duration::from_secs(2);

/// Step 8.
pub(super) struct Verify(pub(super) Arc<Session>);

impl Verify {
    fn node(&self, survey: &Survey<'_>) -> Option<NodeId> {
        if let Some(registered) = self.0.registered.get() {
            return Some(registered.node.id.clone());
        }
        super::super::register::node_on_record(&self.0, survey)
    }
}

impl Step for Verify {
    fn id(&self) -> &str {
        "verify"
    }

    fn title(&self) -> String {
        "Verifying registration".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["register"])
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let Some(plane) = self.0.plane() else {
            return Ok(Probe::NotApplicable(super::ALONE.to_owned()));
        };
        if self.0.options.purpose == Purpose::Install {
            return Ok(Probe::Missing(
                "the control plane is asked in every run".to_owned(),
            ));
        }
        let Some(node) = self.node(survey) else {
            return Ok(Probe::Missing("this machine is not enrolled".to_owned()));
        };
        let credential = identity::credential(survey.host(), &self.0.layout)?;
        let verified = plane.client.with_bearer(credential.reveal()).verify(&node);
        let verified = verified.map_err(|error| StepError::new(error.code(), error.to_string()))?;
        Ok(match failure(&self.0, &verified) {
            Some(error) => Probe::Missing(error.to_string()),
            None => Probe::Holds,
        })
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let missing = || {
            StepError::new(
                code::STEP_FAILED,
                "the registration left no node id; run again with --repair",
            )
        };
        let node = self.node(&context.survey()).ok_or_else(missing)?;
        let credential = identity::credential(context.host(), &self.0.layout)?;
        let client = self.0.asked()?.client.with_bearer(credential.reveal());
        let clock = &context.host().clock;
        let deadline = clock.elapsed() + PATIENCE;
        let verified = loop {
            let answer = client.verify(&node);
            let is_last = clock.elapsed() >= deadline;
            match answer {
                Ok(verified) if verified.verified || is_last => break verified,
                Err(error) if !error.is_passing() || is_last => {
                    return Err(StepError::new(error.code(), error.to_string()));
                }
                Ok(_) | Err(_) => {}
            }
            context.voice().check()?;
            clock.wait(PAUSE);
        };
        for probe in &verified.exporters {
            let line = format!("{}: {}", probe.url, probe.detail);
            if probe.ok {
                context.note(line)
            } else {
                context.warn(line)
            }
        }
        let failure = failure(&self.0, &verified);
        let status = verified.status;
        let _ = self.0.verified.set(verified);
        match failure {
            Some(error) => Err(error),
            None => {
                context.note(format!("Control plane confirms the node: {}", status.name()));
                Ok(StepOutcome::AlreadySo)
            }
        }
    }
}

/// That the node was retired meanwhile; else the first exporter that is not reached, with the hop and what to do
/// about it.
fn failure(session: &Session, verified: &Verified) -> Option<StepError> {
    if verified.status == NodeStatus::Inactive {
        let retired = code::NODE_DECOMMISSIONED;
        return Some(StepError::new(retired, retired.sentence));
    }
    let failed = verified.exporters.iter().find(|probe| !probe.ok)?;
    let hint = match failed.hop {
        Some(Hop::Timeout | Hop::Refused) if session.options.form == Form::Host => {
            "It answers on this host, so a firewall on the way stops it: allow the port from the control plane."
        }
        Some(Hop::Route | Hop::AddressRefused) => {
            "Register the address the control plane reaches this node at, with --address."
        }
        _ => code::NOT_VERIFIED.hint,
    };
    let message = format!(
        "the control plane does not reach {}: {}",
        failed.url, failed.detail
    );
    Some(StepError::new(code::NOT_VERIFIED, message).with_hint(hint))
}
