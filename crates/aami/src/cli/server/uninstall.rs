//! `aami server uninstall`: what was installed on this machine, with a control plane or for a [declared fleet](fleet).

mod fleet;
mod planned;

use aami_install::{Host, Installer};
use aami_model::{Exit, code};
use aami_plans::stack::Stack;
use aami_plans::stack::uninstall::{TakenBack, hold, take_back};
use clap::Args;
use serde_json::json;

use super::{build, options_for, shown};
use crate::cli::ask::question;
use crate::cli::failure::Failure;
use crate::cli::output::Manner;
use crate::cli::surroundings::Surroundings;
use fleet::Declared;
use planned::Planned;

/// Take back everything that install changed on this machine; data stays unless told otherwise
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  sudo aami server uninstall --dry-run
  sudo aami server uninstall
  sudo aami server uninstall --purge-data --yes")]
pub(crate) struct Uninstall {
    /// Remove the data too: nodes, keys, tokens, metrics, dashboards, routing of alerts, and of a declared fleet its
    /// configuration; it cannot be had back
    #[arg(long)]
    purge_data: bool,
    /// Do not ask before data is removed
    #[arg(long, requires = "purge_data")]
    yes: bool,
    /// Show what would be taken back and change nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    manner: Manner,
}

impl Uninstall {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::found(code::NOT_ROOT, code::NOT_ROOT.sentence));
        }
        let host = Host::system().map_err(Failure::Runtime)?;
        let (stack, note) = build::look(&host)?;
        let wishes = stack.session().wishes();
        let declared = Declared::here(note.as_ref(), surroundings)?;
        if self.dry_run {
            return self.plan(&host, &stack, declared.as_ref());
        }
        let what = format!(
            "All data in {}{} is removed for good. Type yes to go on: ",
            wishes.data_dir,
            declared
                .as_ref()
                .map_or_else(String::new, Declared::and_its_configuration)
        );
        self.agreed(|| question(&what))?;
        let cancel = shown::cancel_on_signals()?;
        let mut taken = TakenBack::default();
        // Nobody installs meanwhile: an installation would start again what is stopped here.
        let options = options_for(wishes);
        let held = hold(&host, &stack, &options)?;
        if let Some(declared) = &declared {
            declared.take_back(&host, self.purge_data, &cancel, &held, &mut taken)?;
        }
        if !taken.report.interrupted {
            let stack = take_back(&host, &stack, &options, self.purge_data, &cancel, &held)?;
            fleet::add(&mut taken, stack);
        }
        if let Some(declared) = declared.filter(|_| self.purge_data && taken.report.code().is_none()) {
            taken.purged.extend(declared.forget()?);
        }
        self.show(&taken);
        Ok(taken.report.code().map_or(Exit::Ok, |code| code.exit))
    }

    /// Whether somebody agrees that data is removed. `ask` asks at the terminal itself: where the output goes says
    /// nothing about who agrees.
    fn agreed(&self, ask: impl FnOnce() -> Result<String, Failure>) -> Result<(), Failure> {
        if !self.purge_data || self.yes {
            return Ok(());
        }
        let nobody = "there is nobody to ask whether to remove the data; say --yes";
        if ask().map_err(|_| Failure::invalid(nobody))? == "yes" {
            return Ok(());
        }
        Err(Failure::found_with(
            code::INTERRUPTED,
            "nothing was changed",
            "Leave --purge-data out to keep the data.",
        ))
    }

    /// What is recorded, last first: the order it is taken back in.
    fn plan(&self, host: &Host, stack: &Stack, declared: Option<&Declared>) -> Result<Exit, Failure> {
        let session = stack.session();
        let wishes = session.wishes();
        let stack = Installer::new(host, stack.plan(), options_for(wishes))?.recorded()?;
        let exporter = declared.map_or_else(|| Ok(Vec::new()), |declared| declared.recorded(host))?;
        let planned = Planned::of(declared, exporter, stack, self.purge_data);
        if self.json {
            shown::json(&planned.json(self.purge_data, &json!(wishes.data_dir)));
            return Ok(Exit::Ok);
        }
        for line in planned.lines() {
            shown::line(&line);
        }
        let data = if self.purge_data {
            "is removed"
        } else {
            "stays, with its users"
        };
        shown::line(&format!(
            "  The data in {}{} {data}. Nothing was changed.",
            wishes.data_dir,
            declared.map_or_else(String::new, Declared::and_its_configuration)
        ));
        Ok(Exit::Ok)
    }

    fn show(&self, taken: &TakenBack) {
        let report = &taken.report;
        if self.json {
            let failed: Vec<_> = report
                .failed
                .iter()
                .map(|failure| {
                    let (subject, code, message) = (&failure.subject, failure.code.symbol, &failure.message);
                    json!({ "subject": subject, "code": code, "message": message })
                })
                .collect();
            shown::json(&json!({
                "type": "uninstalled", "undone": report.undone, "kept": report.kept, "left": report.left,
                "traces": report.traces,
                "stays": taken.stays, "purged": taken.purged, "failed": failed, "interrupted": report.interrupted,
            }));
            return;
        }
        // What is as it was before is no news; what is not, is.
        let is_news = |word: &str| !self.manner.quiet || word == "left";
        for (word, list) in [
            ("removed", &taken.purged),
            ("taken back", &report.undone),
            ("left", &report.left),
            ("left", &report.traces),
        ] {
            for what in list.iter().filter(|_| is_news(word)) {
                shown::line(&format!("  {word:<12} {what}"));
            }
        }
        for kept in &report.kept {
            shown::line(&format!("  edit kept    {kept}"));
        }
        for failure in &report.failed {
            let hint = &failure.hint;
            shown::line(&format!(
                "  not possible {}: {} ({hint})",
                failure.subject, failure.message
            ));
        }
        if !taken.stays.is_empty() {
            shown::line("Kept with the data, until `aami server uninstall --purge-data`:");
            for what in &taken.stays {
                shown::line(&format!("  kept         {what}"));
            }
        }
        shown::line(
            match (
                report.undone.is_empty(),
                report.failed.is_empty(),
                report.interrupted,
            ) {
                (_, _, true) => "Interrupted; run it again to continue.",
                (_, false, _) => "Not all of it could be taken back; what is left stays recorded.",
                (true, ..) => "There was nothing to take back.",
                (false, ..) if !taken.stays.is_empty() || !report.left.is_empty() => {
                    "This machine is as it was before AAMI, but for what is listed above."
                }
                (false, ..) => "This machine is as it was before AAMI.",
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_removed_only_where_somebody_agrees_whatever_happens_to_the_output() {
        for json in [false, true] {
            let wanted = |purge_data, yes| Uninstall {
                purge_data,
                yes,
                dry_run: false,
                json,
                manner: Manner::default(),
            };
            let nobody = || Err(Failure::Runtime(std::io::ErrorKind::NotFound.into()));
            let failed = wanted(true, false).agreed(nobody).unwrap_err();
            assert_eq!(failed.code(), Some(code::INVALID));
            let failed = wanted(true, false).agreed(|| Ok("y".to_owned())).unwrap_err();
            assert_eq!(failed.code(), Some(code::INTERRUPTED));
            assert!(wanted(true, false).agreed(|| Ok("yes".to_owned())).is_ok());
            assert!(wanted(true, true).agreed(nobody).is_ok());
            assert!(wanted(false, false).agreed(nobody).is_ok());
        }
    }
}
