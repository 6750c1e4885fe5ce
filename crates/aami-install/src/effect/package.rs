//! Packages of the distribution: installed as the package manager's own simulation says, taken back
//! exactly as far as this effect added them.
//!
//! What an installation adds (dependencies included) is asked before it happens and recorded; an
//! installation that would remove something is refused. Taking back asks again: a package that
//! something else needs by now stays, and is reported.

mod apt;
mod harm;
mod rpm;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::code;
use serde::{Deserialize, Serialize};

pub(crate) use undo::needed;
pub(super) use undo::undo;

use super::tool::{is_there, patient};
use super::{EffectError, Scene, Standing};
use crate::host::Host;
use crate::receipt::{Before, Recorded};
use crate::step::{StepError, Voice};

/// A set of packages that shall be installed, in whichever version the host's repositories give.
#[derive(Debug, Clone)]
pub struct PackageSet {
    /// What they are for, e.g. `prerequisites`; names the set in the receipt.
    pub name: String,
    /// Their names in this distribution. See [`packaging`] for which one that is.
    pub packages: Vec<String>,
    /// How long another package manager at work is waited for.
    pub patience: Duration,
    /// How long the installation itself may take, downloads included.
    pub deadline: Duration,
}

/// Which family of package manager a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packaging {
    /// dpkg and apt: Debian, Ubuntu.
    Apt,
    /// rpm and dnf: Fedora, RHEL 8 and later and its kin, Amazon Linux 2023.
    Dnf,
    /// rpm and yum, where dnf is missing.
    Yum,
}

/// The package manager of `host`; `None` where it has none that is known here.
pub fn packaging(host: &Host) -> Result<Option<Packaging>, EffectError> {
    for (program, packaging) in [
        ("apt-get", Packaging::Apt),
        ("dnf", Packaging::Dnf),
        ("yum", Packaging::Yum),
    ] {
        if is_there(host, program)? {
            return Ok(Some(packaging));
        }
    }
    Ok(None)
}

/// How a package stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Installed,
    /// Removed, but its configuration is still there.
    Configuration,
    /// Unpacked, half configured or the like: something was cut off.
    Broken,
    Absent,
}

/// What an installation would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Forecast {
    /// New packages.
    pub(super) added: Vec<String>,
    /// Packages that are there and become another version.
    pub(super) upgraded: Vec<String>,
}

/// A package manager.
pub(super) trait Packages {
    /// How each of `names` stands.
    fn states(&self, host: &Host, names: &[String]) -> Result<BTreeMap<String, State>, EffectError>;
    /// Asks what installing `names` would do. `offline` fetches nothing.
    fn forecast(&self, host: &Host, names: &[String], offline: bool) -> Result<Forecast, EffectError>;
    /// Fetches the lists of the repositories.
    fn refresh(&self, host: &Host, deadline: Duration) -> Result<(), EffectError>;
    /// Finishes what an installation of ours that was cut off left half done.
    fn finish(&self, host: &Host, deadline: Duration) -> Result<(), EffectError>;
    /// Installs.
    fn install(&self, host: &Host, names: &[String], deadline: Duration) -> Result<(), EffectError>;
    /// Whether removing `names` would remove nothing else; what, if so.
    fn needed_by(&self, host: &Host, names: &[String]) -> Result<Option<String>, EffectError>;
    /// Removes exactly `names`, with their configuration but for those in `keep` and those whose own scripts
    /// would remove more than that; answers the latter.
    fn remove(
        &self,
        host: &Host,
        names: &[String],
        keep: &[String],
        deadline: Duration,
    ) -> Result<Vec<String>, EffectError>;
}

pub(super) fn of(packaging: Packaging) -> Box<dyn Packages> {
    match packaging {
        Packaging::Apt => Box::new(apt::Apt),
        Packaging::Dnf => Box::new(rpm::Rpm { front: "dnf" }),
        Packaging::Yum => Box::new(rpm::Rpm { front: "yum" }),
    }
}

impl PackageSet {
    /// These packages; two minutes of patience with another package manager, fifteen for the work.
    pub fn new<S: Into<String>>(name: impl Into<String>, packages: impl IntoIterator<Item = S>) -> Self {
        let mut packages: Vec<String> = packages.into_iter().map(Into::into).collect();
        packages.sort();
        packages.dedup();
        Self {
            name: name.into(),
            packages,
            patience: Duration::from_secs(120),
            deadline: Duration::from_secs(900),
        }
    }

    /// With another patience for the package manager's lock.
    #[must_use]
    pub const fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// With another deadline for the work itself.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) fn detail(&self) -> String {
        self.packages.join(" ")
    }

    /// The record where nothing has to be installed: another plan's packages, shared.
    pub(super) fn record(&self) -> Recorded {
        Recorded::PackageSet {
            name: self.name.clone(),
            packaging: None,
            wanted: self.packages.clone(),
            added: Vec::new(),
            upgraded: Vec::new(),
            had_configuration: Vec::new(),
        }
    }

    fn packaging(&self, host: &Host) -> Result<Packaging, EffectError> {
        if let Some(bad) = self.packages.iter().find(|name| !is_name(name)) {
            return Err(EffectError::Refused {
                code: code::INVALID,
                what: format!("the package set {}", self.name),
                complaint: format!("{bad:?} cannot be the name of a package"),
            });
        }
        packaging(host)?.ok_or_else(|| EffectError::Refused {
            code: code::TOOL_MISSING,
            what: format!("the packages {}", self.detail()),
            complaint: "neither apt-get nor dnf nor yum is on this host".into(),
        })
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let manager = of(self.packaging(scene.host)?);
        let states = manager.states(scene.host, &self.packages)?;
        let (missing, broken) = due(&self.packages, &states);
        if missing.is_empty() && broken.is_empty() {
            return Ok(Standing::Holds);
        }
        let mut because = Vec::new();
        if !broken.is_empty() {
            because.push(format!("half installed: {}", broken.join(" ")));
        }
        if !missing.is_empty() {
            because.push(format!("missing: {}", missing.join(" ")));
            // Best effort: the lists may be old, and a look fetches nothing.
            if let Ok(forecast) = manager.forecast(scene.host, &missing, true) {
                let besides = |all: &[String]| -> Vec<String> {
                    let others = all.iter().filter(|name| !missing.contains(name));
                    others.cloned().collect()
                };
                let (brings, changes) = (besides(&forecast.added), besides(&forecast.upgraded));
                if !brings.is_empty() {
                    because.push(format!("which brings {}", brings.join(" ")));
                }
                if !changes.is_empty() {
                    because.push(format!("upgrades {}", changes.join(" ")));
                }
            }
        }
        Ok(Standing::due(because.join(", "), Before::Absent))
    }

    /// Asks what installing would add, so that it can be recorded first. Fetches the repositories'
    /// lists when they do not know a package.
    pub(crate) fn foresee(&self, scene: Scene<'_>, voice: &Voice<'_>) -> Result<Recorded, StepError> {
        let host = scene.host;
        let packaging = self.packaging(host)?;
        let manager = of(packaging);
        let states = manager.states(host, &self.packages)?;
        let (missing, _) = due(&self.packages, &states);
        let busy = (code::PACKAGES_LOCKED, self.patience);
        let forecast = if missing.is_empty() {
            Forecast::default()
        } else {
            match patient(scene, Some(voice), busy, || {
                manager.forecast(host, &missing, false)
            }) {
                Err(StepError::Effect(error)) if error.code() == code::PACKAGE_UNKNOWN => {
                    voice.note("fetching the lists of the package repositories");
                    patient(scene, Some(voice), busy, || manager.refresh(host, self.deadline))?;
                    manager.forecast(host, &missing, false)?
                }
                asked => asked?,
            }
        };
        let states = manager.states(host, &forecast.added)?;
        let had = |name: &&String| states.get(*name) == Some(&State::Configuration);
        Ok(Recorded::PackageSet {
            name: self.name.clone(),
            packaging: Some(packaging),
            wanted: self.packages.clone(),
            had_configuration: forecast.added.iter().filter(had).cloned().collect(),
            added: forecast.added,
            upgraded: forecast.upgraded,
        })
    }

    pub(super) fn apply(&self, scene: Scene<'_>, voice: &Voice<'_>) -> Result<(), StepError> {
        let host = scene.host;
        let manager = of(self.packaging(host)?);
        let busy = (code::PACKAGES_LOCKED, self.patience);
        let ours = |name: &String| {
            scene.record.is_some_and(|record| {
                matches!(&record.effect, Recorded::PackageSet { added, wanted, .. }
                    if added.contains(name) || wanted.contains(name))
            })
        };
        let (_, broken) = due(&self.packages, &manager.states(host, &self.packages)?);
        if broken.iter().any(ours) {
            patient(scene, Some(voice), busy, || manager.finish(host, self.deadline))?;
        }
        let (mut missing, broken) = due(&self.packages, &manager.states(host, &self.packages)?);
        missing.extend(broken);
        if !missing.is_empty() {
            patient(scene, Some(voice), busy, || {
                manager.install(host, &missing, self.deadline)
            })?;
        }
        let (missing, broken) = due(&self.packages, &manager.states(host, &self.packages)?);
        if let Some(name) = missing.first().or(broken.first()) {
            return Err(EffectError::Refused {
                code: code::PACKAGES_FAILED,
                what: format!("the package {name}"),
                complaint: "the package manager ended well and it is not installed".into(),
            }
            .into());
        }
        Ok(())
    }
}

/// Those that are missing, and those that are half installed.
fn due(names: &[String], states: &BTreeMap<String, State>) -> (Vec<String>, Vec<String>) {
    let in_state = |wanted: &[State]| {
        let fits = |name: &&String| wanted.contains(states.get(*name).unwrap_or(&State::Absent));
        names.iter().filter(fits).cloned().collect()
    };
    (
        in_state(&[State::Absent, State::Configuration]),
        in_state(&[State::Broken]),
    )
}

/// Package names of both families, with an architecture (`libc6:i386`). A `-` in front would be an
/// option, one at the end a removal.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b':');
    (1..=128).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && !name.ends_with('-')
        && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_options_or_removals() {
        for name in ["", "-y", "bash-", "a b", "a;b", "../x", "a/b", "a=1"] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in [
            "g++",
            "libstdc++6",
            "libc6:i386",
            "python3.11",
            "NetworkManager",
            "a_b",
        ] {
            assert!(is_name(name), "{name:?}");
        }
    }
}
