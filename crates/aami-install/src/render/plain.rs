//! Plain lines, for logs and terminals that are none.

use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome};

use super::progress::{Progress, spoken};
use super::text::safe;
use std::time::Duration;

/// The event as plain text without a line end, possibly of several lines; `None` where it is not
/// worth a line. `progress` has taken the event in already.
pub fn plain(progress: &Progress, event: &RunEvent) -> Option<String> {
    let head = |step: &str| {
        let (number, of) = progress.number(step).unwrap_or((0, 0));
        format!("[{number}/{of}]")
    };
    let title = |step: &str| {
        let view = progress.steps.iter().find(|view| view.id == step);
        safe(view.map_or(step, |view| view.title.as_str()))
    };
    let took = |millis: u64| spoken(Duration::from_millis(millis));
    let has_spoken = |step: &str| {
        let view = progress.steps.iter().find(|view| view.id == step);
        view.is_some_and(|view| !view.lines.is_empty())
    };
    Some(match &event.kind {
        RunEventKind::RunStarted { .. } => return None,
        RunEventKind::StepStarted { step, attempt } => {
            let again = if *attempt > 1 {
                format!(" (attempt {attempt})")
            } else {
                String::new()
            };
            format!("{} {}...{again}", head(step), title(step))
        }
        RunEventKind::StepProgress {
            step,
            fraction,
            message,
        } => {
            format!("{}   {:>3.0} % {}", head(step), fraction * 100.0, safe(message))
        }
        RunEventKind::StepNote {
            step,
            message,
            warning,
        } => {
            format!(
                "{}   {} {}",
                head(step),
                if *warning { "warning:" } else { "-" },
                safe(message)
            )
        }
        RunEventKind::StepCompleted {
            step,
            outcome,
            duration_ms,
        } => match outcome {
            StepOutcome::Changed => format!("{}   done in {}", head(step), took(*duration_ms)),
            // A step that only looks says what it saw, and is done.
            StepOutcome::AlreadySo if has_spoken(step) => {
                format!("{}   done in {}", head(step), took(*duration_ms))
            }
            StepOutcome::AlreadySo => format!("{} {}: already so", head(step), title(step)),
            StepOutcome::NotApplicable => format!("{} {}: skipped", head(step), title(step)),
        },
        RunEventKind::StepFailed {
            step,
            code,
            message,
            hint,
            ..
        } => {
            format!(
                "{} failed: {} ({})\n  hint: {}",
                head(step),
                safe(message),
                safe(code),
                safe(hint)
            )
        }
        RunEventKind::RunFinished { status, duration_ms } => {
            let took = took(*duration_ms);
            match status {
                RunStatus::Completed => format!("complete in {took}"),
                RunStatus::Failed => format!("failed after {took}; what was done is recorded"),
                _ => format!("interrupted after {took}; run the same command again to continue"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;
    use aami_model::run::StepSummary;

    use super::*;

    #[test]
    fn a_run_reads_as_lines() {
        let step = || "a".to_owned();
        let kinds = [
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps: vec![StepSummary {
                    id: step(),
                    title: "Doing a".into(),
                }],
            },
            RunEventKind::StepStarted {
                step: step(),
                attempt: 2,
            },
            RunEventKind::StepNote {
                step: step(),
                message: "evil\x1b[2J".into(),
                warning: true,
            },
            RunEventKind::StepFailed {
                step: step(),
                code: "DISK_FULL".into(),
                message: "cannot write /x".into(),
                hint: "Free some.".into(),
                details: std::collections::BTreeMap::new(),
                duration_ms: 3,
            },
            RunEventKind::RunFinished {
                status: RunStatus::Failed,
                duration_ms: 2500,
            },
        ];
        let mut progress = Progress::new();
        let mut lines = Vec::new();
        for (seq, kind) in kinds.into_iter().enumerate() {
            let event = RunEvent {
                seq: seq as u64 + 1,
                at: Timestamp::EPOCH,
                kind,
            };
            progress.take(&event);
            lines.extend(plain(&progress, &event));
        }
        let expected = [
            "[1/1] Doing a... (attempt 2)",
            "[1/1]   warning: evil[2J",
            "[1/1] failed: cannot write /x (DISK_FULL)\n  hint: Free some.",
            "failed after 2.5 s; what was done is recorded",
        ];
        assert_eq!(lines, expected);
    }
}
