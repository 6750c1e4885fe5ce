//! Taking a package set back: exactly what it added, as far as nothing else needs it by now.

use std::time::Duration;

use aami_model::code;

use super::super::tool::patient;
use super::super::{EffectError, Scene};
use super::{Packages, Packaging, State, harm, of};
use crate::receipt::Recorded;
use crate::step::StepError;
use crate::undo::Undone;

/// How long removing may take, and how long another package manager is waited for.
const DEADLINE: Duration = Duration::from_secs(900);
const PATIENCE: Duration = Duration::from_secs(120);

/// Removes what `recorded` says was added.
pub(in crate::effect) fn undo(scene: Scene<'_>, recorded: &Recorded) -> Result<Undone, EffectError> {
    let Recorded::PackageSet {
        name,
        packaging: Some(packaging),
        added,
        upgraded,
        had_configuration,
        ..
    } = recorded
    else {
        return Ok(Undone::Gone);
    };
    let manager = of(*packaging);
    let states = manager.states(scene.host, added)?;
    let there: Vec<String> = added
        .iter()
        .filter(|package| match states.get(*package) {
            Some(State::Installed | State::Broken) => true,
            Some(State::Configuration) => !had_configuration.contains(*package),
            _ => false,
        })
        .cloned()
        .collect();
    let (mut engines, mut free) = (Vec::new(), Vec::new());
    for package in there {
        match harm::data_of(scene.host, &package, states.get(&package).copied())? {
            Some(folder) => engines.push(format!(
                "the package {package} stays, because {folder} holds containers, images or volumes of it"
            )),
            None => free.push(package),
        }
    }
    let (goes, needed) = removable(scene, manager.as_ref(), &free)?;
    let mut configured = Vec::new();
    if !goes.is_empty() {
        patient(scene, None, (code::PACKAGES_LOCKED, PATIENCE), || {
            configured = manager.remove(scene.host, &goes, had_configuration, DEADLINE)?;
            Ok(())
        })
        .map_err(plain)?;
    }
    let mut left = engines;
    left.extend(configured.into_iter().map(|package| {
        format!("the package {package} is removed and its configuration stays, because purging it removes data too")
    }));
    left.extend(
        needed
            .into_iter()
            .map(|(package, by)| format!("the package {package} is needed by {by} now")),
    );
    if !upgraded.is_empty() {
        left.push(format!(
            "packages that became newer for the set {name} stay so: {}",
            upgraded.join(" ")
        ));
    }
    Ok(if left.is_empty() {
        Undone::Gone
    } else {
        Undone::Left(left.join("; "))
    })
}

fn plain(error: StepError) -> EffectError {
    match error {
        StepError::Effect(error) => error,
        StepError::Failed(failure) => EffectError::Called(failure),
        StepError::Interrupted => EffectError::Cut {
            what: "remove packages".into(),
            source: std::io::ErrorKind::Interrupted.into(),
        },
    }
}

/// Those of `names` that cannot go while everything else stays.
pub(crate) fn needed(
    scene: Scene<'_>,
    packaging: Packaging,
    names: &[String],
) -> Result<Vec<String>, EffectError> {
    let manager = of(packaging);
    let states = manager.states(scene.host, names)?;
    let there: Vec<String> = names
        .iter()
        .filter(|name| states.get(*name) == Some(&State::Installed))
        .cloned()
        .collect();
    let (_, needed) = removable(scene, manager.as_ref(), &there)?;
    Ok(needed.into_iter().map(|(name, _)| name).collect())
}

type Needed = Vec<(String, String)>;

/// The largest part of `names` whose removal takes nothing else with it, and who needs the rest.
/// Mostly that is all of them, found with one question.
fn removable(
    scene: Scene<'_>,
    manager: &dyn Packages,
    names: &[String],
) -> Result<(Vec<String>, Needed), EffectError> {
    if names.is_empty() || manager.needed_by(scene.host, names)?.is_none() {
        return Ok((names.to_vec(), Vec::new()));
    }
    // What cannot go even together with all the others is taken out, until the rest can.
    let mut goes = names.to_vec();
    let mut needed = Vec::new();
    loop {
        // Removing one takes along what depends on it: all of that must be ours to remove.
        let mut stays = Vec::new();
        for name in &goes {
            let closed = together(scene, manager, name, &goes)?;
            if let Some(by) = closed {
                stays.push((name.clone(), by));
            }
        }
        if stays.is_empty() {
            break;
        }
        goes.retain(|name| !stays.iter().any(|(kept, _)| kept == name));
        needed.extend(stays);
    }
    // Each may go alone and yet not all: something needs either of two. Then one of them stays.
    while !goes.is_empty()
        && let Some(by) = manager.needed_by(scene.host, &goes)?
    {
        needed.extend(goes.pop().map(|name| (name, by)));
    }
    Ok((goes, needed))
}

/// Who, beside `all`, needs `name`.
fn together(
    scene: Scene<'_>,
    manager: &dyn Packages,
    name: &str,
    all: &[String],
) -> Result<Option<String>, EffectError> {
    let mut asked = vec![name.to_owned()];
    // One more of ours at a time, as the answers name them.
    loop {
        match manager.needed_by(scene.host, &asked)? {
            Some(by) => match all
                .iter()
                .find(|one| is_package(&by, one) && !asked.contains(one))
            {
                Some(ours) => asked.push(ours.clone()),
                None => return Ok(Some(by)),
            },
            None => return Ok(None),
        }
    }
}

/// Whether `who` (a name, or rpm's `name-version-release.arch`) is the package `name`.
fn is_package(who: &str, name: &str) -> bool {
    let version = |rest: &str| {
        rest.strip_prefix('-')
            .is_some_and(|rest| rest.matches('-').count() == 1)
    };
    who == name || who.strip_prefix(name).is_some_and(version)
}

#[cfg(test)]
mod tests {
    use super::is_package;

    #[test]
    fn rpm_names_a_package_with_its_version() {
        assert!(is_package("jq-1.6-15.el9.x86_64", "jq"));
        assert!(!is_package("jq-devel-1.6-15.el9.x86_64", "jq"));
        assert!(is_package("libjq1", "libjq1"));
    }
}
