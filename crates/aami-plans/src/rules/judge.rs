//! Rules judged by promtool before anything is placed.

use std::fs;
use std::path::{Path, PathBuf};

use aami_inventory::{CommandError, Commands};
use aami_model::rule_file::RuleFile;

use super::{Judged, RulesError};

/// How much of what it says is shown, in characters.
const MOST_SAID: usize = 1000;

pub(super) fn judged(
    commands: &dyn Commands,
    installed: &Path,
    files: &[RuleFile],
) -> Result<Judged, RulesError> {
    if files.is_empty() {
        return Ok(Judged::Sound);
    }
    let failed = |why: &dyn std::fmt::Display| RulesError::NotJudged(why.to_string());
    let here = tempfile::tempdir().map_err(|error| failed(&error))?;
    let mut arguments = vec!["check".to_owned(), "rules".to_owned()];
    for file in files {
        let path = here.path().join(&file.name);
        fs::write(&path, &file.text).map_err(RulesError::file(&path, "written"))?;
        arguments.push(path.display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let promtool = newest(installed).unwrap_or_else(|| PathBuf::from("promtool"));
    match commands.run(&promtool.display().to_string(), &arguments) {
        Ok(output) if output.status == Some(0) => Ok(Judged::Sound),
        Ok(output) => Err(RulesError::Refused(shown(&output.stderr))),
        Err(CommandError::NotInstalled(_)) => Ok(Judged::Nobody),
        Err(
            error @ (CommandError::NotStarted { .. }
            | CommandError::TimedOut { .. }
            | CommandError::TooMuchOutput { .. }),
        ) => Err(failed(&error)),
    }
}

/// What a program said, as far as it is shown.
pub(super) fn shown(said: &str) -> String {
    let said: String = said
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(MOST_SAID)
        .collect();
    said.trim().to_owned()
}

/// The promtool of the newest Prometheus in the folder of installed programs.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("prometheus-")?;
            let version: Vec<u64> = (version.split('.'))
                .map(|part| part.parse().unwrap_or(0))
                .collect();
            let promtool = entry.path().join("promtool");
            promtool.is_file().then_some((version, promtool))
        })
        .max()
        .map(|(_, promtool)| promtool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_promtool_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["2.9.0", "2.42.0", "3.0.0"] {
            fs::create_dir(folder.path().join(format!("prometheus-{version}"))).unwrap();
        }
        for version in ["2.9.0", "2.42.0"] {
            fs::write(folder.path().join(format!("prometheus-{version}/promtool")), "").unwrap();
        }
        assert!(
            newest(folder.path())
                .unwrap()
                .ends_with("prometheus-2.42.0/promtool")
        );
        assert_eq!(newest(&folder.path().join("none")), None);
    }

    #[test]
    fn what_a_program_says_is_shown_short_and_without_control_characters() {
        assert_eq!(shown("  bad \x1b[31mrule\n"), "bad [31mrule");
        assert_eq!(shown(&"x".repeat(5000)).len(), MOST_SAID);
    }
}
