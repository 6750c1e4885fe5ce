//! The boxed progress screen of a terminal.

use aami_model::run::{RunStatus, StepOutcome};

use super::Colour;
use super::progress::{Progress, Stage, StepView, spoken};
use super::text::{cut, pad, safe, width, wrap};

/// Widest and narrowest box, in columns.
const WIDEST: usize = 80;
const NARROWEST: usize = 40;
/// Columns inside a step's bar.
const BAR: usize = 8;
/// Where what a step says begins.
const INDENT: usize = 8;

/// The whole screen in at most `columns` columns (40 to 80 are used), each line ended. `title` stands
/// on top; `summary` is shown at the bottom when the run completed.
pub fn screen(
    progress: &Progress,
    title: &str,
    summary: &[String],
    columns: usize,
    colour: Colour,
) -> String {
    let frame = Frame {
        inner: columns.clamp(NARROWEST, WIDEST) - 2,
        colour,
    };
    let mut lines = vec![
        frame.rule('┌', '┐'),
        frame.title(title),
        frame.rule('├', '┤'),
        frame.empty(),
    ];
    for (at, step) in progress.steps.iter().enumerate() {
        lines.extend(frame.step(at + 1, progress.steps.len(), step));
        lines.push(frame.empty());
    }
    if let Some((status, took)) = progress.ended {
        lines.extend([frame.rule('├', '┤'), frame.empty()]);
        lines.extend(frame.end(status, &spoken(took), summary));
        lines.push(frame.empty());
    }
    lines.push(frame.rule('└', '┘'));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[derive(Clone, Copy)]
struct Frame {
    /// Columns between the two edges.
    inner: usize,
    colour: Colour,
}

/// ANSI colours (ECMA-48 SGR).
#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Green,
    Yellow,
    Red,
    Dim,
}

impl Frame {
    fn rule(self, left: char, right: char) -> String {
        format!("{left}{}{right}", "─".repeat(self.inner))
    }

    fn empty(self) -> String {
        self.line("", Ink::Plain)
    }

    fn line(self, text: &str, ink: Ink) -> String {
        format!("│{}│", self.ink(&pad(text, self.inner), ink))
    }

    fn ink(self, text: &str, ink: Ink) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            _ if self.colour == Colour::Never => return text.to_owned(),
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Red => 31,
            Ink::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn title(self, title: &str) -> String {
        let title = cut(&safe(title), self.inner);
        let before = (self.inner - width(&title)) / 2;
        self.line(&format!("{}{title}", " ".repeat(before)), Ink::Plain)
    }

    fn step(self, number: usize, of: usize, step: &StepView) -> Vec<String> {
        let (filled, ink) = match &step.stage {
            Stage::Waiting => (0, Ink::Dim),
            Stage::Running(fraction, _) => (part(*fraction), Ink::Plain),
            Stage::Ended(_) => (BAR, Ink::Plain),
            Stage::Failed(..) => (BAR, Ink::Red),
        };
        let mark = if matches!(step.stage, Stage::Failed(..)) {
            "!"
        } else {
            "="
        };
        let bar = format!("[{}{}]", mark.repeat(filled), " ".repeat(BAR - filled));
        let name = format!("  [{number}/{of}] {}...", safe(&step.title));
        let room = self.inner.saturating_sub(width(&bar) + 2);
        let mut lines = vec![self.line(&format!("{} {bar}", pad(&name, room.saturating_sub(1))), ink)];
        for said in &step.lines {
            let (mark, ink) = if said.warning {
                ("!", Ink::Yellow)
            } else {
                ("✓", Ink::Green)
            };
            lines.extend(self.below(mark, &said.text, ink));
        }
        match &step.stage {
            Stage::Running(_, doing) if !doing.is_empty() => lines.extend(self.below("·", doing, Ink::Dim)),
            Stage::Ended(StepOutcome::AlreadySo) if step.lines.is_empty() => {
                lines.extend(self.below("✓", "already so", Ink::Green));
            }
            Stage::Ended(StepOutcome::NotApplicable) => lines.extend(self.below("-", "skipped", Ink::Dim)),
            Stage::Failed(code, message, hint) => {
                lines.extend(self.below("✗", &format!("{message} ({code})"), Ink::Red));
                lines.extend(self.below(" ", hint, Ink::Plain));
            }
            _ => {}
        }
        lines
    }

    /// Something said below a step, with its mark, on as many lines as it takes.
    fn below(self, mark: &str, text: &str, ink: Ink) -> Vec<String> {
        let room = self.inner.saturating_sub(INDENT + 4);
        let lines = wrap(&safe(text), room);
        let first = |at: usize| if at == 0 { mark } else { " " };
        let line = |(at, text): (usize, &String)| {
            self.line(&format!("{}{} {text}", " ".repeat(INDENT), first(at)), ink)
        };
        lines.iter().enumerate().map(line).collect()
    }

    fn end(self, status: RunStatus, took: &str, summary: &[String]) -> Vec<String> {
        let (sentence, ink) = match status {
            RunStatus::Completed => (format!("✓ Complete in {took}."), Ink::Green),
            RunStatus::Failed => (
                format!("✗ Failed after {took}. What was done is recorded."),
                Ink::Red,
            ),
            _ => (
                format!("! Interrupted after {took}. Run the same command again to continue."),
                Ink::Yellow,
            ),
        };
        let paragraph = |text: &str, ink: Ink| -> Vec<String> {
            let lead = text.len() - text.trim_start().len();
            let room = self.inner.saturating_sub(4 + lead);
            let lines = wrap(&safe(text), room);
            lines
                .iter()
                .map(|line| self.line(&format!("  {}{line}", " ".repeat(lead)), ink))
                .collect()
        };
        let mut lines = paragraph(&sentence, ink);
        if status == RunStatus::Completed && !summary.is_empty() {
            lines.push(self.empty());
            lines.extend(summary.iter().flat_map(|text| paragraph(text, Ink::Plain)));
        }
        lines
    }
}

/// Columns of a bar for a fraction; a step at work shows at least one and never all.
fn part(fraction: f64) -> usize {
    let steps = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
    1 + steps.iter().filter(|step| fraction > **step).count().min(BAR - 2)
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;
    use aami_model::run::{RunEvent, RunEventKind, StepSummary};

    use super::*;

    fn progress(kinds: Vec<RunEventKind>) -> Progress {
        let mut progress = Progress::new();
        for (seq, kind) in kinds.into_iter().enumerate() {
            progress.take(&RunEvent {
                seq: seq as u64 + 1,
                at: Timestamp::EPOCH,
                kind,
            });
        }
        progress
    }

    fn story() -> Vec<RunEventKind> {
        let step = |id: &str, title: &str| StepSummary {
            id: id.into(),
            title: title.into(),
        };
        let note = |step: &str, message: &str, warning| RunEventKind::StepNote {
            step: step.into(),
            message: message.into(),
            warning,
        };
        vec![
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps: vec![
                    step("preflight", "Running preflight checks"),
                    step("gpu", "Installing the GPU exporter"),
                    step("node_exporter", "Installing node_exporter"),
                    step("register", "Registering with the control plane"),
                ],
            },
            RunEventKind::StepStarted {
                step: "preflight".into(),
                attempt: 1,
            },
            note("preflight", "System: Debian 12, 32 GiB, 8 cores", false),
            note("preflight", "名前 wide characters count twice", true),
            RunEventKind::StepCompleted {
                step: "preflight".into(),
                outcome: StepOutcome::AlreadySo,
                duration_ms: 12,
            },
            RunEventKind::StepCompleted {
                step: "gpu".into(),
                outcome: StepOutcome::NotApplicable,
                duration_ms: 0,
            },
            RunEventKind::StepStarted {
                step: "node_exporter".into(),
                attempt: 1,
            },
            RunEventKind::StepProgress {
                step: "node_exporter".into(),
                fraction: 0.5,
                message: "5.2 of 10.4 MB".into(),
            },
        ]
    }

    #[test]
    fn a_run_at_work_looks_like_this() {
        let screen = screen(&progress(story()), "AAMI Node Bootstrap", &[], 64, Colour::Never);
        let expected = "\
┌──────────────────────────────────────────────────────────────┐
│                     AAMI Node Bootstrap                      │
├──────────────────────────────────────────────────────────────┤
│                                                              │
│  [1/4] Running preflight checks...               [========]  │
│        ✓ System: Debian 12, 32 GiB, 8 cores                  │
│        ! 名前 wide characters count twice                    │
│                                                              │
│  [2/4] Installing the GPU exporter...            [========]  │
│        - skipped                                             │
│                                                              │
│  [3/4] Installing node_exporter...               [====    ]  │
│        · 5.2 of 10.4 MB                                      │
│                                                              │
│  [4/4] Registering with the control plane...     [        ]  │
│                                                              │
└──────────────────────────────────────────────────────────────┘
";
        assert_eq!(screen, expected, "\n{screen}");
    }

    #[test]
    fn a_failure_is_told_whole_however_long_it_is() {
        let mut story = story();
        let message = "the port 9100 is held by ".to_owned() + &"Z".repeat(150);
        story.push(RunEventKind::StepFailed {
            step: "node_exporter".into(),
            code: "PORT_IN_USE".into(),
            message,
            hint: "Stop it.".into(),
            details: std::collections::BTreeMap::new(),
            duration_ms: 1500,
        });
        story.push(RunEventKind::RunFinished {
            status: RunStatus::Failed,
            duration_ms: 61_000,
        });
        let screen = screen(
            &progress(story),
            "AAMI",
            &["never shown".into()],
            80,
            Colour::Never,
        );
        let text: String = screen
            .lines()
            .map(|line| line.trim_matches(['│', ' ']).to_owned() + " ")
            .collect();
        assert!(text.contains("(PORT_IN_USE) Stop it."), "{screen}");
        assert_eq!(text.matches('Z').count(), 150);
        assert!(text.contains("Failed after 1 min 01 s") && !text.contains("never shown"));
    }

    #[test]
    fn colour_is_only_there_when_asked_for() {
        let progress = progress(story());
        assert!(!screen(&progress, "t", &[], 80, Colour::Never).contains('\x1b'));
        let coloured = screen(&progress, "t", &[], 80, Colour::Always);
        assert!(coloured.contains("\x1b[32m"));
        for columns in [0, 20, 40, 79, 500] {
            let drawn = screen(&progress, &"long ".repeat(40), &[], columns, Colour::Never);
            let wanted = columns.clamp(NARROWEST, WIDEST);
            assert!(
                drawn.lines().all(|line| width(line) == wanted),
                "{columns}:\n{drawn}"
            );
        }
    }
}
