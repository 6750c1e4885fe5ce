//! What the log says about the run before this one.

use std::io::{Read as _, Seek as _, SeekFrom};

use aami_model::run::{RunEvent, RunEventKind, RunStatus};

use super::Installer;

/// How much of the end of the log is read. A run has about a hundred events of about a hundred bytes.
const ENOUGH: u64 = 1 << 20;

impl Installer<'_> {
    /// The events of the last run of this plan on this host, oldest first, where it did not come to a good end:
    /// it was killed, failed or was called off. Empty where it did, where there was none, and where the log
    /// cannot be read, which is nobody's failure.
    pub fn cut_off(&self) -> Vec<RunEvent> {
        let folder = self.options.tracking.folder(&self.id);
        let Ok(Some(mut file)) = self.host.root.open_file(folder.log()) else {
            return Vec::new();
        };
        let begin = file
            .metadata()
            .map_or(0, |meta| meta.len().saturating_sub(ENOUGH));
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(begin))
            .and_then(|_| file.take(ENOUGH).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        last_run(&bytes)
    }
}

/// The last run in a log, unless it completed. Lines that are cut off, at either end, say nothing.
fn last_run(log: &[u8]) -> Vec<RunEvent> {
    let mut run: Vec<RunEvent> = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<RunEvent>(line) else {
            continue;
        };
        if matches!(event.kind, RunEventKind::RunStarted { .. }) {
            run.clear();
        } else if run.is_empty() {
            continue;
        }
        run.push(event);
    }
    let completed = matches!(
        run.last().map(|event| &event.kind),
        Some(RunEventKind::RunFinished {
            status: RunStatus::Completed,
            ..
        })
    );
    if completed { Vec::new() } else { run }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str =
        r#"{"seq":1,"at":"2026-01-01T00:00:00.000Z","type":"run_started","plan":"node","steps":[]}"#;
    const BEGUN: &str =
        r#"{"seq":2,"at":"2026-01-01T00:00:01.000Z","type":"step_started","step":"a","attempt":1}"#;

    fn finished(status: &str) -> String {
        format!(
            r#"{{"seq":3,"at":"2026-01-01T00:00:02.000Z","type":"run_finished","status":"{status}","duration_ms":2}}"#
        )
    }

    fn seqs(log: &str) -> Vec<u64> {
        last_run(log.as_bytes()).iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_run_that_was_killed_is_told_and_one_that_completed_is_not() {
        let good = finished("completed");
        assert!(seqs(&format!("{STARTED}\n{BEGUN}\n{good}\n")).is_empty());
        assert_eq!(
            seqs(&format!("{STARTED}\n{BEGUN}\n{good}\n{STARTED}\n{BEGUN}\n")),
            [1, 2]
        );
        let failed = finished("failed");
        assert_eq!(seqs(&format!("{STARTED}\n{BEGUN}\n{failed}\n")), [1, 2, 3]);
    }

    #[test]
    fn half_a_line_and_the_rest_of_an_older_run_say_nothing() {
        let cut = &BEGUN[..20];
        assert_eq!(
            seqs(&format!("{cut}\n{BEGUN}\n{STARTED}\n{BEGUN}\n{cut}")),
            [1, 2]
        );
        assert!(seqs(&format!("{BEGUN}\n{BEGUN}")).is_empty());
        assert!(seqs("").is_empty());
    }
}
