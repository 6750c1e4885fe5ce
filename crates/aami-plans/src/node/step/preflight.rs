//! Step 1: is everything there that the other steps need? Looks at all of it before it says no.

use std::sync::Arc;
use std::time::Duration;

use aami_install::effect::UnitState;
use aami_install::{Effect, Host, HostPath, Probe, Step, StepContext, StepError, Survey};
use aami_inventory::SystemCommands;
use aami_inventory::listener::Listener;
use aami_model::code::{self, Code};
use aami_model::run::StepOutcome;
use rustix::fs::StatVfsMountFlags;

use super::super::extra::Extra;
use super::super::layout::real;
use super::super::session::Session;
use super::super::{Form, Purpose, doors, local};
use super::node_exporter;
use crate::preflight::first_step;
use crate::units;

/// The oldest systemd whose units do what ours say.
const OLDEST_SYSTEMD: u32 = 239;
/// Free space a node needs, in bytes: two versions of two exporters, and room to download one.
const SPACE: u64 = 200 * 1024 * 1024;
/// Free inodes.
const INODES: u64 = 1000;
/// A clock further off than this is worth a warning.
const SKEW: Duration = Duration::from_secs(30);

/// Units of ours whose listeners may run out of an image and not out of our folder.
const OTHER_UNITS: [&str; 2] = [units::DCGM_EXPORTER, units::ALL_SMI];

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

    fn probe(&self, _survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.purpose != Purpose::Install {
            return Ok(Probe::NotApplicable("looked at before an install".to_owned()));
        }
        if self.0.options.skip_preflight {
            return Ok(Probe::NotApplicable("skipped by --skip-preflight".to_owned()));
        }
        Ok(Probe::Missing("looked at in every run".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let host = context.host();
        let mut findings = Vec::new();
        self.system(context, &mut findings)?;
        self.space(host, &mut findings);
        self.port(context, &mut findings)?;
        self.other_ports(context, &mut findings)?;
        self.network(context, &mut findings);
        self.machine(context, &mut findings)?;
        if let Some(firewall) = doors::at_work(&self.0, host)? {
            let name = firewall.name();
            if self.0.plane().is_none() && self.0.options.scrape_from.is_empty() {
                context.warn(format!(
                    "Firewall: {name} is active, and nobody said who scrapes this node; no port is opened that is not \
                     open already (--scrape-from ADDRESS opens them)"
                ));
            } else {
                context.note(format!(
                    "Firewall: {name} is active; exporters' ports are opened in it"
                ));
            }
            // That nobody knows for whom is said before anything is changed.
            if !node_exporter::is_adopted(&self.0, &context.survey())?
                && let Err(error) = node_exporter::door(&self.0, host)
            {
                findings.push((error.code(), error.to_string()));
            }
        }
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
    fn system(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) -> Result<(), StepError> {
        let inventory = self.0.inventory()?;
        let info = inventory.system_info();
        let (system, arch) = (&inventory.system, inventory.arch.name());
        context.note(format!(
            "System: {}, {arch}, {} cores, {} GB RAM",
            system.os_name, info.cpu_cores, info.memory_gb
        ));
        if self.0.options.form == Form::Foreground {
            return Ok(());
        }
        if !rustix::process::geteuid().is_root() {
            findings.push((code::NOT_ROOT, code::NOT_ROOT.sentence.to_owned()));
        }
        match system.systemd {
            Some(version) if version >= OLDEST_SYSTEMD => {}
            Some(version) => {
                let message = format!("systemd is {version}, and {OLDEST_SYSTEMD} is the oldest that works");
                findings.push((code::OS_UNSUPPORTED, message));
            }
            None => {
                let message = "systemd is not the running init (there is no /run/systemd/system)".to_owned();
                findings.push((code::OS_UNSUPPORTED, message));
            }
        }
        for (program, package) in [
            ("useradd", "passwd or shadow-utils"),
            ("groupadd", "passwd or shadow-utils"),
        ] {
            let is_there = ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|folder| {
                let path = HostPath::new(format!("{folder}/{program}"));
                path.is_ok_and(|path| real(context.host().root.path(), &path).exists())
            });
            if !is_there {
                let message = format!("the program {program} is not installed (package {package})");
                findings.push((code::TOOL_MISSING, message));
            }
        }
        Ok(())
    }

    /// What `preflight` checks of the machine itself; what was said already is not said again.
    fn machine(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) -> Result<(), StepError> {
        let host = context.host();
        if self.0.options.form == Form::Foreground || !host.root.is_system() {
            return Ok(());
        }
        let commands = SystemCommands::default();
        let gpus = self.0.inventory()?.gpus.clone();
        // A unit of ours that somebody masked since is damage, and this run is what mends it.
        let unit = Effect::UnitState(UnitState::up(node_exporter::UNIT, [])).key();
        let is_installed = context.survey().record(&unit).is_some();
        for said in first_step::node(&commands, gpus, host.clock.now(), is_installed) {
            if findings.iter().any(|(code, _)| *code == said.code) {
                continue;
            }
            if said.is_fatal && !(is_installed && said.code == code::UNIT_BLOCKED) {
                findings.push((said.code, said.message));
            } else {
                context.warn(format!("{}: {}", said.code.symbol, said.message));
            }
        }
        Ok(())
    }

    /// Space, on each mount that will be written.
    fn space(&self, host: &Host, findings: &mut Vec<Finding>) {
        let places = match self.0.options.form {
            Form::Host => ["/opt", "/var/lib", "/etc/systemd/system"].as_slice(),
            Form::Foreground => &["/"],
        };
        for place in places {
            let Ok(path) = HostPath::new(*place) else { continue };
            let mut path = real(host.root.path(), &path);
            // What is not there yet will be made on the mount of the folder above it.
            while !path.exists() && path.pop() {}
            let Ok(mount) = rustix::fs::statvfs(&path) else {
                continue;
            };
            let free = mount.f_bavail.saturating_mul(mount.f_frsize);
            if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
                findings.push((code::READ_ONLY, format!("{place} is mounted read-only")));
            } else if free < SPACE {
                let message = format!(
                    "{place} has {} MiB free, and {} are needed",
                    free >> 20,
                    SPACE >> 20
                );
                findings.push((code::DISK_FULL, message));
            } else if mount.f_files > 0 && mount.f_favail < INODES {
                findings.push((
                    code::DISK_FULL,
                    format!("{place} has {} inodes free", mount.f_favail),
                ));
            }
            let holds_programs = *place == "/opt" || self.0.options.form == Form::Foreground;
            if holds_programs && mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
                let message = format!("{place} is mounted noexec, so no program there can run");
                findings.push((code::OS_UNSUPPORTED, message));
            }
        }
    }

    fn port(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) -> Result<(), StepError> {
        let port = self.0.port(context.host())?;
        let holders: Vec<Listener> = (self.0.options.listeners)(port);
        match stranger_on(&self.0, context.host(), port) {
            Some(stranger) if node_exporter::is_adopted(&self.0, &context.survey())? => {
                context.note(format!(
                    "Ports: {port} is held by {stranger}, which is registered as it is"
                ));
                let folder = &self.0.layout.textfile;
                context.warn(format!(
                    "what checks find is served by it only when it is started with --collector.textfile.directory={folder}"
                ));
            }
            Some(stranger) => {
                let near = self.0.near(port)?;
                let is_one = local::metrics(near).is_ok_and(|text| text.contains("node_exporter_build_info"));
                let way_out = if is_one {
                    "; it is a node_exporter: --adopt registers it as it is, --port puts ours beside it"
                } else {
                    ""
                };
                let message = format!("port {port} is in use by {stranger}{way_out}");
                findings.push((code::PORT_IN_USE, message));
            }
            None if holders.is_empty() && self.0.port_is_another(port) => {
                let usual = (self.0.options.listeners)(super::super::session::PORT);
                let holder = usual
                    .first()
                    .map_or_else(|| "another program".to_owned(), Listener::holder);
                context.warn(format!(
                    "Ports: 9100 is in use by {holder}; {port} is used instead"
                ));
            }
            None if holders.is_empty() => context.note(format!("Ports: {port} available")),
            None => context.note(format!("Ports: {port} is held by AAMI's own exporter")),
        }
        Ok(())
    }

    /// The ports of the exporters beside node_exporter.
    fn other_ports(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) -> Result<(), StepError> {
        if self.0.options.form == Form::Foreground {
            return Ok(());
        }
        if let Some(serves) = self.0.agent(context.host())?.and_then(|agent| agent.serves)
            && let Some(stranger) = stranger_on(&self.0, context.host(), serves.address.port())
        {
            let port = serves.address.port();
            let message = format!("port {port} is in use by {stranger}, and this node's agent needs it");
            findings.push((code::PORT_IN_USE, message));
        }
        for extra in Extra::wanted(&self.0, context.host())? {
            // One that cannot be had is said by the next step but one, with what to do about it.
            let setup = match extra.setup(&self.0, context.host()) {
                Ok(setup) => setup,
                Err(error) => {
                    if error.code() == code::SCRAPERS_UNKNOWN {
                        findings.push((error.code(), error.to_string()));
                    }
                    continue;
                }
            };
            let survey = context.survey();
            if let Some(stranger) = stranger_on(&self.0, context.host(), setup.port)
                && !extra.is_elsewhere(&setup, &self.0, &survey)?
            {
                let (port, name) = (setup.port, &setup.component);
                let message = format!("port {port} is in use by {stranger}, and {name} needs it");
                findings.push((code::PORT_IN_USE, message));
            }
        }
        Ok(())
    }

    fn network(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let Some(plane) = self.0.plane() else { return };
        let client = &plane.client;
        match client.health() {
            Ok(answer) => {
                context.note(format!("Network: control plane {} reachable", client.server()));
                if let Some(theirs) = answer.date {
                    let ours = context.host().clock.now();
                    let (ahead, skew) = match ours.since(theirs) {
                        Duration::ZERO => (false, theirs.since(ours)),
                        ahead => (true, ahead),
                    };
                    if skew > SKEW {
                        let side = if ahead { "ahead of" } else { "behind" };
                        let seconds = skew.as_secs();
                        context.warn(format!(
                            "{}: this machine's clock is {seconds} s {side} the control plane's; {}",
                            code::CLOCK_SKEW.symbol,
                            code::CLOCK_SKEW.hint
                        ));
                    }
                }
            }
            Err(error) => findings.push((error.code(), error.to_string())),
        }
    }
}

/// Who holds a port that an exporter of this plan needs, if that is anybody else.
pub(super) fn stranger_on(session: &Session, host: &Host, port: u16) -> Option<String> {
    let holders = (session.options.listeners)(port);
    let stranger = holders.iter().find(|holder| !is_ours(session, host, holder));
    stranger.map(Listener::holder)
}

/// Whether a listener is an exporter of this plan: it runs in our unit, or out of our folder. In the
/// foreground form nobody is: its exporters begin with this run.
fn is_ours(session: &Session, host: &Host, listener: &Listener) -> bool {
    if session.options.form == Form::Foreground {
        return false;
    }
    let in_unit = listener
        .unit
        .as_deref()
        .is_some_and(|unit| unit == node_exporter::UNIT || OTHER_UNITS.contains(&unit));
    let programs = real(host.root.path(), &session.layout.programs);
    let from_folder = listener.program.as_deref().is_some_and(|program| {
        // A program that was replaced while it runs is shown with " (deleted)" behind its name.
        std::path::Path::new(program.trim_end_matches(" (deleted)")).starts_with(&programs)
    });
    in_unit || from_folder
}
