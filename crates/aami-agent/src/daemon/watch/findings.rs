//! What is wrong with the node by its own eyes. All findings are told at once; what is not among them is over.

use aami_api::link::Told;
use aami_model::code;
use aami_model::finding::{Finding, LONGEST_TEXT, Severity};
use aami_model::{Code, Timestamp};

use super::super::resources::Visible;
use super::super::state::Shared;

/// What must be seen twice: a driver that is being loaded shows no GPU for a moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    gpus: usize,
    unknown: Option<String>,
}

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    before: Option<Seen>,
}

impl Watch {
    pub(super) fn turn(&mut self, shared: &Shared, visible: &Visible) {
        let seen = Seen {
            gpus: visible.count(shared.gpu_vendor.as_deref()),
            unknown: visible.unknown.clone(),
        };
        let stays = self.before.as_ref() == Some(&seen);
        self.before = Some(seen.clone());
        if !stays {
            return;
        }
        let before = shared.memory.noted().findings.clone();
        let findings = judge(shared.gpus_expected, &seen, &before, shared.wall());
        if findings == before {
            return;
        }
        let what = Told::Findings {
            findings: findings.clone(),
        };
        if shared.report(shared.wall(), what).is_ok() {
            // Where it cannot be noted, the next start tells them again.
            let _ = shared.memory.change(|noted| noted.findings = findings);
        }
    }
}

/// What is wrong, since when it is.
fn judge(expected: Option<u32>, seen: &Seen, before: &[Finding], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |code: Code, severity: Severity, summary: String| {
        let same = before.iter().find(|known| known.code == code.symbol);
        findings.push(Finding {
            code: code.symbol.to_owned(),
            subject: String::new(),
            severity,
            summary: summary.chars().take(LONGEST_TEXT).collect(),
            action: code.hint.to_owned(),
            since: same.map_or(now, |same| same.since),
        });
    };
    let expected = expected.and_then(|count| usize::try_from(count).ok());
    match (&seen.unknown, expected) {
        (Some(why), _) => {
            found(code::VENDOR_TOOL_FAILED, Severity::Warning, why.clone());
            // What was wrong before is not over because nobody can say.
            let before = before.iter();
            findings.extend(
                before
                    .filter(|known| known.code == code::GPU_COUNT_CHANGED.symbol)
                    .cloned(),
            );
        }
        (None, Some(expected)) if expected != seen.gpus => {
            let severity = if seen.gpus < expected {
                Severity::Critical
            } else {
                Severity::Info
            };
            let summary = format!("{} GPUs can be used, and it enrolled with {expected}.", seen.gpus);
            found(code::GPU_COUNT_CHANGED, severity, summary);
        }
        (None, _) => {}
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(gpus: usize) -> Seen {
        Seen { gpus, unknown: None }
    }

    #[test]
    fn a_lost_gpu_is_a_finding_until_it_is_back_and_keeps_its_beginning() {
        let then = Timestamp::from_millis(1000);
        let later = Timestamp::from_millis(9000);
        let lost = judge(Some(8), &seen(7), &[], then);
        assert_eq!(lost[0].code, "GPU_COUNT_CHANGED");
        assert_eq!(lost[0].severity, Severity::Critical);
        assert!(lost[0].summary.contains('7') && lost[0].summary.contains('8'));
        let more = judge(Some(8), &seen(6), &lost, later);
        assert_eq!(more[0].since, then);
        assert!(judge(Some(8), &seen(8), &lost, later).is_empty());
        assert!(judge(None, &seen(0), &[], then).is_empty());
    }

    #[test]
    fn a_tool_that_does_not_answer_is_its_own_finding_and_no_lost_gpu() {
        let hangs = Seen {
            gpus: 0,
            unknown: Some("nvidia-smi gave no answer within 10 s".to_owned()),
        };
        let findings = judge(Some(8), &hangs, &[], Timestamp::EPOCH);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].code, "VENDOR_TOOL_FAILED");
        // One that was lost before stays lost, as it was, until the tool says otherwise.
        let lost = judge(Some(8), &seen(7), &[], Timestamp::EPOCH);
        let meanwhile = judge(Some(8), &hangs, &lost, Timestamp::from_millis(1));
        assert_eq!(meanwhile.len(), 2);
        assert_eq!(meanwhile[1], lost[0]);
        assert!(judge(Some(8), &seen(8), &meanwhile, Timestamp::EPOCH).is_empty());
    }

    #[test]
    fn a_change_is_told_once_it_was_seen_twice_and_is_remembered_across_a_restart() {
        // Given a node that enrolled with two GPUs,
        let folder = tempfile::tempdir().unwrap();
        let mut shared = super::super::super::state::stage(folder.path());
        shared.gpus_expected = Some(2);
        shared.gpu_vendor = Some("nvidia".to_owned());
        let sees = |count: usize| Visible {
            gpus: (0..count)
                .map(|n| ("nvidia", format!("0000:1{n}:00.0")))
                .collect(),
            unknown: None,
        };
        let told = || -> Vec<Vec<String>> {
            let text = std::fs::read_to_string(folder.path().join("spool/reports.jsonl")).unwrap();
            let told = text
                .lines()
                .filter_map(|line| match serde_json::from_str(line).ok()? {
                    aami_api::link::Up::Report(report) => match report.what {
                        Told::Findings { findings } => {
                            Some(findings.into_iter().map(|one| one.code).collect())
                        }
                        _ => None,
                    },
                    _ => None,
                });
            told.collect()
        };
        // when one is missing for one look, then nobody is told,
        let mut watch = Watch::default();
        for count in [2, 2, 1, 2, 2] {
            watch.turn(&shared, &sees(count));
        }
        assert_eq!(told(), Vec::<Vec<String>>::new());
        // when it stays away, then that is told, once,
        for _ in 0..4 {
            watch.turn(&shared, &sees(1));
        }
        let lost = vec![code::GPU_COUNT_CHANGED.symbol.to_owned()];
        assert_eq!(told(), std::slice::from_ref(&lost));
        // also where the agent was started anew meanwhile;
        let mut watch = Watch::default();
        watch.turn(&shared, &sees(1));
        watch.turn(&shared, &sees(1));
        assert_eq!(told(), std::slice::from_ref(&lost));
        // and when it is back and stays, that it is over.
        watch.turn(&shared, &sees(2));
        assert_eq!(told().len(), 1);
        watch.turn(&shared, &sees(2));
        assert_eq!(told(), [lost, vec![]]);
    }
}
