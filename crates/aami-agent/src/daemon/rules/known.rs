//! What is known of one Prometheus: the bundle it should have, how that stood, and what was told of it.

use std::time::Duration;

use aami_api::prometheus::{LoadReport, RuleBundle};
use aami_model::prometheus::LoadResult;
use aami_model::rule_file::RuleFile;

/// How often rules that are loaded are looked at, and as much again at most on top: somebody may change the folder.
const LOOK: Duration = Duration::from_secs(45);
/// The same for a Prometheus that is not there.
const COMING: Duration = Duration::from_secs(4);
/// The longest pause before rules that were refused are tried again.
const LONGEST: Duration = Duration::from_secs(900);

/// One Prometheus.
#[derive(Default)]
pub(super) struct Known {
    sha256: Option<String>,
    files: Vec<RuleFile>,
    report: Option<LoadReport>,
    told: Option<LoadReport>,
    /// When it is looked at again; at once where that is nothing.
    next: Option<Duration>,
    failures: u32,
}

/// How often something was refused in a row, and when it is tried again.
#[derive(Default)]
pub(super) struct Trials {
    failures: u32,
    next: Duration,
}

impl Trials {
    /// Whether it is time for another try.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// It was refused once more.
    pub(super) fn failed(&mut self, now: Duration, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.next = now + after(self.failures).mul_f64(1.0 + random);
    }
}

/// The pause after so many refusals in a row.
fn after(failures: u32) -> Duration {
    LOOK.saturating_mul(1 << failures.min(5)).min(LONGEST)
}

impl Known {
    /// Whether this is the bundle that is known.
    pub(super) fn is(&self, sha256: &str) -> bool {
        self.sha256.as_deref() == Some(sha256)
    }

    /// The bundle that is known.
    pub(super) fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Another bundle, which is looked at at once.
    pub(super) fn take(&mut self, bundle: RuleBundle) {
        *self = Self {
            sha256: Some(bundle.sha256),
            files: bundle.files,
            told: self.told.take(),
            ..Self::default()
        };
    }

    /// The bundle; nothing wanted where none was taken.
    pub(super) fn wanted(&self) -> (&str, &[RuleFile]) {
        (self.sha256.as_deref().unwrap_or_default(), &self.files)
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.sha256.is_some() && self.next.is_none_or(|next| now >= next)
    }

    /// How it stood when it was looked at. What was refused is tried again ever more rarely: each try makes a Prometheus
    /// read everything.
    pub(super) fn looked(&mut self, report: LoadReport, now: Duration, random: f64) {
        let pause = match report.result {
            LoadResult::Loaded => {
                self.failures = 0;
                LOOK
            }
            // It loads them when it comes, and that is to be told.
            LoadResult::Waiting => {
                self.failures = 0;
                COMING
            }
            LoadResult::Failed => {
                self.failures = self.failures.saturating_add(1);
                after(self.failures)
            }
        };
        self.next = Some(now + pause.mul_f64(1.0 + random));
        self.report = Some(report);
    }

    /// What the control plane does not know yet, which last heard that `loaded` is loaded.
    pub(super) fn to_be_told(&self, loaded: Option<&str>) -> Option<&LoadReport> {
        let report = self.report.as_ref()?;
        let is_lost = report.result == LoadResult::Loaded && loaded != Some(report.sha256.as_str());
        (self.told.as_ref() != Some(report) || is_lost).then_some(report)
    }

    /// The control plane knows.
    pub(super) fn was_told(&mut self, report: LoadReport) {
        self.told = Some(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(sha256: &str) -> RuleBundle {
        RuleBundle {
            sha256: sha256.to_owned(),
            files: Vec::new(),
        }
    }

    fn report(sha256: &str, result: LoadResult) -> LoadReport {
        LoadReport {
            sha256: sha256.to_owned(),
            result,
            code: None,
            sentence: None,
            failing: Vec::new(),
        }
    }

    #[test]
    fn what_is_refused_is_tried_ever_more_rarely_and_a_new_bundle_at_once() {
        let mut known = Known::default();
        assert!(!known.is_due(Duration::ZERO));
        known.take(bundle("a"));
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(known.is_due(now));
            known.looked(report("a", LoadResult::Failed), now, 0.0);
            assert!(!known.is_due(now));
            let next = known.next.unwrap();
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses[..4], [90, 180, 360, 720]);
        assert_eq!(pauses.last(), Some(&900));
        known.take(bundle("b"));
        assert!(known.is_due(Duration::ZERO));
        known.looked(report("b", LoadResult::Loaded), now, 0.0);
        assert_eq!(known.next, Some(now + LOOK));
    }

    #[test]
    fn the_same_is_told_once_unless_the_control_plane_lost_it() {
        let mut known = Known::default();
        known.take(bundle("a"));
        assert_eq!(known.to_be_told(None), None);
        let loaded = report("a", LoadResult::Loaded);
        known.looked(loaded.clone(), Duration::ZERO, 0.0);
        assert_eq!(known.to_be_told(None), Some(&loaded));
        known.was_told(loaded.clone());
        assert_eq!(known.to_be_told(Some("a")), None);
        assert_eq!(known.to_be_told(None), Some(&loaded));
        let failed = report("a", LoadResult::Failed);
        known.looked(failed.clone(), Duration::ZERO, 0.0);
        known.was_told(failed);
        assert_eq!(known.to_be_told(Some("z")), None);
    }
}
