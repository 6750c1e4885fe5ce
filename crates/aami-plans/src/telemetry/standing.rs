//! Which numbers of a run an event changed. What the numbers are is said by `aami_install::render`, for the
//! textfile and for us alike.

use std::collections::HashMap;

use aami_install::render::{Origin, Progress, Sample, samples};
use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind};

/// A series: its name and its labels.
pub(super) type Series = (&'static str, Vec<(&'static str, String)>);

/// How a run stands, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    progress: Progress,
    told: HashMap<Series, f64>,
}

impl Standing {
    /// Takes an event in; answers with the numbers that are other than they were told last. How far a step is
    /// within itself travels with the next thing that happens.
    pub(super) fn take(&mut self, event: &RunEvent, origin: &Origin) -> Vec<Sample> {
        self.progress.take(event);
        match event.kind {
            RunEventKind::StepProgress { .. } | RunEventKind::StepNote { .. } => return Vec::new(),
            RunEventKind::RunStarted { .. } => self.told.clear(),
            _ => {}
        }
        let mut news = samples(&self.progress, origin);
        // The end is told whole: it is what stands there until the next run.
        let all = self.progress.ended.is_some();
        news.retain(|sample| {
            let before = self
                .told
                .insert((sample.name, sample.labels.clone()), sample.value);
            all || before != Some(sample.value)
        });
        news
    }

    /// Whether a run is at work.
    pub(super) const fn is_at_work(&self) -> bool {
        self.progress.started_at.is_some() && self.progress.ended.is_none()
    }

    /// Everything there is to tell, as of `at`.
    pub(super) fn all(&self, at: Timestamp, origin: &Origin) -> Vec<Sample> {
        let mut all = samples(&self.progress, origin);
        for sample in &mut all {
            sample.at = at;
        }
        all
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aami_model::run::{RunStatus, StepOutcome, StepSummary};

    use super::*;

    pub(in crate::telemetry) fn origin() -> Origin {
        Origin {
            cluster: "prod".into(),
            host: String::new(),
        }
    }

    /// A run of two steps, of which the second fails; one event a second from 1970 on.
    pub(in crate::telemetry) fn a_run() -> Vec<RunEvent> {
        let step = |id: &str| StepSummary {
            id: id.into(),
            title: id.into(),
        };
        let kinds = vec![
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps: vec![step("a"), step("b")],
            },
            RunEventKind::StepStarted {
                step: "a".into(),
                attempt: 1,
            },
            RunEventKind::StepCompleted {
                step: "a".into(),
                outcome: StepOutcome::Changed,
                duration_ms: 250,
            },
            RunEventKind::StepStarted {
                step: "b".into(),
                attempt: 2,
            },
            RunEventKind::StepFailed {
                step: "b".into(),
                code: "DISK_FULL".into(),
                message: "no room".into(),
                hint: String::new(),
                details: std::collections::BTreeMap::new(),
                duration_ms: 1_500,
            },
            RunEventKind::RunFinished {
                status: RunStatus::Failed,
                duration_ms: 2_000,
            },
        ];
        (1..)
            .zip(kinds)
            .map(|(seq, kind)| RunEvent {
                seq,
                at: Timestamp::from_millis(i64::try_from(seq).unwrap() * 1_000),
                kind,
            })
            .collect()
    }

    #[test]
    fn each_event_tells_the_numbers_it_changed_and_the_end_tells_all() {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for event in a_run() {
            for sample in standing.take(&event, &origin()) {
                assert_eq!(sample.at, event.at);
                let step = sample.labels.iter().find(|(name, _)| *name == "step");
                let step = step.map(|(_, step)| step.clone()).unwrap_or_default();
                told.push((event.seq, sample.name, step, sample.value));
            }
        }
        let status = "aami_install_step_status";
        for (seq, step, value) in [
            (1, "a", 0.0),
            (1, "b", 0.0),
            (2, "a", 1.0),
            (3, "a", 2.0),
            (4, "b", 1.0),
            (5, "b", 3.0),
            (6, "a", 2.0),
            (6, "b", 3.0),
        ] {
            assert!(
                told.contains(&(seq, status, step.to_owned(), value)),
                "{step} is not {value} at {seq}"
            );
        }
        assert_eq!(told.iter().filter(|(_, name, ..)| *name == status).count(), 8);
        assert!(!standing.is_at_work());
    }
}
