//! How far a run is, as metrics in the text format of Prometheus.

use std::fmt::Write;

use super::progress::{Progress, Stage};

/// The metrics of a run, for a file of the textfile collector. `aami_install_step_status` is 0
/// pending, 1 in progress, 2 completed, 3 failed.
pub fn metrics(progress: &Progress, cluster: &str) -> String {
    let mut text = String::new();
    let cluster = quoted(cluster);
    let plan = quoted(&progress.plan);
    let mut family = |name: &str, help: &str, samples: Vec<(String, f64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{{cluster={cluster},plan={plan}{labels}}} {value}");
        }
    };
    let step = |id: &str| format!(",step={}", quoted(id));
    let status = |stage: &Stage| match stage {
        Stage::Waiting => 0.0,
        Stage::Running(..) => 1.0,
        Stage::Ended(_) => 2.0,
        Stage::Failed(..) => 3.0,
    };
    let statuses = progress
        .steps
        .iter()
        .map(|view| (step(&view.id), status(&view.stage)));
    let help = "How a step of the last run stands: 0 pending, 1 in progress, 2 completed, 3 failed.";
    family("aami_install_step_status", help, statuses.collect());
    let took = progress
        .steps
        .iter()
        .filter_map(|view| Some((step(&view.id), view.took?.as_secs_f64())));
    family(
        "aami_install_step_duration_seconds",
        "How long a step of the last run took.",
        took.collect(),
    );
    if let Some(started) = progress.started_at {
        let seconds =
            std::time::Duration::from_millis(u64::try_from(started.millis()).unwrap_or(0)).as_secs_f64();
        let samples = vec![(String::new(), seconds)];
        family(
            "aami_install_started_timestamp",
            "When the last run began, in seconds since 1970.",
            samples,
        );
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
    use aami_model::Timestamp;
    use aami_model::run::{RunEvent, RunEventKind, StepOutcome, StepSummary};

    use super::*;

    #[test]
    fn a_run_is_told_in_numbers() {
        let mut progress = Progress::new();
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
        ];
        for kind in kinds {
            progress.take(&RunEvent {
                seq: 1,
                at: Timestamp::from_millis(1_500),
                kind,
            });
        }
        let text = metrics(&progress, "a\"b");
        for line in [
            r#"aami_install_step_status{cluster="a\"b",plan="node",step="a"} 2"#,
            r#"aami_install_step_status{cluster="a\"b",plan="node",step="b"} 0"#,
            r#"aami_install_step_duration_seconds{cluster="a\"b",plan="node",step="a"} 0.25"#,
            r#"aami_install_started_timestamp{cluster="a\"b",plan="node"} 1.5"#,
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
