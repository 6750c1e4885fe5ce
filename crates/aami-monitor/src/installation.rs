//! How far installations are, as the control plane's `/metrics` tells it: the same families as on the host
//! itself, so that rules and dashboards need not know who told them.

use std::fmt::Write as _;

use aami_model::Timestamp;
use aami_model::run::StepStatus;

use crate::node_info::labels;

/// The last run of one plan on one host, as far as it has reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Installation {
    /// The host's name; empty while it has not registered.
    pub host: String,
    /// The run, where no host tells it from others.
    pub run: Option<String>,
    /// The plan.
    pub plan: String,
    /// When it began, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// A step of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: StepStatus,
    /// How often it was begun.
    pub attempts: u32,
    /// How long it took, once it has ended.
    pub duration_ms: Option<u64>,
}

const fn number(status: StepStatus) -> u8 {
    match status {
        StepStatus::Pending => 0,
        StepStatus::InProgress => 1,
        StepStatus::Completed => 2,
        StepStatus::Failed => 3,
    }
}

/// `1250` as `1.25`.
fn seconds(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The metrics of these installations in the text format of Prometheus; nothing where there are none.
pub fn metrics(cluster: &str, installations: &[Installation]) -> String {
    let mut text = String::new();
    let mut family = |name: &str,
                      help: &str,
                      value: &dyn Fn(&Installation, Option<&Step>) -> Option<String>,
                      of_steps: bool| {
        let mut head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        for installation in installations {
            let steps = installation.steps.iter().map(Some);
            let about: Vec<Option<&Step>> = if of_steps { steps.collect() } else { vec![None] };
            for step in about {
                let Some(value) = value(installation, step) else {
                    continue;
                };
                let mut all = vec![
                    ("cluster", cluster),
                    ("host", installation.host.as_str()),
                    ("plan", installation.plan.as_str()),
                ];
                all.extend(installation.run.as_deref().map(|run| ("run", run)));
                all.extend(step.map(|step| ("step", step.id.as_str())));
                all.retain(|(_, value)| !value.is_empty());
                // The head comes with the first sample.
                text.push_str(&std::mem::take(&mut head));
                let _ = writeln!(text, "{name}{{{}}} {value}", labels(&all));
            }
        }
    };
    family(
        "aami_install_step_status",
        "How a step of the last run stands: 0 pending, 1 in progress, 2 completed, 3 failed.",
        &|_, step| step.map(|step| number(step.status).to_string()),
        true,
    );
    family(
        "aami_install_step_duration_seconds",
        "How long a step took when it last ended.",
        &|_, step| step?.duration_ms.map(seconds),
        true,
    );
    family(
        "aami_install_step_attempts",
        "How often a step was begun.",
        &|_, step| {
            step.filter(|step| step.attempts > 0)
                .map(|step| step.attempts.to_string())
        },
        true,
    );
    family(
        "aami_install_progress_ratio",
        "Which part of the plan holds, 0 to 1.",
        &|installation, _| {
            let held = installation
                .steps
                .iter()
                .filter(|step| step.status == StepStatus::Completed);
            let (held, all) = (held.count(), installation.steps.len().max(1));
            // Thousandths are enough, and exact.
            Some(seconds((held * 1_000 / all) as u64))
        },
        false,
    );
    family(
        "aami_install_started_timestamp_seconds",
        "When the run began, in seconds since 1970.",
        &|installation, _| {
            let millis = installation.started_at?.millis();
            Some(seconds(u64::try_from(millis).unwrap_or(0)))
        },
        false,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_told_in_the_words_of_its_host() {
        let step = |id: &str, status, attempts, duration_ms| Step {
            id: id.into(),
            status,
            attempts,
            duration_ms,
        };
        let known = Installation {
            host: "gpu-01".into(),
            run: None,
            plan: "node".into(),
            started_at: Some(Timestamp::from_millis(1_800_000_000_250)),
            steps: vec![
                step("token", StepStatus::Completed, 1, Some(1_250)),
                step("verify", StepStatus::Pending, 0, None),
            ],
        };
        let unknown = Installation {
            host: String::new(),
            run: Some("r1".into()),
            started_at: None,
            steps: vec![step("a\"b", StepStatus::Failed, 2, Some(30))],
            ..known.clone()
        };
        assert_eq!(metrics("prod", &[]), "");
        insta::assert_snapshot!(metrics("prod", &[known, unknown]));
    }
}
