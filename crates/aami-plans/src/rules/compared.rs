//! What a Prometheus has loaded against the files it is to have, all of it told.

use std::collections::BTreeSet;
use std::path::Path;

use aami_model::rule_file::RuleFile;

use super::LoadedGroup;

/// How wanted rules stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many alerts are loaded as they are wanted.
    pub loaded: usize,
    /// Groups and alerts that are not there: `GPULost of aami-preset-gpu-production.yaml`.
    pub missing: Vec<String>,
    /// The names of the files they belong to.
    pub files: BTreeSet<String>,
    /// Rules that cannot be evaluated, each with the reason.
    pub failing: Vec<String>,
}

impl Compared {
    /// The rules that cannot be evaluated where all are loaded; else the first that is not.
    pub(super) fn outcome(self) -> Result<Vec<String>, String> {
        match self.missing.into_iter().next() {
            Some(missing) => Err(missing),
            None => Ok(self.failing),
        }
    }
}

/// Compares what is loaded with the files that are wanted in `folder`; where that is not of this machine, by their names.
pub fn compared(loaded: &[LoadedGroup], folder: Option<&Path>, files: &[RuleFile]) -> Compared {
    let mut compared = Compared::default();
    for file in files {
        let is_ours = |group: &&LoadedGroup| {
            let seen = Path::new(&group.file);
            let is_there =
                folder.map_or_else(|| seen.ends_with(&file.name), |it| is_in(it, &file.name, seen));
            is_there && file.groups.contains(&group.name)
        };
        let ours: Vec<&LoadedGroup> = loaded.iter().filter(is_ours).collect();
        let has_group = |name: &String| ours.iter().any(|group| group.name == *name);
        let rules = || ours.iter().flat_map(|group| &group.rules);
        let before = compared.missing.len();
        for group in file.groups.iter().filter(|name| !has_group(name)) {
            let missing = format!("the group {group} of {}", file.name);
            compared.missing.push(missing);
        }
        for alert in &file.alerts {
            if rules().any(|rule| rule.name == *alert) {
                compared.loaded += 1;
            } else {
                compared.missing.push(format!("{alert} of {}", file.name));
            }
        }
        if compared.missing.len() > before {
            compared.files.insert(file.name.clone());
        }
        for rule in rules().filter(|rule| !rule.last_error.is_empty()) {
            let failing = format!("{}: {}", rule.name, rule.last_error);
            compared.failing.push(failing);
        }
    }
    compared
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A group that is loaded, with its rules and why they cannot be evaluated.
    fn group(file: &str, rules: &[(&str, &str)]) -> LoadedGroup {
        let rules: Vec<serde_json::Value> = (rules.iter())
            .map(|(name, error)| serde_json::json!({"name": name, "lastError": error}))
            .collect();
        serde_json::from_value(serde_json::json!({"name": "aami", "file": file, "rules": rules})).unwrap()
    }

    fn file(alerts: &[&str]) -> RuleFile {
        RuleFile {
            name: "aami-a.yaml".to_owned(),
            text: String::new(),
            groups: vec!["aami".to_owned()],
            alerts: alerts.iter().map(|alert| (*alert).to_owned()).collect(),
        }
    }

    #[test]
    fn a_rule_of_another_file_is_not_ours_and_one_that_cannot_be_evaluated_is_named() {
        let ours = [file(&["GPULost"])];
        let elsewhere = [
            group("/r/other.yaml", &[("GPULost", "")]),
            group("/r/aami-a.yaml", &[("Old", "")]),
        ];
        let compared =
            |loaded: &[LoadedGroup]| super::compared(loaded, Some(Path::new("/r")), &ours).outcome();
        assert_eq!(compared(&elsewhere), Err("GPULost of aami-a.yaml".to_owned()));
        assert_eq!(compared(&[]), Err("the group aami of aami-a.yaml".to_owned()));
        let failing = [group("/r/aami-a.yaml", &[("GPULost", "many-to-many")])];
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
            ..file(&["AgentsBehind"])
        }];
        let loaded_from = |path: &Path| {
            let loaded = [group(&path.to_string_lossy(), &[("AgentsBehind", "")])];
            compared(&loaded, Some(&ours), &files).missing.is_empty()
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
    fn everything_that_is_not_there_is_told_and_what_cannot_be_evaluated() {
        let loaded = [
            group("/r/aami-a.yaml", &[("One", ""), ("Two", "many-to-many")]),
            group("/r/other.yaml", &[("Three", "")]),
        ];
        let told = compared(&loaded, None, &[file(&["One", "Two", "Three"])]);
        assert_eq!(told.loaded, 2);
        assert_eq!(told.missing, ["Three of aami-a.yaml"]);
        assert_eq!(told.failing, ["Two: many-to-many"]);
        let told = compared(&[], None, &[file(&["One"])]);
        assert_eq!(
            told.missing,
            ["the group aami of aami-a.yaml", "One of aami-a.yaml"]
        );
        assert!(told.files.contains("aami-a.yaml"));
    }
}
