//! Step 1: is everything there that the other steps need? Looks at all of it before it says no.

use std::sync::Arc;

use aami_install::{HostPath, Probe, Step, StepContext, StepError, Survey};
use aami_inventory::listener::Listener;
use aami_model::code::{self, Code};
use aami_model::run::StepOutcome;
use rustix::fs::StatVfsMountFlags;

use super::super::Purpose;
use super::super::part::Part;
use super::super::session::Session;
use super::super::wishes::Runtime;

/// Free space the programs and two weeks of a small fleet's data need, in bytes.
const SPACE: u64 = 1024 * 1024 * 1024;
/// Free inodes.
const INODES: u64 = 1000;

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

    fn probe(&self, _: &Survey<'_>) -> Result<Probe, StepError> {
        if self.0.options.purpose != Purpose::Install {
            return Ok(Probe::NotApplicable("looked at before an install".to_owned()));
        }
        if self.0.options.skip_preflight {
            return Ok(Probe::NotApplicable("skipped by --skip-preflight".to_owned()));
        }
        Ok(Probe::Missing("looked at in every run".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let mut findings = Vec::new();
        self.system(context, &mut findings);
        self.space(context, &mut findings);
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
    fn system(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let host = context.host();
        if host.root.is_system() && !rustix::process::geteuid().is_root() {
            findings.push((code::NOT_ROOT, code::NOT_ROOT.sentence.to_owned()));
        }
        let runtime = self.0.wishes().runtime;
        context.note(format!(
            "Runtime: {} ({})",
            runtime.name(),
            self.0.options.why_runtime
        ));
        if runtime == Runtime::Systemd && host.units.is_none() {
            let message = "systemd is not the running init (there is no /run/systemd/system)";
            findings.push((code::RUNTIME_MISSING, message.to_owned()));
        }
        for program in ["useradd", "groupadd"] {
            let is_there = ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|folder| {
                let path = HostPath::new(format!("{folder}/{program}"));
                path.is_ok_and(|path| host.root.outside(&path).exists())
            });
            if host.root.is_system() && !is_there {
                let message =
                    format!("the program {program} is not installed (package passwd or shadow-utils)");
                findings.push((code::TOOL_MISSING, message));
            }
        }
    }

    /// Space, on each mount that will be written.
    fn space(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let root = &context.host().root;
        let layout = &self.0.layout;
        for (place, runs) in [
            (&layout.install, true),
            (&layout.data, false),
            (&layout.configuration, false),
        ] {
            let mut path = root.outside(place);
            // What is not there yet will be made on the mount of the folder above it.
            while !path.exists() && path.pop() {}
            let Ok(mount) = rustix::fs::statvfs(&path) else {
                continue;
            };
            let free = mount.f_bavail.saturating_mul(mount.f_frsize);
            let least = if *place == layout.configuration {
                1 << 20
            } else {
                SPACE
            };
            if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
                findings.push((code::READ_ONLY, format!("{place} is on a read-only mount")));
            } else if free < least {
                let message = format!(
                    "{place} has {} MiB free, and {} are needed",
                    free >> 20,
                    least >> 20
                );
                findings.push((code::DISK_FULL, message));
            } else if mount.f_files > 0 && mount.f_favail < INODES {
                findings.push((
                    code::DISK_FULL,
                    format!("{place} has {} inodes free", mount.f_favail),
                ));
            }
            if runs && mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
                let message = format!("{place} is on a noexec mount, so no program there can run");
                findings.push((code::OS_UNSUPPORTED, message));
            }
        }
        if findings.is_empty() {
            context.note("Space: enough on every mount that is written");
        }
    }

    fn ports(&self, context: &StepContext<'_>, findings: &mut Vec<Finding>) {
        let session = &self.0;
        let wanted = Part::ALL.into_iter().filter(|part| session.wishes().wants(*part));
        let mut taken = false;
        for part in wanted {
            let port = session.wishes().port(part);
            let holders: Vec<Listener> = (session.options.listeners)(port);
            let stranger = holders.iter().find(|holder| !is_ours(holder, part));
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

/// Whether a listener is this part as it was installed: it runs in our unit, or in our container, whose
/// process carries the part's name.
fn is_ours(listener: &Listener, part: Part) -> bool {
    let in_unit = listener.unit.as_deref() == Some(part.unit());
    let in_container = listener
        .unit
        .as_deref()
        .is_some_and(|unit| unit.starts_with("docker-") && unit.ends_with(".scope"));
    in_unit || (in_container && listener.process.as_deref() == Some(part.programs()[0]))
}
