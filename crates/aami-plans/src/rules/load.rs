//! Prometheus told of its rules, and asked until it has them.

use std::path::Path;
use std::time::{Duration, Instant};

use aami_model::rule_file::RuleFile;

use super::judge::shown;
use super::{EngineError, LOADING, LoadedGroup, Reload, RulesError, Site};

/// How often it is asked meanwhile.
const OFTEN: Duration = Duration::from_millis(100);

/// What a Prometheus makes of being told to read its configuration.
pub(super) enum Told {
    /// It has read it.
    Read,
    /// It has read it, and cannot load it.
    Refused,
    /// It will.
    Asked,
    /// It is still starting, and listens to nobody.
    Starting,
}

/// Makes Prometheus read the folder, and waits until it has every rule. Answers those it cannot evaluate.
pub(super) fn load(site: &Site<'_>, earlier: Reload, files: &[RuleFile]) -> Result<Vec<String>, RulesError> {
    let prometheus = &site.prometheus;
    let refused = || {
        RulesError::NotLoaded(format!(
            "Prometheus at {} refuses its configuration with these rules",
            prometheus.url()
        ))
    };
    match told_to_reload(site) {
        Ok(Told::Read | Told::Asked) => {}
        Ok(Told::Refused) => return Err(refused()),
        Ok(Told::Starting) => return Err(RulesError::Starting(starting(site))),
        Err(why) => {
            let sentence = format!("Prometheus could not be told of the rules: {why}");
            return Err(RulesError::NotLoaded(sentence));
        }
    }
    let until = Instant::now() + LOADING;
    loop {
        let seen = match prometheus.reload() {
            Ok(now) => match read_since(earlier, now) {
                Some(false) => return Err(refused()),
                None => "it has not read its configuration again".to_owned(),
                Some(true) => {
                    match (prometheus.rules_alone()).map(|loaded| compared(&loaded, &site.folder, files)) {
                        Ok(Ok(failing)) => return Ok(failing),
                        Ok(Err(missing)) => format!("it has not loaded the rules of {missing}"),
                        Err(error) => error.to_string(),
                    }
                }
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(RulesError::NotLoaded(format!(
                "Prometheus at {} did not take the rules over within {} s: {seen}",
                prometheus.url(),
                LOADING.as_secs()
            )));
        }
        std::thread::sleep(OFTEN);
    }
}

/// By its own endpoint where that is open, else by its unit. Says why neither can be.
pub(super) fn told_to_reload(site: &Site<'_>) -> Result<Told, String> {
    let refused = match site.prometheus.read_again() {
        Ok(()) => return Ok(Told::Read),
        Err(EngineError::Refused { status: 500, .. }) => return Ok(Told::Refused),
        Err(error) if error.is_starting() => return Ok(Told::Starting),
        Err(error) => error.to_string(),
    };
    let Some(unit) = site.unit else {
        return Err(refused);
    };
    match site.commands.run("systemctl", &["reload", unit]) {
        Ok(output) if output.status == Some(0) => Ok(Told::Asked),
        Ok(output) => {
            let said = shown(&output.stderr);
            Err(format!("{refused}; `systemctl reload {unit}`: {said}"))
        }
        Err(error) => Err(format!("{refused}; {error}")),
    }
}

/// Whether a configuration that was read since went well; nothing where none was, as far as can be seen. One that
/// failed before and fails still looks like one that was not read again.
fn read_since(earlier: Reload, now: Reload) -> Option<bool> {
    if !now.went_well {
        return earlier.went_well.then_some(false);
    }
    (now.at > earlier.at || earlier.at <= 0.0 || !earlier.went_well).then_some(true)
}

/// What is said of a Prometheus that is still starting.
pub(super) fn starting(site: &Site<'_>) -> String {
    format!(
        "Prometheus at {} is still starting, and takes no rules over yet",
        site.prometheus.url()
    )
}

/// Whether a file that a Prometheus names is the one of this name in the folder. A Prometheus in a container may see the
/// folder by another path; one that leads to another file here is another file.
fn is_in(folder: &Path, name: &str, seen: &Path) -> bool {
    let own = folder.join(name);
    let is_own = || match seen.canonicalize() {
        Ok(seen) => own.canonicalize().is_ok_and(|own| own == seen),
        Err(_) => true,
    };
    seen == own || (seen.ends_with(name) && is_own())
}

/// The rules that cannot be evaluated, each with the reason; or the first group or alert that a Prometheus lacks.
pub(super) fn compared(
    loaded: &[LoadedGroup],
    folder: &Path,
    files: &[RuleFile],
) -> Result<Vec<String>, String> {
    let mut failing = Vec::new();
    for file in files {
        let ours: Vec<&LoadedGroup> = (loaded.iter())
            .filter(|group| {
                is_in(folder, &file.name, Path::new(&group.file)) && file.groups.contains(&group.name)
            })
            .collect();
        let missing = (file.groups.iter()).find(|name| !ours.iter().any(|group| group.name == **name));
        if let Some(name) = missing {
            return Err(name.clone());
        }
        let rules = || ours.iter().flat_map(|group| &group.rules);
        if let Some(alert) = (file.alerts.iter()).find(|alert| !rules().any(|rule| rule.name == **alert)) {
            return Err(alert.clone());
        }
        for rule in rules().filter(|rule| !rule.last_error.is_empty()) {
            failing.push(format!("{}: {}", rule.name, rule.last_error));
        }
    }
    Ok(failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(file: &str, alert: &str, last_error: &str) -> LoadedGroup {
        let rule = serde_json::json!({"name": alert, "lastError": last_error});
        serde_json::from_value(serde_json::json!({"name": "aami", "file": file, "rules": [rule]})).unwrap()
    }

    #[test]
    fn a_rule_of_another_file_is_not_ours_and_one_that_cannot_be_evaluated_is_named() {
        let ours = [RuleFile {
            name: "aami-a.yaml".to_owned(),
            text: String::new(),
            groups: vec!["aami".to_owned()],
            alerts: vec!["GPULost".to_owned()],
        }];
        let elsewhere = [
            group("/r/other.yaml", "GPULost", ""),
            group("/r/aami-a.yaml", "Old", ""),
        ];
        let compared = |loaded: &[LoadedGroup]| super::compared(loaded, Path::new("/r"), &ours);
        assert_eq!(compared(&elsewhere), Err("GPULost".to_owned()));
        assert_eq!(compared(&[]), Err("aami".to_owned()));
        let failing = [group("/r/aami-a.yaml", "GPULost", "many-to-many")];
        assert_eq!(compared(&failing), Ok(vec!["GPULost: many-to-many".to_owned()]));
    }

    #[test]
    fn the_same_name_in_another_folder_is_another_file_and_a_container_may_see_ours_elsewhere() {
        // Given a file of one name in two folders,
        let root = tempfile::tempdir().unwrap();
        let [ours, former] = ["delivered", "rules"].map(|name| root.path().join(name));
        for folder in [&ours, &former] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("aami-agents.yaml"), "groups: []").unwrap();
        }
        let files = [RuleFile {
            name: "aami-agents.yaml".to_owned(),
            text: String::new(),
            groups: vec!["aami".to_owned()],
            alerts: vec!["AgentsBehind".to_owned()],
        }];
        let loaded_from = |path: &Path| {
            let loaded = [group(&path.to_string_lossy(), "AgentsBehind", "")];
            compared(&loaded, &ours, &files).is_ok()
        };
        // when Prometheus has the other one, then it does not have ours,
        assert!(!loaded_from(&former.join("aami-agents.yaml")));
        // and ours it has by its own path, by a link, and by one that is none here.
        assert!(loaded_from(&ours.join("aami-agents.yaml")));
        std::os::unix::fs::symlink(&ours, root.path().join("linked")).unwrap();
        assert!(loaded_from(&root.path().join("linked/aami-agents.yaml")));
        assert!(loaded_from(Path::new("/in/the/container/aami-agents.yaml")));
    }

    #[test]
    fn a_configuration_that_failed_before_is_not_refused_before_it_is_read() {
        let state = |at, went_well| Reload { at, went_well };
        assert_eq!(read_since(state(5.0, true), state(5.0, true)), None);
        assert_eq!(read_since(state(5.0, true), state(5.0, false)), Some(false));
        assert_eq!(read_since(state(5.0, false), state(5.0, false)), None);
        assert_eq!(read_since(state(5.0, false), state(6.0, true)), Some(true));
    }
}
