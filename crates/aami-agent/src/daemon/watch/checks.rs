//! How checks ended: read from the file that each round leaves, told where a status changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aami_api::link::{CheckTold, Told};
use aami_model::check::RunAs;
use aami_plans::node::check::starter::Starter;
use aami_plans::node::check::{Places, Remembered};

use super::super::state::Shared;

/// At most this many are told in one report.
const MOST: usize = 256;

/// What each check found last, by its name.
pub(in super::super) type Results = BTreeMap<String, CheckTold>;

/// The results of the last rounds.
pub(in super::super) fn results(folder: &Path) -> Results {
    let seen = Remembered::results(folder).into_iter();
    seen.map(|(name, seen)| {
        let needs_root = Starter::named(&name).is_some_and(Starter::needs_root);
        let told = CheckTold {
            name: name.clone(),
            status: seen.report.status.name().to_owned(),
            message: seen.report.message,
            run_as: if needs_root { RunAs::Root } else { RunAs::AamiCheck },
            at: seen.at,
        };
        (name, told)
    })
    .collect()
}

/// The file and when it was written last.
#[derive(Debug)]
pub(super) struct Watch {
    folder: PathBuf,
    written: Option<SystemTime>,
}

impl Watch {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            folder: Places::below(root).folder,
            written: None,
        }
    }

    pub(super) fn turn(&mut self, shared: &Shared) {
        let written = fs::metadata(self.folder.join("checks.json")).and_then(|meta| meta.modified());
        let Ok(written) = written else { return };
        if self.written == Some(written) {
            return;
        }
        let results = results(&self.folder);
        let news = news(&results, &shared.memory.noted().checks);
        for part in news.chunks(MOST) {
            let checks = part.to_vec();
            if shared.report(shared.wall(), Told::Checks { checks }).is_err() {
                // The file is read again in the next turn.
                return;
            }
        }
        self.written = Some(written);
        // Where it cannot be noted, the next start tells them again.
        let _ = shared.memory.change(|noted| {
            noted.checks = results
                .into_iter()
                .map(|(name, told)| (name, told.status))
                .collect();
        });
    }
}

/// Those whose status is not the one that was told last.
fn news(results: &Results, told: &BTreeMap<String, String>) -> Vec<CheckTold> {
    let is_news = |result: &&CheckTold| told.get(&result.name) != Some(&result.status);
    results.values().filter(is_news).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_round_left_is_read_and_only_a_changed_status_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"checks":{"mounts":{"report":{"status":"critical","message":"/data is read-only"},
            "at":"2026-01-01T00:00:00.000Z","duration_ms":5},"disk_smart":{"report":{"status":"ok"},
            "at":"2026-01-01T00:00:00.000Z","duration_ms":5}},"definitions":[],"set":null}"#;
        fs::write(folder.path().join("checks.json"), text).unwrap();
        let results = results(folder.path());
        assert_eq!(results["mounts"].message, "/data is read-only");
        assert_eq!(results["disk_smart"].run_as, RunAs::Root);
        let told = BTreeMap::from([
            ("mounts".to_owned(), "ok".to_owned()),
            ("disk_smart".to_owned(), "ok".to_owned()),
        ]);
        let news = news(&results, &told);
        assert_eq!(news.len(), 1);
        assert_eq!(
            (news[0].name.as_str(), news[0].status.as_str()),
            ("mounts", "critical")
        );
    }
}
