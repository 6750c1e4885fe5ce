//! The report for people: what was looked at by category, each with its outcome, then what to do, as a terminal shows
//! it.

use std::fmt::Write as _;

use super::json::VERSION;
use super::report::{Category, Check, Outcome, Report};
use super::request::Mode;

/// How much is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// The checks people ask about, and everything that did not pass.
    #[default]
    Usual,
    /// Errors alone.
    Quiet,
    /// Every check with its evidence.
    Verbose,
}

/// The report as text; `can_fix` where the reader may be told of `--fix`.
pub fn text(report: &Report, detail: Detail, can_fix: bool) -> String {
    let mut text = String::new();
    if detail != Detail::Quiet {
        heading(&mut text, report);
        for category in Category::ALL {
            let shown: Vec<&Check> = report
                .of(category)
                .filter(|check| is_shown(check, detail))
                .collect();
            if shown.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{}", category.title());
            for check in shown {
                line(&mut text, check, detail);
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{}", "━".repeat(40));
        result(&mut text, report);
    }
    let errors: Vec<&Check> = report.errors().collect();
    let warnings: Vec<&Check> = report.warnings().collect();
    if detail != Detail::Quiet && !warnings.is_empty() {
        text.push_str("\nWARNINGS:\n");
        for check in &warnings {
            issue(&mut text, check);
        }
    }
    if !errors.is_empty() {
        let before = if detail == Detail::Quiet { "" } else { "\n" };
        let _ = writeln!(text, "{before}ERRORS:");
        for check in &errors {
            issue(&mut text, check);
        }
    }
    if detail != Detail::Quiet {
        let fixable = report
            .checks
            .iter()
            .any(|check| check.is_issue() && check.fix.is_some());
        text.push('\n');
        if can_fix && fixable {
            text.push_str("Run with --fix to attempt automatic fixes.\n");
        }
        let _ = writeln!(text, "Exit code: {}", report.exit_code());
    }
    text
}

fn heading(text: &mut String, report: &Report) {
    let title = format!("AAMI Preflight Check v{VERSION}");
    let _ = writeln!(text, "{title}\n{}\n", "=".repeat(title.len()));
    let mode = match report.choice.mode {
        Mode::Server => "Server Installation",
        Mode::Node => "Node Installation",
    };
    let because = |why: &Option<String>| {
        why.as_ref()
            .map_or_else(String::new, |why| format!(" (chosen: {why})"))
    };
    let _ = writeln!(text, "Mode: {mode}{}", because(&report.choice.mode_because));
    if report.choice.mode == Mode::Server {
        let runtime = report.choice.runtime.name();
        let _ = writeln!(
            text,
            "Runtime: {runtime}{}",
            because(&report.choice.runtime_because)
        );
    }
    text.push('\n');
}

fn is_shown(check: &Check, detail: Detail) -> bool {
    match check.outcome {
        Outcome::Failed | Outcome::Warned | Outcome::Ignored => true,
        Outcome::Passed => detail == Detail::Verbose || !check.quiet,
        Outcome::Skipped => detail == Detail::Verbose,
    }
}

const fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Warned => "!",
        Outcome::Ignored => "~",
        Outcome::Skipped => "-",
    }
}

fn line(text: &mut String, check: &Check, detail: Detail) {
    let before = match check.outcome {
        Outcome::Skipped => "skipped: ",
        Outcome::Ignored => "ignored: ",
        _ => "",
    };
    let _ = writeln!(
        text,
        "  [{}] {}: {before}{}",
        mark(check.outcome),
        check.title,
        harmless(&check.summary)
    );
    if detail == Detail::Verbose && check.outcome != Outcome::Skipped {
        let evidence = &check.evidence;
        let mut known = Vec::new();
        if !evidence.measured.is_null() {
            known.push(format!("measured {}", evidence.measured));
        }
        if !evidence.limit.is_null() {
            known.push(format!("limit {}", evidence.limit));
        }
        if !evidence.source.is_empty() {
            known.push(format!("from {}", evidence.source));
        }
        if !known.is_empty() {
            let _ = writeln!(text, "      {}", harmless(&known.join(", ")));
        }
    }
}

fn result(text: &mut String, report: &Report) {
    let count = report.errors().count();
    let _ = match count {
        0 => writeln!(text, "Result: no issues found"),
        1 => writeln!(text, "Result: 1 issue found"),
        count => writeln!(text, "Result: {count} issues found"),
    };
}

fn issue(text: &mut String, check: &Check) {
    let sentence = check.sentence.as_ref().unwrap_or(&check.message);
    let _ = writeln!(text, "  [{}] {}", mark(check.outcome), harmless(sentence));
    for (at, remedy) in check.remedies.iter().enumerate() {
        let word = if at == 0 { "Fix" } else { "Or" };
        let _ = writeln!(text, "      {word}: {}", harmless(&remedy.text));
    }
    if let Some(code) = check.code {
        let _ = writeln!(
            text,
            "      Code: {} ({}; docs/explain says more)",
            code.symbol,
            code.id()
        );
    }
}

/// Text of the machine's without what a terminal would take for a command.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
