//! A systemd unit of any type (service, timer, path, ...): enabled or not, running or not, and running
//! with what is installed now.

use super::{EffectError, Scene, Standing};
use crate::checkpoint::Act;
use crate::digest::{Digest, Hasher};
use crate::host::{Unit, Units};
use crate::path::HostPath;
use crate::receipt::{Before, Record, Recorded};
use crate::undo::Undone;

/// The state a unit shall have.
#[derive(Debug, Clone)]
pub struct UnitState {
    /// Its full name, `node_exporter.service`.
    pub unit: String,
    /// Whether it comes up at boot.
    pub enabled: bool,
    /// Whether it runs.
    pub running: bool,
    /// The files it runs with: its unit file, program and configuration. It is restarted when one of
    /// them is not what it was started with.
    pub inputs: Vec<HostPath>,
    /// Whether it is restarted although it runs with them: what it found out elsewhere is not so any more.
    pub anew: bool,
}

impl UnitState {
    /// A unit that runs now and after every boot, restarted when one of `inputs` changes.
    pub fn up(unit: impl Into<String>, inputs: impl IntoIterator<Item = HostPath>) -> Self {
        Self {
            unit: unit.into(),
            enabled: true,
            running: true,
            inputs: inputs.into_iter().collect(),
            anew: false,
        }
    }

    /// The same, restarted in this run where `anew` says so.
    #[must_use]
    pub fn restarted(mut self, anew: bool) -> Self {
        self.anew = anew;
        self
    }

    /// A unit that neither runs nor comes up at boot, e.g. one that holds a port of ours. That there is
    /// none is right too; taking it back starts it again where it ran.
    pub fn down(unit: impl Into<String>) -> Self {
        Self {
            unit: unit.into(),
            enabled: false,
            running: false,
            inputs: Vec::new(),
            anew: false,
        }
    }

    /// Whether it is wanted neither running nor at boot.
    const fn is_down(&self) -> bool {
        !self.enabled && !self.running
    }

    pub(super) fn detail(&self) -> String {
        let enabled = if self.enabled { "enabled" } else { "disabled" };
        format!("{enabled}, {}", if self.running { "running" } else { "stopped" })
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::UnitState {
            unit: self.unit.clone(),
            enabled: self.enabled,
            running: self.running,
            started_with: None,
            inputs: self.inputs.clone(),
        }
    }

    /// Its record, where it runs as it should and only something else about it is to be mended: it need not
    /// be started again. `changes` says whether a file it reads is about to change.
    pub(crate) fn foresee(&self, scene: Scene<'_>, changes: bool) -> Result<Option<Recorded>, EffectError> {
        let known = started_with(scene.record);
        if changes || self.anew || known.is_none() || self.inputs_now(scene)? != known {
            return Ok(None);
        }
        Ok(Some(Recorded::UnitState {
            unit: self.unit.clone(),
            enabled: self.enabled,
            running: self.running,
            started_with: known,
            inputs: self.inputs.clone(),
        }))
    }

    /// What the unit would run with if it were started now.
    fn inputs_now(&self, scene: Scene<'_>) -> Result<Option<Digest>, EffectError> {
        if self.inputs.is_empty() || !self.running {
            return Ok(None);
        }
        digest_of(scene, &self.inputs).map(Some)
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let unit = units(scene, &self.unit)?.show(&self.unit)?;
        let before = before(&unit);
        let because = if self.is_down() && (!unit.exists() || unit.is_masked()) && !unit.is_active() {
            return Ok(Standing::Holds);
        } else if !unit.exists() {
            return Ok(Standing::following("no such unit", before));
        } else if unit.is_masked() {
            "masked".to_owned()
        } else if self.enabled != unit.is_enabled() && !(self.enabled && comes_up_anyway(&unit)) {
            if unit.file_state.is_empty() {
                return Ok(Standing::following("its file is gone", before));
            }
            format!("is {}", unit.file_state)
        } else if self.running != unit.is_active() {
            format!("is {} ({})", unit.active_state, unit.sub_state)
        } else if unit.needs_reload {
            return Ok(Standing::following(
                "its file changed since it was loaded",
                before,
            ));
        } else if self.anew && self.running {
            return Ok(Standing::due("is to begin anew", before));
        } else if self.inputs_now(scene)? != started_with(scene.record)
            && !self.inputs.is_empty()
            && self.running
        {
            return Ok(Standing::following(
                "what it runs changed since it was started",
                before,
            ));
        } else {
            return Ok(Standing::Holds);
        };
        Ok(Standing::due(because, before))
    }

    /// The standing of a unit that holds now, when one of its inputs is about to change.
    pub(crate) fn due_with_its_inputs(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let unit = units(scene, &self.unit)?.show(&self.unit)?;
        Ok(Standing::following(
            "what it runs is about to change",
            before(&unit),
        ))
    }

    /// Brings the unit into its state and says what it was started with.
    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<Option<Digest>, EffectError> {
        let units = units(scene, &self.unit)?;
        let mut unit = units.show(&self.unit)?;
        let inputs = self.inputs_now(scene)?;
        // systemd says that it has to reload by the folders of drop-ins that it knows, and a new one is not among them.
        let is_unseen = inputs != started_with(scene.record) && self.inputs.iter().any(is_drop_in);
        if !unit.exists() || unit.needs_reload || is_unseen {
            self.act(scene, "daemon-reload", || units.reload())?;
            unit = units.show(&self.unit)?;
        }
        if unit.is_masked() && !self.is_down() {
            unit = self.unmask(scene)?;
        }
        if !unit.exists() && self.is_down() {
            return Ok(None);
        }
        if !unit.exists() {
            return Err(crate::host::UnitError::Missing {
                unit: self.unit.clone(),
            }
            .into());
        }
        if self.enabled != unit.is_enabled() && !(self.enabled && comes_up_anyway(&unit)) {
            let verb = if self.enabled { "enable" } else { "disable" };
            self.act(scene, verb, || units.enable(&self.unit, self.enabled))?;
        }
        match (self.running, unit.is_active()) {
            (true, true) if self.anew || inputs != started_with(scene.record) => {
                self.act(scene, "restart", || units.restart(&self.unit))?;
            }
            (true, false) => self.act(scene, "start", || units.start(&self.unit))?,
            (false, true) => self.act(scene, "stop", || units.stop(&self.unit))?,
            _ => {}
        }
        Ok(inputs)
    }

    /// Lets a unit run that somebody masked since we first set it. One that was masked before is so by its
    /// operator's wish.
    fn unmask(&self, scene: Scene<'_>) -> Result<Unit, EffectError> {
        let units = units(scene, &self.unit)?;
        let ours = scene
            .record
            .is_some_and(|record| matches!(record.before, Before::Unit { masked: false, .. }));
        // Where a file of ours was put back in the place of the mask, the manager has only to see it.
        self.act(scene, "daemon-reload", || units.reload())?;
        let unit = units.show(&self.unit)?;
        if !unit.is_masked() {
            return Ok(unit);
        }
        if !ours {
            return Err(crate::host::UnitError::Masked {
                unit: self.unit.clone(),
            }
            .into());
        }
        self.act(scene, "unmask", || units.unmask(&self.unit))?;
        Ok(units.show(&self.unit)?)
    }

    fn act(
        &self,
        scene: Scene<'_>,
        verb: &str,
        run: impl FnOnce() -> Result<(), crate::host::UnitError>,
    ) -> Result<(), EffectError> {
        act(scene, verb, &self.unit, run)
    }
}

/// One digest of what all of `files` hold.
pub(super) fn digest_of(scene: Scene<'_>, files: &[HostPath]) -> Result<Digest, EffectError> {
    let mut all = Hasher::default();
    for path in files {
        let digest = scene.host.root.digest(path)?;
        let digest = digest.map_or("-".to_owned(), |digest| digest.to_string());
        all.update(format!("{path} {digest}\n").as_bytes());
    }
    Ok(all.finish())
}

/// Units that cannot be enabled because something else brings them up.
fn comes_up_anyway(unit: &Unit) -> bool {
    matches!(
        unit.file_state.as_str(),
        "static" | "indirect" | "generated" | "transient"
    )
}

fn started_with(record: Option<&Record>) -> Option<Digest> {
    match record.map(|record| &record.effect) {
        Some(Recorded::UnitState { started_with, .. }) => *started_with,
        _ => None,
    }
}

fn before(unit: &Unit) -> Before {
    Before::Unit {
        existed: unit.exists(),
        enabled: unit.is_enabled(),
        active: unit.is_active(),
        masked: unit.is_masked(),
    }
}

fn units<'a>(scene: Scene<'a>, unit: &str) -> Result<&'a dyn Units, EffectError> {
    scene
        .host
        .units
        .as_deref()
        .ok_or_else(|| EffectError::NoServiceManager {
            unit: unit.to_owned(),
        })
}

fn act(
    scene: Scene<'_>,
    verb: &str,
    unit: &str,
    run: impl FnOnce() -> Result<(), crate::host::UnitError>,
) -> Result<(), EffectError> {
    let what = format!("systemctl {verb} {unit}");
    if let Err(source) = scene.host.root.checkpoint(Act::Command, &what) {
        return Err(EffectError::Cut { what, source });
    }
    Ok(run()?)
}

/// Whether a file at `path` is one the service manager loads.
pub(crate) fn is_unit_file(path: &HostPath) -> bool {
    [
        "/etc/systemd/",
        "/run/systemd/",
        "/usr/lib/systemd/",
        "/lib/systemd/",
        "/usr/local/lib/systemd/",
    ]
    .iter()
    .any(|folder| path.as_str().starts_with(folder))
}

/// Whether a file adds to a unit: `docker.service.d/proxy.conf`.
fn is_drop_in(path: &HostPath) -> bool {
    is_unit_file(path) && path.as_str().ends_with(".conf") && path.as_str().contains(".d/")
}

/// Tells the service manager that unit files changed, where there is one.
pub(crate) fn reload(scene: Scene<'_>) -> Result<(), EffectError> {
    match scene.host.units.as_deref() {
        Some(units) => act(scene, "daemon-reload", "", || units.reload()),
        None => Ok(()),
    }
}

/// Gives a unit the state it had before. Called for units that ran before only when all files are
/// as they were, so that they run with those.
pub(super) fn undo(scene: Scene<'_>, name: &str, before: &Before) -> Result<Undone, EffectError> {
    let units = units(scene, name)?;
    let unit = units.show(name)?;
    let (was_enabled, was_active) = match before {
        Before::Unit { enabled, active, .. } => (*enabled, *active),
        _ => (false, false),
    };
    if !was_active && (unit.is_active() || unit.active_state == "activating") {
        act(scene, "stop", name, || units.stop(name))?;
    }
    if unit.exists() && unit.is_enabled() != was_enabled && !comes_up_anyway(&unit) {
        let verb = if was_enabled { "enable" } else { "disable" };
        act(scene, verb, name, || units.enable(name, was_enabled))?;
    }
    if was_active && unit.exists() {
        act(scene, "restart", name, || units.restart(name))?;
    }
    if !was_active && unit.has_failed() {
        act(scene, "reset-failed", name, || units.forget_failure(name))?;
    }
    Ok(if matches!(before, Before::Unit { existed: true, .. }) {
        Undone::Restored
    } else {
        Undone::Gone
    })
}
