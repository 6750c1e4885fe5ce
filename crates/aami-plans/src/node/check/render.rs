//! The metrics of a round, as node_exporter's textfile collector takes them: no timestamps, no series twice.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::CheckRoundError;
use super::memory::Remembered;

/// The text of the metrics.
pub(super) fn text(checks: &Remembered) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, lines: &dyn Fn(&mut String)| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        lines(&mut text);
    };
    family(
        "aami_check_status",
        "How a check found things: 0 ok, 1 warning, 2 critical, 3 unknown.",
        &|text| {
            for (name, seen) in &checks.checks {
                let status = seen.report.status as u8;
                let _ = writeln!(text, "aami_check_status{{check=\"{name}\"}} {status}");
            }
        },
    );
    family(
        "aami_check_duration_seconds",
        "How long a check took when it last ran.",
        &|text| {
            for (name, seen) in &checks.checks {
                let took = seen.duration_ms as f64 / 1000.0;
                let _ = writeln!(text, "aami_check_duration_seconds{{check=\"{name}\"}} {took}");
            }
        },
    );
    family(
        "aami_check_last_run_timestamp_seconds",
        "When a check last ran.",
        &|text| {
            for (name, seen) in &checks.checks {
                let at = seen.at.millis() / 1000;
                let _ = writeln!(
                    text,
                    "aami_check_last_run_timestamp_seconds{{check=\"{name}\"}} {at}"
                );
            }
        },
    );
    family("aami_check_value", "What a check measured.", &|text| {
        for (name, seen) in &checks.checks {
            for value in &seen.report.values {
                let _ = write!(text, "aami_check_value{{check=\"{name}\",name=\"{}\"", value.name);
                for (label, held) in &value.labels {
                    let _ = write!(text, ",{label}=\"{}\"", escaped(held));
                }
                let _ = writeln!(text, "}} {}", value.value);
            }
        }
    });
    family(
        "aami_checks_fetched_timestamp_seconds",
        "When the control plane last said which checks are meant for this node; 0 when it never did.",
        &|text| {
            let at = checks.fetched_at.map_or(0, |at| at.millis() / 1000);
            let _ = writeln!(text, "aami_checks_fetched_timestamp_seconds {at}");
        },
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Replaces a file in one move, so that whoever reads it sees the old one or the new one.
pub(super) fn replace(path: &Path, text: &[u8], mode: u32) -> Result<(), CheckRoundError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Always the same name, so that what a crash leaves behind is swept away. It does not end in .prom.
    let fresh = folder.join(format!(".{name}.new"));
    let _ = fs::remove_file(&fresh);
    // Never one that is there: others may write to this folder, and a link of theirs must lead nowhere.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh);
    let written = made.and_then(|mut file| {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text)
    });
    written.and_then(|()| fs::rename(&fresh, path)).map_err(|source| {
        let _ = fs::remove_file(&fresh);
        CheckRoundError::File {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;

    use super::super::memory::Seen;
    use super::super::report::{Report, Status};
    use super::*;

    #[test]
    fn a_round_becomes_metrics() {
        let mut checks = Remembered::default();
        let report = Report::new(Status::Critical, "x").with("free_bytes", &[("mount", "/a\"b\\")], 1.5e9);
        checks.checks.insert(
            "mounts".to_owned(),
            Seen {
                report,
                at: Timestamp::EPOCH.plus(std::time::Duration::from_secs(1_700_000_000)),
                duration_ms: 12,
            },
        );
        let text = text(&checks);
        for line in [
            "# TYPE aami_check_status gauge",
            "aami_check_status{check=\"mounts\"} 2",
            "aami_check_duration_seconds{check=\"mounts\"} 0.012",
            "aami_check_last_run_timestamp_seconds{check=\"mounts\"} 1700000000",
            "aami_check_value{check=\"mounts\",name=\"free_bytes\",mount=\"/a\\\"b\\\\\"} 1500000000",
            "aami_checks_fetched_timestamp_seconds 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn a_link_planted_beside_it_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(".x.prom.new")).unwrap();
        replace(&folder.path().join("x.prom"), b"new", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_to_string(folder.path().join("x.prom")).unwrap(), "new");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.prom");
        for text in ["one", "two"] {
            replace(&path, text.as_bytes(), 0o644).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
