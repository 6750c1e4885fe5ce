//! The command, as both programs have it: look, say what was found, mend what the operator agrees to, and
//! look again.
//!
//! It speaks through a [`Talk`], so that the program alone prints and asks.

use aami_install::{Host, InstallError, Installer, Mode as InstallMode, Options, UninstallReport};
use aami_inventory::Commands;
use aami_model::code::{self, Code};
use aami_model::run::RunStatus;

use super::facts::World;
use super::fix::{self, Fix, FixError};
use super::json::json_with;
use super::report::Report;
use super::request::Request;
use super::road::RealRoad;
use super::text::{Detail, text};

/// How the command speaks with whoever started it.
pub trait Talk {
    /// Shows text on standard output.
    fn show(&mut self, text: &str);

    /// Says something beside the result.
    fn note(&mut self, text: &str);

    /// Asks a question with yes or no; `None` where nobody can be asked.
    fn ask(&mut self, question: &str) -> Option<bool>;
}

/// What the command was told to do beside looking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Mend what can be mended.
    pub fix: bool,
    /// Without asking.
    pub yes: bool,
    /// Take back what was mended before.
    pub undo: bool,
    /// Show what mending or taking back would do, and do nothing.
    pub dry: bool,
    /// Speak JSON.
    pub json: bool,
    /// How much to show.
    pub detail: Detail,
}

/// Why the command came to no result.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The installer did not begin.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// What was to be mended makes no plan.
    #[error(transparent)]
    Fix(#[from] FixError),
    /// Mending needs root.
    #[error("mending needs root; looking does not")]
    NotRoot,
    /// Nobody can be asked.
    #[error("there is nobody to ask whether to change this machine; say --yes")]
    NobodyToAsk,
}

impl PreflightError {
    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Install(error) => error.code(),
            Self::Fix(error) => error.code(),
            Self::NotRoot => code::NOT_ROOT,
            Self::NobodyToAsk => code::INVALID,
        }
    }
}

/// The machine the command works on.
pub struct Machine<'a> {
    /// For changing it.
    pub host: &'a Host,
    /// For looking at it.
    pub look: aami_inventory::Host<'a>,
}

impl<'a> Machine<'a> {
    /// The machine this runs on.
    pub fn this(host: &'a Host, commands: &'a dyn Commands) -> Self {
        Self {
            host,
            look: aami_inventory::Host::this(commands),
        }
    }

    fn report(&self, request: &Request) -> Report {
        let clock = || self.host.clock.now();
        let road = RealRoad { clock: &clock };
        let world = World {
            host: self.look,
            road: &road,
            now: self.host.clock.now(),
        };
        super::look(&world, request)
    }
}

/// Runs the command and answers what the program exits with: 0, or 1 where an issue was found.
pub fn run(
    machine: &Machine<'_>,
    request: &Request,
    wishes: Wishes,
    talk: &mut dyn Talk,
) -> Result<u8, PreflightError> {
    if wishes.undo {
        return undo(machine, request, wishes, talk);
    }
    let mut report = machine.report(request);
    let mut fixed = Vec::new();
    if wishes.fix {
        let agreed = agreed(machine, &report, wishes, talk)?;
        if !agreed.is_empty() {
            fixed = mend(machine, request, &agreed, wishes, talk)?;
            report = machine.report(request);
        }
    }
    let shown = if wishes.json {
        json_with(&report, &fixed)
    } else {
        text(&report, wishes.detail, !wishes.fix)
    };
    if !shown.is_empty() {
        talk.show(&shown);
    }
    Ok(report.exit_code())
}

/// What of the things that can be mended the operator wants mended.
fn agreed(
    machine: &Machine<'_>,
    report: &Report,
    wishes: Wishes,
    talk: &mut dyn Talk,
) -> Result<Vec<Fix>, PreflightError> {
    let wanted = fix::wanted(report);
    if wanted.is_empty() {
        if wishes.dry {
            talk.note("There is nothing that can be mended.");
        }
        return Ok(Vec::new());
    }
    if wishes.dry {
        return Ok(wanted.into_iter().map(|(fix, _)| fix).collect());
    }
    if !machine.look.privileged {
        return Err(PreflightError::NotRoot);
    }
    let mut agreed = Vec::new();
    for (fix, check) in wanted {
        let is_asked = fix.is_bold() && !wishes.yes;
        if is_asked {
            let question = format!("{} Shall I {}?", ended(&check.message), fix.describe());
            if !talk.ask(&question).ok_or(PreflightError::NobodyToAsk)? {
                continue;
            }
        }
        agreed.push(fix);
    }
    Ok(agreed)
}

fn ended(sentence: &str) -> String {
    format!("{}.", sentence.trim_end_matches('.'))
}

/// Shows the exact plan, asks, and carries it out. Answers what was changed.
fn mend(
    machine: &Machine<'_>,
    request: &Request,
    fixes: &[Fix],
    wishes: Wishes,
    talk: &mut dyn Talk,
) -> Result<Vec<String>, PreflightError> {
    let plan = fix::plan(fixes, request)?;
    let options = || Options {
        // A package is there before its service starts, and each thing is said in its turn.
        parallel: 1,
        approvals: vec![fix::APPROVAL.to_owned()],
        ..Options::default()
    };
    let dry = Installer::new(machine.host, &plan, options())?.dry_run()?;
    let mut shown = String::from("What --fix will do:\n");
    for fix in fixes {
        shown.push_str(&format!("  {}\n", fix.describe()));
    }
    shown.push_str("As changes to this machine, each with its undo:\n");
    for step in &dry.steps {
        for planned in &step.effects {
            shown.push_str(&format!("    {}\n", planned.effect));
        }
    }
    shown.push_str("`preflight --undo-fix` takes it back, except for locks that were removed.\n");
    talk.note(shown.trim_end());
    if wishes.dry || (!wishes.yes && !talk.ask("Shall I do this?").ok_or(PreflightError::NobodyToAsk)?) {
        talk.note("Nothing was changed.");
        return Ok(Vec::new());
    }
    let outcome = Installer::new(machine.host, &plan, options())?.run(InstallMode::Fresh)?;
    if outcome.status != RunStatus::Completed
        && let Some((code, sentence)) = outcome.failure()
    {
        talk.note(&format!("not all could be mended: {sentence} ({})", code.symbol));
    }
    Ok(outcome.executed.iter().map(ToString::to_string).collect())
}

/// Takes back what was mended before, by its receipt.
fn undo(
    machine: &Machine<'_>,
    request: &Request,
    wishes: Wishes,
    talk: &mut dyn Talk,
) -> Result<u8, PreflightError> {
    if !machine.look.privileged {
        return Err(PreflightError::NotRoot);
    }
    let plan = fix::plan(&[], request)?;
    let recorded = Installer::new(machine.host, &plan, Options::default())?.recorded()?;
    if !recorded.is_empty() && (wishes.dry || !wishes.yes) {
        let list: String = recorded.iter().map(|what| format!("  {what}\n")).collect();
        talk.note(format!("What --undo-fix will take back:\n{list}").trim_end());
        if wishes.dry || !talk.ask("Shall I do this?").ok_or(PreflightError::NobodyToAsk)? {
            talk.note("Nothing was changed.");
            return Ok(0);
        }
    }
    let report = Installer::new(machine.host, &plan, Options::default())?.uninstall(None)?;
    talk.show(&undone(&report, wishes.json));
    Ok(report.code().map_or(0, |code| code.exit.number()))
}

fn undone(report: &UninstallReport, json: bool) -> String {
    let failed: Vec<String> = report
        .failed
        .iter()
        .map(|failure| format!("{}: {}", failure.subject, failure.message))
        .collect();
    let kept = report.kept.iter().map(ToString::to_string);
    let left: Vec<String> = kept.chain(report.left.iter().cloned()).collect();
    let done: Vec<String> = report.undone.iter().map(ToString::to_string).collect();
    if json {
        let value = serde_json::json!({ "type": "undone", "undone": done, "left": left, "failed": failed });
        return format!("{value}\n");
    }
    let mut text = String::new();
    for (word, lines) in [("taken back", &done), ("left", &left), ("not possible", &failed)] {
        for line in lines {
            text.push_str(&format!("  {word:<12} {line}\n"));
        }
    }
    if text.is_empty() {
        text.push_str("There was nothing to take back.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Mode;

    /// Somebody who answers every question like this.
    struct Answers(Option<bool>);

    impl Talk for Answers {
        fn show(&mut self, _: &str) {}

        fn note(&mut self, _: &str) {}

        fn ask(&mut self, _: &str) -> Option<bool> {
            self.0
        }
    }

    #[test]
    fn what_was_mended_is_taken_back_only_where_somebody_agrees() {
        // Given a machine on which a folder was made,
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let users = format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n");
        std::fs::write(root.path().join("etc/passwd"), users).unwrap();
        std::fs::write(root.path().join("etc/group"), format!("root:x:{gid}:\n")).unwrap();
        let host = Host::folder(root.path()).unwrap();
        let request = Request::new(Mode::Node);
        let plan = fix::plan(&[Fix::Folder("/made".to_owned())], &request).unwrap();
        let installer = Installer::new(&host, &plan, Options::default()).unwrap();
        assert_eq!(installer.run(InstallMode::Fresh).unwrap().failure(), None);
        let made = root.path().join("made");
        // when it is to be taken back,
        let commands = aami_inventory::SystemCommands::default();
        let mut machine = Machine::this(&host, &commands);
        machine.look.privileged = true;
        let wished = |wishes, answer| run(&machine, &request, wishes, &mut Answers(answer));
        let undo = |yes, answer| {
            let (undo, wishes) = (true, Wishes::default());
            wished(Wishes { undo, yes, ..wishes }, answer)
        };
        // then it stays where nobody can be asked, and where the answer is no,
        assert!(matches!(undo(false, None), Err(PreflightError::NobodyToAsk)));
        assert_eq!(undo(false, Some(false)).unwrap(), 0);
        assert!(made.is_dir());
        // also in a dry run, which asks nobody,
        let dry_run = Wishes {
            undo: true,
            dry: true,
            ..Wishes::default()
        };
        assert_eq!(wished(dry_run, None).unwrap(), 0);
        assert!(made.is_dir());
        // and goes where it is yes. What is nothing is not asked about.
        assert_eq!(undo(false, Some(true)).unwrap(), 0);
        assert!(!made.exists());
        assert_eq!(undo(false, None).unwrap(), 0);
    }
}
