//! How far a run is, in numbers.
//!
//! One pure function makes them, whoever tells them: [`samples`] from the events of a run that is at
//! work, [`samples_of_state`] from what is remembered of runs that ended. Each answers [`Sample`]s
//! (name, labels, value, time), for a pusher to send as they are; [`exposition`] writes them in the text
//! format of Prometheus, for the textfile collector and `/metrics`. [`families`] has what each name
//! means. Every sample carries the labels `cluster`, `host` and `plan`, those of a step also `step`.

use std::fmt::Write;
use std::time::Duration;

use aami_model::Timestamp;
use aami_model::run::StepStatus;

use super::progress::{Progress, Stage};
use crate::state::State;

/// One metric, of the kind gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub help: &'static str,
}

const STATUS: Family = Family {
    name: "aami_install_step_status",
    help: "How a step of the last run stands: 0 pending, 1 in progress, 2 completed, 3 failed.",
};
const DURATION: Family = Family {
    name: "aami_install_step_duration_seconds",
    help: "How long a step took when it last ended.",
};
const ATTEMPTS: Family = Family {
    name: "aami_install_step_attempts",
    help: "How often a step was begun.",
};
const PROGRESS: Family = Family {
    name: "aami_install_progress_ratio",
    help: "Which part of the plan holds, 0 to 1; a step at work counts as far as it is.",
};
const STARTED: Family = Family {
    name: "aami_install_started_timestamp_seconds",
    help: "When the run began, in seconds since 1970.",
};
const UPDATED: Family = Family {
    name: "aami_install_updated_timestamp_seconds",
    help: "When something last happened in the run, in seconds since 1970.",
};

/// Every metric there is, in the order they are told.
pub const fn families() -> [Family; 6] {
    [STATUS, DURATION, ATTEMPTS, PROGRESS, STARTED, UPDATED]
}

/// Where a run is: what all its samples are labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster.
    pub cluster: String,
    /// The host's name.
    pub host: String,
}

/// One number at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name of its family.
    pub name: &'static str,
    /// Names and values, in the order of the names.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
    /// When it became so.
    pub at: Timestamp,
}

/// Adds samples with the labels of one plan.
struct Teller<'a> {
    origin: &'a Origin,
    plan: &'a str,
    at: Timestamp,
    samples: Vec<Sample>,
}

impl<'a> Teller<'a> {
    const fn new(origin: &'a Origin, plan: &'a str, at: Timestamp) -> Self {
        Self {
            origin,
            plan,
            at,
            samples: Vec::new(),
        }
    }

    fn tell(&mut self, family: Family, step: Option<&str>, value: f64) {
        let mut labels = vec![
            ("cluster", self.origin.cluster.clone()),
            ("host", self.origin.host.clone()),
            ("plan", self.plan.to_owned()),
        ];
        labels.extend(step.map(|step| ("step", step.to_owned())));
        self.samples.push(Sample {
            name: family.name,
            labels,
            value,
            at: self.at,
        });
    }
}

/// The numbers of a run at work, by its events so far. Empty before its first event.
pub fn samples(progress: &Progress, origin: &Origin) -> Vec<Sample> {
    let (Some(started), Some(updated)) = (progress.started_at, progress.updated_at) else {
        return Vec::new();
    };
    let mut teller = Teller::new(origin, &progress.plan, updated);
    for view in &progress.steps {
        teller.tell(STATUS, Some(&view.id), status_of(&view.stage));
    }
    for view in &progress.steps {
        if let Some(took) = view.took {
            teller.tell(DURATION, Some(&view.id), took.as_secs_f64());
        }
    }
    for view in progress.steps.iter().filter(|view| view.attempts > 0) {
        teller.tell(ATTEMPTS, Some(&view.id), f64::from(view.attempts));
    }
    let done = progress.steps.iter().map(|view| match view.stage {
        Stage::Ended(_) => 1.0,
        Stage::Running(fraction, _) => fraction,
        Stage::Waiting | Stage::Failed(..) => 0.0,
    });
    teller.tell(PROGRESS, None, part(done.sum(), progress.steps.len()));
    teller.tell(STARTED, None, seconds(started));
    teller.tell(UPDATED, None, seconds(updated));
    teller.samples
}

/// The numbers of what is remembered of a plan's runs.
pub fn samples_of_state(state: &State, plan: &str, host: &str) -> Vec<Sample> {
    let origin = Origin {
        cluster: state.cluster_name.clone(),
        host: host.to_owned(),
    };
    let mut teller = Teller::new(&origin, plan, state.updated_at);
    let steps = &state.steps.0;
    let number = |status: StepStatus| match status {
        StepStatus::Pending => 0.0,
        StepStatus::InProgress => 1.0,
        StepStatus::Completed => 2.0,
        StepStatus::Failed => 3.0,
    };
    for (id, step) in steps {
        teller.tell(STATUS, Some(id), number(step.status));
    }
    for (id, step) in steps {
        if let (Some(started), Some(completed)) = (step.started_at, step.completed_at) {
            // A clock that was set back in between must not make a step take less than nothing.
            teller.tell(
                DURATION,
                Some(id),
                (seconds(completed) - seconds(started)).max(0.0),
            );
        }
    }
    for (id, step) in steps.iter().filter(|(_, step)| step.attempts > 0) {
        teller.tell(ATTEMPTS, Some(id), f64::from(step.attempts));
    }
    let done = steps
        .iter()
        .filter(|(_, step)| step.status == StepStatus::Completed);
    let done = f64::from(u32::try_from(done.count()).unwrap_or(u32::MAX));
    teller.tell(PROGRESS, None, part(done, steps.len()));
    teller.tell(STARTED, None, seconds(state.started_at));
    teller.tell(UPDATED, None, seconds(state.updated_at));
    teller.samples
}

const fn status_of(stage: &Stage) -> f64 {
    match stage {
        Stage::Waiting => 0.0,
        Stage::Running(..) => 1.0,
        Stage::Ended(_) => 2.0,
        Stage::Failed(..) => 3.0,
    }
}

/// `done` of `all`; a plan without steps is done.
fn part(done: f64, all: usize) -> f64 {
    match u32::try_from(all) {
        Ok(0) | Err(_) => 1.0,
        Ok(all) => (done / f64::from(all)).clamp(0.0, 1.0),
    }
}

fn seconds(at: Timestamp) -> f64 {
    Duration::from_millis(u64::try_from(at.millis()).unwrap_or(0)).as_secs_f64()
}

/// `samples` in the text format of Prometheus, each family once with its help. Without times: the
/// textfile collector refuses them, and a scrape has its own.
pub fn exposition(samples: &[Sample]) -> String {
    let mut text = String::new();
    for family in families() {
        let mut own = samples
            .iter()
            .filter(|sample| sample.name == family.name)
            .peekable();
        if own.peek().is_none() {
            continue;
        }
        let Family { name, help } = family;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for sample in own {
            let labels = sample
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={}", quoted(value)));
            let labels = labels.collect::<Vec<_>>().join(",");
            let _ = writeln!(text, "{name}{{{labels}}} {}", sample.value);
        }
    }
    text
}

/// A label value: `\`, `"` and line ends are escaped.
fn quoted(value: &str) -> String {
    format!(
        "\"{}\"",
        value
            .replace('\\', r"\\")
            .replace('"', r#"\""#)
            .replace('\n', r"\n")
    )
}

#[cfg(test)]
mod tests {
    use aami_model::run::{RunEvent, RunEventKind, StepOutcome, StepSummary};

    use super::*;
    use crate::state::StepState;

    fn origin() -> Origin {
        Origin {
            cluster: "a\"b".into(),
            host: "gpu-1".into(),
        }
    }

    #[test]
    fn a_run_is_told_in_numbers() {
        let mut progress = Progress::new();
        assert_eq!(samples(&progress, &origin()), []);
        let steps = ["a", "b"]
            .map(|id| StepSummary {
                id: id.into(),
                title: id.into(),
            })
            .to_vec();
        let kinds = [
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps,
            },
            RunEventKind::StepCompleted {
                step: "a".into(),
                outcome: StepOutcome::Changed,
                duration_ms: 250,
            },
            RunEventKind::StepStarted {
                step: "b".into(),
                attempt: 3,
            },
            RunEventKind::StepProgress {
                step: "b".into(),
                fraction: 0.5,
                message: String::new(),
            },
        ];
        for (seq, kind) in (1u32..).zip(kinds) {
            progress.take(&RunEvent {
                seq: seq.into(),
                at: Timestamp::from_millis(1_000 + 500 * i64::from(seq)),
                kind,
            });
        }
        let told = samples(&progress, &origin());
        assert!(
            told.iter()
                .all(|sample| sample.at == Timestamp::from_millis(3_000))
        );
        assert_eq!(
            exposition(&told),
            r#"# HELP aami_install_step_status How a step of the last run stands: 0 pending, 1 in progress, 2 completed, 3 failed.
# TYPE aami_install_step_status gauge
aami_install_step_status{cluster="a\"b",host="gpu-1",plan="node",step="a"} 2
aami_install_step_status{cluster="a\"b",host="gpu-1",plan="node",step="b"} 1
# HELP aami_install_step_duration_seconds How long a step took when it last ended.
# TYPE aami_install_step_duration_seconds gauge
aami_install_step_duration_seconds{cluster="a\"b",host="gpu-1",plan="node",step="a"} 0.25
# HELP aami_install_step_attempts How often a step was begun.
# TYPE aami_install_step_attempts gauge
aami_install_step_attempts{cluster="a\"b",host="gpu-1",plan="node",step="b"} 3
# HELP aami_install_progress_ratio Which part of the plan holds, 0 to 1; a step at work counts as far as it is.
# TYPE aami_install_progress_ratio gauge
aami_install_progress_ratio{cluster="a\"b",host="gpu-1",plan="node"} 0.75
# HELP aami_install_started_timestamp_seconds When the run began, in seconds since 1970.
# TYPE aami_install_started_timestamp_seconds gauge
aami_install_started_timestamp_seconds{cluster="a\"b",host="gpu-1",plan="node"} 1.5
# HELP aami_install_updated_timestamp_seconds When something last happened in the run, in seconds since 1970.
# TYPE aami_install_updated_timestamp_seconds gauge
aami_install_updated_timestamp_seconds{cluster="a\"b",host="gpu-1",plan="node"} 3
"#
        );
    }

    #[test]
    fn what_is_remembered_is_told_the_same_way() {
        let mut state = State::new("default", Timestamp::from_millis(1_000), ["a", "b", "c"]);
        *state.steps.get_mut("a") = StepState {
            status: StepStatus::Completed,
            started_at: Some(Timestamp::from_millis(1_000)),
            completed_at: Some(Timestamp::from_millis(3_500)),
            attempts: 2,
            error: None,
        };
        state.steps.get_mut("b").status = StepStatus::Failed;
        let told = samples_of_state(&state, "node", "gpu-1");
        let value = |name: &str, step: Option<&str>| {
            let of = |sample: &&Sample| {
                let own = sample.labels.iter().find(|(name, _)| *name == "step");
                sample.name == name && own.map(|(_, step)| step.as_str()) == step
            };
            told.iter().find(of).map(|sample| sample.value)
        };
        for (step, status) in [("a", 2.0), ("b", 3.0), ("c", 0.0)] {
            assert_eq!(value("aami_install_step_status", Some(step)), Some(status));
        }
        assert_eq!(value("aami_install_step_duration_seconds", Some("a")), Some(2.5));
        assert_eq!(value("aami_install_step_duration_seconds", Some("b")), None);
        assert_eq!(value("aami_install_step_attempts", Some("a")), Some(2.0));
        let ratio = value("aami_install_progress_ratio", None).unwrap();
        assert!((ratio - 1.0 / 3.0).abs() < 1e-9, "{ratio}");
        assert_eq!(value("aami_install_started_timestamp_seconds", None), Some(1.0));
    }
}
