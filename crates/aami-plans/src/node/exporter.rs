//! Putting one exporter on a host and having it run, in either form.

mod container;
mod program;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aami_install::effect::{Placement, UnitState};
use aami_install::{Content, Effect, Host, HostPath, Mark, Owner, StepContext, StepError};
use aami_model::code;
use aami_model::run::StepOutcome;

pub(crate) use container::Container;
#[cfg(test)]
pub(crate) use container::Runtime;
use program::Program;

use super::foreground::Task;
use super::layout::real;
use super::session::Session;
use super::unit::{Hardening, Unit};
use super::{Form, doors, installed, local};
use crate::components::{Build, Component};
use crate::fetch::{origin, pinned_program};
use crate::place::{account, host_path, missing_parents};

/// How long an exporter may take from its start to its first metrics.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for one whose image may have to be fetched first: a few hundred megabytes.
const IMAGE_PATIENCE: Duration = Duration::from_secs(600);

/// One exporter, as a step wants it.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Its name in the catalogue.
    pub(crate) component: String,
    /// The program's name in the catalogue.
    pub(crate) program: String,
    /// Its unit, in the host form.
    pub(crate) unit: String,
    /// The user it runs as, in the host form; made where it does not exist.
    pub(crate) user: &'static str,
    /// For people.
    pub(crate) description: String,
    /// What its unit may do.
    pub(crate) hardening: Hardening,
    /// Whether its unit keeps it to this machine, for one that knows no address to listen at.
    pub(crate) is_local: bool,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Folders it needs, each parent before what lies in it.
    pub(crate) folders: Vec<HostPath>,
    /// Files it reads, and what they hold. They carry our mark in a comment.
    pub(crate) files: Vec<(HostPath, &'static str)>,
    /// Where it serves.
    pub(crate) port: u16,
    /// What stands in its metrics when they are its own.
    pub(crate) expected: &'static str,
    /// Where it runs in a container and not from a file.
    pub(crate) container: Option<Container>,
    /// Whether its port is opened in a firewall.
    pub(crate) door: Option<doors::Door>,
}

impl Setup {
    /// The same as it was installed, where that is what is looked at; else with its port open where this host
    /// has a firewall.
    pub(crate) fn settled(mut self, session: &Session, host: &Host) -> Result<Self, StepError> {
        match session.installed(host, &self.component) {
            Some(installed) => {
                self.port = installed.port;
                self.arguments = installed.arguments;
                self.container = self.container.or(installed.container);
                self.door = installed.door;
            }
            None => {
                let before = installed::read::<installed::Exporter>(host, &session.layout, &self.component);
                let before = before.and_then(|note| note.door);
                self.door = doors::needed(session, host, self.port, before.as_ref())?;
            }
        }
        Ok(self)
    }

    /// What the catalogue says of it: a component and its build, or the image that stands in.
    fn component(&self, session: &Session, host: &Host) -> Result<(Component, Option<Build>), StepError> {
        match &self.container {
            Some(container) => Ok((container.component(&self.component), None)),
            None => {
                let (component, build) = session.component(host, &self.component)?;
                Ok((component, Some(build)))
            }
        }
    }

    /// Everything that must hold on the host for it to run.
    pub(crate) fn effects(&self, session: &Arc<Session>, host: &Host) -> Result<Vec<Effect>, StepError> {
        let (component, build) = self.component(session, host)?;
        let is_host = session.options.form == Form::Host;
        let owner = is_host.then(Owner::root);
        let mut effects = Vec::new();
        if !is_host {
            // On the host itself what is installed is tracked beside it, and that folder is there by now.
            let missing = missing_parents(host, &session.layout.agent)?.into_iter();
            effects.extend(missing.map(|path| Effect::directory(path, 0o755, None)));
        }
        // First, and so taken back last: whatever happens to the rest, what was meant is known, and what is to go.
        let note = installed::Exporter {
            component: component.clone(),
            port: self.port,
            arguments: self.arguments.clone(),
            container: self.container.clone(),
            door: self.door.clone(),
        };
        effects.extend(installed::effects(
            &session.layout,
            &self.component,
            &note,
            owner.as_ref(),
        )?);
        if is_host && self.user != "root" {
            effects.extend(account(self.user)?);
        }
        let folder = path(
            &session.layout.programs,
            &format!("{}-{}", component.name, component.version),
        )?;
        if build.is_some() {
            for path in missing_parents(host, &session.layout.programs)?
                .iter()
                .chain([&session.layout.programs, &folder])
            {
                add(
                    &mut effects,
                    Effect::directory(path.clone(), 0o755, owner.clone()),
                );
            }
        }
        let logs = &session.layout.logs;
        for path in self.folders.iter().chain((!is_host).then_some(logs)) {
            add(
                &mut effects,
                Effect::directory(path.clone(), 0o755, owner.clone()),
            );
        }
        if !is_host {
            let log = path(logs, &format!("{}.log", self.component))?;
            let log = Placement::new(log, Content::bytes([]), 0o644, None).changing_in_use();
            effects.push(Effect::WriteFile(log));
        }
        let mut inputs = Vec::new();
        for (path, text) in &self.files {
            let placement = Placement::new(path.clone(), Content::bytes(text), 0o644, owner.clone());
            effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
            inputs.push(path.clone());
        }
        let program = path(&folder, &self.program)?;
        if let Some(build) = &build {
            effects.push(Effect::binary(
                program.clone(),
                self.content(session, host, &component, build)?,
                owner.clone(),
            ));
            inputs.push(program.clone());
        }
        if is_host {
            let unit_file = path(&host_path("/etc/systemd/system")?, &self.unit)?;
            let text = self.unit_text(&component, &program);
            let placement = Placement::new(unit_file.clone(), Content::bytes(text), 0o644, owner);
            effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
            inputs.insert(0, unit_file);
            effects.push(Effect::UnitState(UnitState::up(&self.unit, inputs)));
            effects.extend(self.door.iter().flat_map(doors::Door::effects));
        }
        Ok(effects)
    }

    fn unit_text(&self, component: &Component, program: &HostPath) -> String {
        let mounts: Vec<&HostPath> = self.files.iter().map(|(path, _)| path).collect();
        let run = self
            .container
            .as_ref()
            .map(|container| container.run(&self.component, &self.arguments, &mounts));
        Unit {
            description: &self.description,
            homepage: component.homepage.as_deref(),
            user: self.user,
            program: run.as_ref().map_or(program.as_str(), |run| run.program.as_str()),
            arguments: run.as_ref().map_or(&self.arguments, |run| &run.arguments),
            before: run.as_ref().map(|run| run.before.as_str()),
            hardening: run.as_ref().map_or(self.hardening, |run| run.hardening),
            is_local: self.is_local && run.is_none(),
        }
        .text()
    }

    fn content(
        &self,
        session: &Arc<Session>,
        host: &Host,
        component: &Component,
        build: &Build,
    ) -> Result<Content, StepError> {
        let fetch = Program {
            session: session.clone(),
            component: component.clone(),
            build: build.clone(),
            program: self.program.clone(),
            staging: real(host.root.path(), &session.layout.staging),
        };
        Ok(Content::fetched(
            origin(component, build),
            pinned_program(component, build),
            Arc::new(fetch),
        ))
    }

    /// Whether it answers with its own metrics now.
    pub(crate) fn answers(&self, session: &Session) -> Result<bool, StepError> {
        let address = session.near(self.port)?;
        Ok(local::metrics(address).is_ok_and(|text| text.contains(self.expected)))
    }

    /// Brings it about, and waits until it answers.
    pub(crate) fn apply(
        &self,
        session: &Arc<Session>,
        context: &mut StepContext<'_>,
    ) -> Result<StepOutcome, StepError> {
        let effects = self.effects(session, context.host())?;
        let mut outcome = context.perform(&effects)?;
        if let Some(foreground) = &session.options.foreground {
            self.start(session, context.host(), foreground)?;
            outcome = StepOutcome::Changed;
        }
        let address = session.near(self.port)?;
        let patience = self.patience();
        match local::wait_for(
            context.host().clock.as_ref(),
            context.voice(),
            address,
            self.expected,
            patience,
        )? {
            Ok(()) => {
                context.note(format!("{} answers at {}", self.component, shown(address)));
                if let Some(door) = &self.door {
                    context.note(door.said());
                }
                Ok(outcome)
            }
            Err(seen) => Err(self.silent(session, context.host(), &seen)),
        }
    }

    const fn patience(&self) -> Duration {
        if self.container.is_some() {
            IMAGE_PATIENCE
        } else {
            PATIENCE
        }
    }

    fn start(&self, session: &Session, host: &Host, foreground: &super::Foreground) -> Result<(), StepError> {
        let failed = |error: std::io::Error| {
            StepError::new(
                code::UNIT_FAILED,
                format!("{} cannot be started: {error}", self.component),
            )
        };
        let (component, _) = session.component(host, &self.component)?;
        let root = host.root.path();
        let logs = real(root, &session.layout.logs);
        let folder = real(root, &session.layout.programs);
        foreground
            .start(Task {
                name: self.component.clone(),
                program: folder
                    .join(format!("{}-{}", component.name, component.version))
                    .join(&self.program),
                arguments: self.arguments.clone(),
                log: logs.join(format!("{}.log", self.component)),
            })
            .map_err(failed)
    }

    fn silent(&self, session: &Session, host: &Host, seen: &str) -> StepError {
        let waited = self.patience().as_secs();
        let message = format!("{} did not answer within {waited} s: {seen}", self.component);
        let hint = match session.options.form {
            Form::Host => format!("Read its log with `journalctl -u {}`.", self.unit),
            Form::Foreground => {
                let logs = real(host.root.path(), &session.layout.logs);
                format!(
                    "Read its output in {}.",
                    logs.join(format!("{}.log", self.component)).display()
                )
            }
        };
        StepError::new(code::UNIT_FAILED, message).with_hint(hint)
    }
}

/// An address as it stands in a URL people can open.
pub(crate) fn shown(address: SocketAddr) -> String {
    format!("http://{address}/metrics")
}

/// Once is enough, where two places share a folder.
fn add(effects: &mut Vec<Effect>, effect: Effect) {
    if !effects.iter().any(|known| known.key() == effect.key()) {
        effects.push(effect);
    }
}

fn path(folder: &HostPath, name: &str) -> Result<HostPath, StepError> {
    folder
        .join(name)
        .map_err(|error| StepError::new(code::CATALOGUE_INVALID, error.to_string()))
}
