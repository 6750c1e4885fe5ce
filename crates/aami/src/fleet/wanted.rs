//! Rules that are wanted: what they look at, and what a Prometheus has loaded beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aami_model::rule_file;
use aami_monitor::presets::RuleFile;
use aami_monitor::promql::Expression;
use serde::Deserialize;

use super::engines::LoadedGroup;

/// Files of a fleet's rules in this folder that are loaded and not wanted, each once.
pub(crate) fn unwanted(loaded: &[LoadedGroup], folder: &Path, files: &[RuleFile]) -> BTreeSet<PathBuf> {
    let is_left = |path: &&Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        path.parent() == Some(folder)
            && name.is_some_and(|name| {
                rule_file::is_of_a_fleet(name) && !files.iter().any(|file| file.name == name)
            })
    };
    (loaded.iter())
        .map(|group| Path::new(&group.file))
        .filter(is_left)
        .map(Path::to_path_buf)
        .collect()
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    groups: Vec<WrittenGroup>,
}

#[derive(Deserialize)]
struct WrittenGroup {
    #[serde(default)]
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize)]
struct WrittenRule {
    alert: Option<String>,
    #[serde(default)]
    expr: String,
}

/// The series that these rules look at, and the alerts that do. A file that cannot be understood has none.
pub(crate) fn series(files: &[RuleFile]) -> BTreeMap<String, BTreeSet<String>> {
    let mut series: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let Ok(written) = serde_saphyr::from_str::<Written>(&file.text) else {
            continue;
        };
        for rule in written.groups.into_iter().flat_map(|group| group.rules) {
            let Ok(expression) = Expression::parse(&rule.expr) else {
                continue;
            };
            for metric in expression.metrics() {
                let alerts = series.entry(metric.to_owned()).or_default();
                alerts.extend(rule.alert.clone());
            }
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use aami_monitor::presets::{self, Options};

    use super::*;

    fn group(file: &str, name: &str) -> LoadedGroup {
        serde_json::from_value(serde_json::json!({"name": name, "file": file, "rules": []})).unwrap()
    }

    fn file(name: &str) -> RuleFile {
        RuleFile {
            name: name.to_owned(),
            text: String::new(),
            groups: vec!["a".to_owned()],
            alerts: Vec::new(),
        }
    }

    #[test]
    fn what_is_loaded_and_no_longer_wanted_is_told_where_it_is_ours() {
        let loaded = [
            group("/r/aami-preset-basic.yaml", "a"),
            group("/r/aami-preset-old.yaml", "a"),
            group("/r/aami-preset-old.yaml", "b"),
            group("/r/mine.yaml", "a"),
            group("/elsewhere/aami-preset-old.yaml", "a"),
        ];
        let told = unwanted(&loaded, Path::new("/r"), &[file("aami-preset-basic.yaml")]);
        assert_eq!(told, BTreeSet::from([PathBuf::from("/r/aami-preset-old.yaml")]));
    }

    #[test]
    fn every_preset_says_what_it_looks_at() {
        let basic = presets::find("gpu-basic").unwrap();
        let files = presets::render(&[basic], &[], &Options::default()).unwrap();
        let series = series(&files);
        assert!(series.contains_key("DCGM_FI_DEV_GPU_TEMP"), "{:?}", series.keys());
        let alerts = &series["DCGM_FI_DEV_GPU_TEMP"];
        assert!(!alerts.is_empty());
        assert!(super::series(&[file("aami-a.yaml")]).is_empty());
    }
}
