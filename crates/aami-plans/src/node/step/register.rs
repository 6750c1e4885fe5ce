//! Step 7: the machine becomes a node. One without a control plane only notes what it is: its own daemon and checks
//! go by that, and it is told when the machine is enrolled one day.

use std::sync::Arc;

use aami_api::client::Trust;
use aami_install::effect::{Placement, Registration};
use aami_install::{Content, Effect, Host, Owner, Probe, Step, StepContext, StepError, Survey};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::plane::Plane;
use super::super::register::{self, Told};
use super::super::session::Session;
use super::super::{Form, Purpose, identity, installed};
use super::needs;

/// Step 7.
pub(super) struct Register(pub(super) Arc<Session>);

impl Register {
    fn owner(&self) -> Option<Owner> {
        (self.0.options.form == Form::Host).then(Owner::root)
    }

    /// The node's own key and credential, and whom it believes.
    fn identity(&self) -> Vec<Effect> {
        let (layout, owner) = (&self.0.layout, self.owner());
        let mut effects = Vec::new();
        // The folder above it is there by now: the exporter's step made it, or the plan's own memory.
        effects.push(installed::folder(layout, owner.as_ref()));
        let once = |path, make| Effect::file(path, make, 0o600, owner.clone());
        effects.push(once(layout.key.clone(), Content::once(identity::make_key)));
        effects.push(once(
            layout.credential.clone(),
            Content::once(identity::make_credential),
        ));
        if let Some(Trust::Only(pem)) = self.0.plane().map(|plane| &plane.trust) {
            let placement = Placement::new(layout.ca.clone(), Content::bytes(pem), 0o644, owner);
            effects.push(Effect::WriteFile(placement));
        }
        effects
    }

    /// Another key and credential in the place of those that the control plane has dropped: it may have done so because
    /// they are in other hands, and then takes them back from nobody.
    fn renewed(&self, host: &Host) -> Result<Vec<Effect>, StepError> {
        let (layout, owner) = (&self.0.layout, self.owner());
        let made = |made: std::io::Result<Vec<u8>>| {
            made.map_err(|error| {
                let why = format!("no key can be made on this host: {error}");
                StepError::new(code::STEP_FAILED, why)
            })
        };
        let key = made(identity::make_key(&*host.random))?;
        let credential = made(identity::make_credential(&*host.random))?;
        let file = |path, bytes: Vec<u8>| Effect::file(path, Content::bytes(bytes), 0o600, owner.clone());
        Ok(vec![
            file(layout.key.clone(), key),
            file(layout.credential.clone(), credential),
        ])
    }

    fn registration(&self, plane: &Plane) -> Effect {
        let session = self.0.clone();
        let (server, credential) = (plane.server().to_owned(), self.0.layout.credential.clone());
        Effect::Registration(Registration::new(server, credential, move |host, voice| {
            register::register(&session, host, voice, false)
        }))
    }

    /// What a node without a control plane has of this step.
    fn alone(&self, host: &Host) -> Result<Vec<Effect>, StepError> {
        let folder = installed::folder(&self.0.layout, self.owner().as_ref());
        Ok(vec![folder, self.told(host)?])
    }

    /// What the control plane was told, so that a later run sees whether there is news.
    fn told(&self, host: &Host) -> Result<Effect, StepError> {
        let told = Told::now(&self.0, host)?;
        if self.0.plane().is_none() {
            // Set once: it does not change while a run goes on.
            let _ = self.0.noted.set(told.clone());
        }
        let placement = Placement::new(
            self.0.layout.registration.clone(),
            Content::bytes(told.text()),
            0o600,
            self.owner(),
        );
        Ok(Effect::WriteFile(placement))
    }

    /// Whether the control plane has dropped this node's credential, as it does when an operator restores a node
    /// that was retired. A question that is not answered is no news.
    fn is_forgotten(&self, survey: &Survey<'_>) -> bool {
        let session = &self.0;
        let is_new = session.registered.get().is_some();
        if is_new || session.options.purpose != Purpose::Install || session.options.token.is_none() {
            return false;
        }
        let Some(node) = register::node_on_record(session, survey) else {
            return false;
        };
        let Ok(credential) = identity::credential(survey.host(), &session.layout) else {
            return false;
        };
        let Some(plane) = session.plane() else {
            return false;
        };
        let asked = plane.client.with_bearer(credential.reveal()).node(&node);
        asked.is_err_and(|error| error.code() == code::UNAUTHENTICATED)
    }
}

impl Step for Register {
    fn id(&self) -> &str {
        "register"
    }

    fn title(&self) -> String {
        match self.0.plane() {
            Some(_) => "Registering with the control plane",
            None => "Noting what this node is",
        }
        .to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["node_exporter", "gpu_exporter", "checks"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let Some(plane) = self.0.plane() else {
            return self.alone(survey.host());
        };
        let mut effects = self.identity();
        effects.push(self.registration(plane));
        effects.push(self.told(survey.host())?);
        Ok(effects)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.is_forgotten(survey) {
            return Ok(Probe::Missing(
                "the control plane has forgotten this node's key".to_owned(),
            ));
        }
        survey.probe(&self.desired(survey)?)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let host = context.host();
        let Some(plane) = self.0.plane() else {
            return context.perform(&self.alone(host)?);
        };
        let is_forgotten = self.is_forgotten(&context.survey());
        let is_news =
            is_forgotten || register::last_told(host, &self.0.layout) != Some(Told::now(&self.0, host)?);
        if is_forgotten {
            context.perform(&self.renewed(host)?)?;
        }
        let mut first = self.identity();
        first.push(self.registration(plane));
        let mut outcome = context.perform(&first)?;
        // Known already, but something about it changed: it is told again. The control plane answers
        // the same key with the same node.
        if self.0.registered.get().is_none() && is_news {
            let is_enrolled = self.0.is_enrolled(&context.survey());
            let node = register::register(&self.0, host, context.voice(), is_enrolled)?;
            // One that was purged there and enrols again is another node from now on.
            context.registered_as(plane.server(), &node)?;
            outcome = StepOutcome::Changed;
        }
        // Written last: until the control plane has it, it is news.
        let noted = context.perform(&[self.told(host)?])?;
        if let Some(registered) = self.0.registered.get() {
            let known = if registered.known { " (known before)" } else { "" };
            context.note(format!("Node registered: {}{known}", registered.node.id));
            let names: Vec<String> = registered
                .exporters
                .iter()
                .map(|view| view.exporter.name())
                .collect();
            context.note(format!("Exporters registered: {}", names.join(", ")));
        }
        Ok(if noted == StepOutcome::Changed {
            noted
        } else {
            outcome
        })
    }
}
