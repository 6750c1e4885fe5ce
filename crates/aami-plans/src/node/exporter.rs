//! Putting one exporter on a host and having it run, in either form.

use std::io::Write;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aami_install::effect::{CreateGroup, CreateUser, Placement, UnitState};
use aami_install::host::{Clock as _, SystemClock};
use aami_install::root::Entry;
use aami_install::{
    Content, Digest, Effect, Fetch, Host, HostPath, Mark, Owner, StepContext, StepError, Voice,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::foreground::Task;
use super::layout::real;
use super::session::Session;
use super::unit::Unit;
use super::{Form, installed, local};
use crate::components::{Archive, Build, Checksum, Component};
use crate::extract;
use crate::obtain;

/// How long an exporter may take from its start to its first metrics.
const PATIENCE: Duration = Duration::from_secs(20);

/// A download that takes no longer shows no progress.
const SHORT: Duration = Duration::from_secs(1);

/// One exporter, as a step wants it.
pub(crate) struct Setup {
    /// Its name in the catalogue.
    pub(crate) component: &'static str,
    /// The program's name in the catalogue.
    pub(crate) program: &'static str,
    /// Its unit, in the host form.
    pub(crate) unit: &'static str,
    /// The user it runs as, in the host form; made where it does not exist.
    pub(crate) user: &'static str,
    /// For people.
    pub(crate) description: &'static str,
    /// Whether it must reach device nodes.
    pub(crate) devices: bool,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Folders it needs, each parent before what lies in it.
    pub(crate) folders: Vec<HostPath>,
    /// Where it serves.
    pub(crate) port: u16,
    /// What stands in its metrics when they are its own.
    pub(crate) expected: &'static str,
}

impl Setup {
    /// The same as it was installed, where that is what is looked at.
    pub(crate) fn or_installed(mut self, session: &Session, host: &Host) -> Self {
        if let Some(installed) = session.installed(host, self.component) {
            self.port = installed.port;
            self.arguments = installed.arguments;
        }
        self
    }

    /// Everything that must hold on the host for it to run.
    pub(crate) fn effects(&self, session: &Arc<Session>, host: &Host) -> Result<Vec<Effect>, StepError> {
        let (component, build) = session.component(host, self.component)?;
        let is_host = session.options.form == Form::Host;
        let owner = is_host.then(Owner::root);
        let folder = session
            .layout
            .programs
            .join(&format!("{}-{}", component.name, component.version));
        let folder = folder.map_err(|error| StepError::new(code::CATALOGUE_INVALID, error.to_string()))?;
        let program = path(&folder, self.program)?;

        let mut effects = Vec::new();
        if is_host && self.user != "root" {
            effects.push(Effect::CreateGroup(CreateGroup::system(self.user)));
            let (home, shell) = (host_path("/nonexistent")?, host_path("/usr/sbin/nologin")?);
            effects.push(Effect::CreateUser(CreateUser::system(
                self.user, self.user, home, shell,
            )));
        }
        for path in missing_parents(host, &session.layout.programs)?
            .iter()
            .chain([&session.layout.programs, &folder])
        {
            effects.push(Effect::directory(path.clone(), 0o755, owner.clone()));
        }
        // Before the program: whatever happens to the rest, what was meant is known.
        let note = installed::Exporter {
            component: component.clone(),
            port: self.port,
            arguments: self.arguments.clone(),
        };
        effects.extend(installed::effects(
            &session.layout,
            self.component,
            &note,
            owner.as_ref(),
        )?);
        let logs = &session.layout.logs;
        let folders = self.folders.iter().chain((!is_host).then_some(logs));
        for path in folders {
            let folder = Effect::directory(path.clone(), 0o755, owner.clone());
            if !effects.iter().any(|known| known.key() == folder.key()) {
                effects.push(folder);
            }
        }
        if !is_host {
            let log = path(logs, &format!("{}.log", self.component))?;
            let log = Placement::new(log, Content::bytes([]), 0o644, None).changing_in_use();
            effects.push(Effect::WriteFile(log));
        }
        effects.push(Effect::binary(
            program.clone(),
            self.content(session, host, &component, &build)?,
            owner.clone(),
        ));
        if is_host {
            let unit_file = path(&host_path("/etc/systemd/system")?, self.unit)?;
            let text = Unit {
                description: self.description,
                homepage: component.homepage.as_deref(),
                user: self.user,
                program: program.as_str(),
                arguments: &self.arguments,
                devices: self.devices,
            }
            .text();
            let placement = Placement::new(unit_file.clone(), Content::bytes(text), 0o644, owner);
            effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
            effects.push(Effect::UnitState(UnitState::up(self.unit, [unit_file, program])));
        }
        Ok(effects)
    }

    fn content(
        &self,
        session: &Arc<Session>,
        host: &Host,
        component: &Component,
        build: &Build,
    ) -> Result<Content, StepError> {
        let origin = format!("{} {} ({})", component.name, component.version, build.file);
        // What is pinned is the file that is fetched; it is the program's own sum only without an archive.
        let sha256 = match (component.archive, &build.checksum) {
            (Archive::None, Checksum::Pinned(sum)) => sum.to_string().parse::<Digest>().ok(),
            _ => None,
        };
        let origin = match &build.checksum {
            Checksum::Pinned(sum) => format!("{origin}, sha256 {sum}"),
            Checksum::Published(list) => format!("{origin}, checksum from {list}"),
        };
        let fetch = Program {
            session: session.clone(),
            component: component.clone(),
            build: build.clone(),
            program: self.program,
            staging: real(host.root.path(), &session.layout.staging),
        };
        Ok(Content::fetched(origin, sha256, Arc::new(fetch)))
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
        match local::wait_for(
            context.host().clock.as_ref(),
            context.voice(),
            address,
            self.expected,
            PATIENCE,
        )? {
            Ok(()) => {
                context.note(format!("{} answers at {}", self.component, shown(address)));
                Ok(outcome)
            }
            Err(seen) => Err(self.silent(session, context.host(), &seen)),
        }
    }

    fn start(&self, session: &Session, host: &Host, foreground: &super::Foreground) -> Result<(), StepError> {
        let failed = |error: std::io::Error| {
            StepError::new(
                code::UNIT_FAILED,
                format!("{} cannot be started: {error}", self.component),
            )
        };
        let (component, _) = session.component(host, self.component)?;
        let root = host.root.path();
        let logs = real(root, &session.layout.logs);
        let folder = real(root, &session.layout.programs);
        foreground
            .start(Task {
                name: self.component.to_owned(),
                program: folder
                    .join(format!("{}-{}", component.name, component.version))
                    .join(self.program),
                arguments: self.arguments.clone(),
                log: logs.join(format!("{}.log", self.component)),
            })
            .map_err(failed)
    }

    fn silent(&self, session: &Session, host: &Host, seen: &str) -> StepError {
        let waited = PATIENCE.as_secs();
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

pub(crate) fn host_path(text: &str) -> Result<HostPath, StepError> {
    HostPath::new(text).map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}

fn path(folder: &HostPath, name: &str) -> Result<HostPath, StepError> {
    folder
        .join(name)
        .map_err(|error| StepError::new(code::CATALOGUE_INVALID, error.to_string()))
}

/// The folders above `path` that are not there. Those that are keep the mode they have.
pub(crate) fn missing_parents(host: &Host, path: &HostPath) -> Result<Vec<HostPath>, StepError> {
    let mut missing = Vec::new();
    let mut next = path.parent();
    while let Some(parent) = next {
        let entry = host
            .root
            .entry(&parent)
            .map_err(aami_install::EffectError::from)?;
        if entry != Entry::Absent {
            break;
        }
        next = parent.parent();
        missing.push(parent);
    }
    missing.reverse();
    Ok(missing)
}

/// Fetches a component's file, verifies it, and hands on the one program wanted out of it.
struct Program {
    session: Arc<Session>,
    component: Component,
    build: Build,
    program: &'static str,
    staging: std::path::PathBuf,
}

impl Fetch for Program {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let options = &self.session.options;
        let (component, build) = (&self.component, &self.build);
        let arch = self.session.inventory()?.arch;
        let inside = build.programs.get(self.program).ok_or_else(|| {
            let what = format!(
                "{} {} has no program {}",
                component.name, component.version, self.program
            );
            StepError::new(code::CATALOGUE_INVALID, what)
        })?;
        let title = format!("{} {}", component.name, component.version);
        let clock = SystemClock::new();
        let started = clock.elapsed();
        let mut progress = |done: u64, total: Option<u64>| {
            // What is here within a second needs no bar.
            let is_long = clock.elapsed() - started > SHORT;
            if let Some(total) = total.filter(|total| *total > 0 && is_long) {
                #[expect(clippy::cast_precision_loss, reason = "a fraction shown to people")]
                voice.progress(done as f64 / total as f64, &format!("downloading {title}"));
            }
            if voice.check().is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let obtained = obtain::obtain(
            &options.downloader,
            component,
            build,
            arch,
            &options.sources,
            &self.staging,
            &mut progress,
        );
        voice.check()?;
        let obtained = obtained.map_err(|error| StepError::new(error.code(), error.to_string()))?;
        if obtained.by_published_list {
            voice.warn(format!(
                "{title}: no checksum is pinned; the publisher's own list was used"
            ));
        }
        let program = extract::program(&obtained.verified, component.archive, inside, arch, &self.staging)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        voice.note(format!("{title} from {}, SHA-256 verified", obtained.origin));
        let unreadable =
            |error: std::io::Error| StepError::new(code::STEP_FAILED, format!("{title}: {error}"));
        let mut file = std::fs::File::open(program.path()).map_err(unreadable)?;
        std::io::copy(&mut file, into).map_err(unreadable)?;
        Ok(())
    }
}
