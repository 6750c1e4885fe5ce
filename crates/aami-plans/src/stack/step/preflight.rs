//! Step 1: is everything there that the other steps need? Looks at all of it before it says no.

use std::sync::Arc;

use aami_install::host::{Command, Ended};
use aami_install::{Probe, Step, StepContext, StepError, Survey};
use aami_inventory::listener::Listener;
use aami_model::code::{self, Code};
use aami_model::run::StepOutcome;

use super::super::part::Part;
use super::super::session::Session;
use super::super::wishes::Note;
use super::super::wishes::Runtime;
use super::super::{Purpose, health};

/// Step 1.
pub(super) struct Preflight(pub(super) Arc<Session>);

/// Something that keeps the plan from working.
type Finding = (Code, String);

impl Step for Preflight {
    fn id(&self) -> &str {
        "preflight"
    }

    fn title(&self) -> String {
        "Running preflight checks".to_owned()
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.purpose != Purpose::Install {
            return Ok(Probe::NotApplicable("looked at before an install".to_owned()));
        }
        if self.0.options.skip_preflight {
            return Ok(Probe::NotApplicable("skipped by --skip-preflight".to_owned()));
        }
        if self.is_up(survey)? {
            return Ok(Probe::NotApplicable("everything runs already".to_owned()));
        }
        Ok(Probe::Missing("looked at before anything is changed".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let mut findings = Vec::new();
        self.runtime(context, &mut findings);
        self.machine(context, &mut findings);
        self.ports(context, &mut findings);
        context.voice().check()?;
        let mut findings = findings.into_iter();
        let Some((code, message)) = findings.next() else {
            return Ok(StepOutcome::AlreadySo);
        };
        for (other, message) in findings {
            context.warn(format!("{}: {message}", other.symbol));
        }
        Err(StepError::new(code, message))
    }
}

impl Preflight {
    /// Whether the server is installed as it is wanted, and well: then there is nothing to look at before.
    fn is_up(&self, survey: &Survey<'_>) -> Result<bool, StepError> {
        let session = &self.0;
        if Note::read(survey.host()).is_none_or(|note| note.wishes != *session.wishes()) {
            return Ok(false);
        }
        let parts = session.parts()?;
        Ok(parts
            .into_iter()
            .all(|part| health::is_well(session, part).is_ok()))
    }

    /// What the caller's own look at the machine found.
    fn machine(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let looked = (self.0.options.look_first)();
        for note in looked.notes {
            context.note(note);
        }
        for (code, message) in looked.warnings {
            context.warn(format!("{}: {message}", code.symbol));
        }
        findings.extend(looked.errors);
    }

    fn runtime(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let runtime = self.0.wishes().runtime;
        context.note(format!(
            "Runtime: {} ({})",
            runtime.name(),
            self.0.options.why_runtime
        ));
        if runtime == Runtime::Systemd && context.host().units.is_none() {
            let message = "systemd is not the running init (there is no /run/systemd/system)";
            findings.push((code::RUNTIME_MISSING, message.to_owned()));
        }
    }

    /// The id of the container a part runs in, where it does.
    fn container_of(&self, context: &StepContext<'_>, part: Part) -> Option<String> {
        if self.0.wishes().runtime != Runtime::Compose {
            return None;
        }
        let commands = context.host().commands.as_ref()?;
        let look = Command::look(["docker", "inspect", "--format={{.Id}}", part.container()]);
        let output = commands.run(&look).ok()?;
        (output.ended == Ended::Status(0)).then(|| output.text().trim().to_owned())
    }

    fn ports(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let session = &self.0;
        let wanted = Part::ALL.into_iter().filter(|part| session.wishes().wants(*part));
        let mut taken = false;
        for part in wanted {
            let port = session.wishes().port(part);
            let holders: Vec<Listener> = (session.options.listeners)(port);
            let container = self.container_of(context, part);
            let stranger = (holders.iter()).find(|holder| !is_ours(holder, part, container.as_deref()));
            if let Some(stranger) = stranger {
                taken = true;
                let message = format!("port {port}, for {part}, is in use by {}", stranger.holder());
                findings.push((code::PORT_IN_USE, message));
            }
        }
        if !taken {
            context.note("Ports: all available");
        }
    }
}

/// Whether a listener is this part as it was installed: it runs in our unit, or in our container. Of that one the
/// whole id is known, of the listener's its beginning.
fn is_ours(listener: &Listener, part: Part, container: Option<&str>) -> bool {
    let in_unit = listener.unit.as_deref() == Some(part.unit());
    let in_container = match (listener.container.as_deref(), container) {
        (Some(short), Some(whole)) => short.len() >= 12 && whole.starts_with(short),
        _ => false,
    };
    in_unit || in_container
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_unit_and_container_may_hold_the_port_and_nobody_else() {
        let id = "4f0c".repeat(16);
        let listener = |unit: Option<&str>, container: Option<&str>| Listener {
            address: "127.0.0.1:9090".parse().unwrap(),
            pid: Some(1),
            process: Some("prometheus".to_owned()),
            program: None,
            unit: unit.map(str::to_owned),
            container: container.map(str::to_owned),
        };
        for (unit, container, ours, expected) in [
            (Some("aami-prometheus.service"), None, None, true),
            (None, Some(&id[..12]), Some(id.as_str()), true),
            (None, Some("0123456789ab"), Some(id.as_str()), false),
            (None, Some(&id[..12]), None, false),
            (Some("prometheus.service"), None, Some(id.as_str()), false),
            (None, None, None, false),
        ] {
            let found = is_ours(&listener(unit, container), Part::Prometheus, ours);
            assert_eq!(found, expected, "{unit:?} {container:?} {ours:?}");
        }
    }
}
