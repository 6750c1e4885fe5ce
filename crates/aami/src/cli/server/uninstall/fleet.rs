//! What a declared fleet has on this machine beside Prometheus and the like: an exporter, rules, lists, a configuration.

use std::path::PathBuf;

use aami_install::{Cancel, Held, Host};
use aami_plans::stack::Note;
use aami_plans::stack::uninstall::TakenBack;

use crate::cli::failure::Failure;
use crate::cli::init::local;
use crate::cli::surroundings::Surroundings;
use crate::fleet::{Place, Remains, is_noted};

/// A fleet that is declared on this machine.
pub(super) struct Declared {
    remains: Remains,
}

impl Declared {
    /// The one there is; none beside a control plane, and where no command of one was at work. Fails where nobody can
    /// tell whose its things are.
    pub(super) fn here(note: Option<&Note>, surroundings: &Surroundings) -> Result<Option<Self>, Failure> {
        let place = Place::new(None, None, surroundings);
        let is_declared = note.map_or_else(|| is_noted(&place), |note| !note.wishes.control_plane);
        if !is_declared {
            return Ok(None);
        }
        Remains::look(&place).map(Self::of).map(Some)
    }

    /// One of which these things are there.
    pub(super) const fn of(remains: Remains) -> Self {
        Self { remains }
    }

    /// For sentences, behind the folder of the data.
    pub(super) fn and_its_configuration(&self) -> String {
        format!(" and the configuration {}", self.remains.config().display())
    }

    /// What would be taken back of its exporter, last first.
    pub(super) fn recorded(&self, host: &Host) -> Result<Vec<String>, Failure> {
        local::recorded(host)
    }

    /// The rules that would be taken back.
    pub(super) fn rules(&self) -> Vec<String> {
        shown(&self.remains.rules).collect()
    }

    /// What would be removed with the data.
    pub(super) fn purges(&self) -> Vec<String> {
        let (nodes, configuration) = (&self.remains.nodes, &self.remains.configuration);
        shown(nodes).chain(shown(configuration)).collect()
    }

    /// What stays because it is another's.
    pub(super) fn others(&self) -> &[String] {
        &self.remains.others
    }

    /// Takes back the exporter and the rules, before what reads them; the lists too where data goes.
    pub(super) fn take_back(
        &self,
        host: &Host,
        purges: bool,
        cancel: &Cancel,
        held: &Held<'_>,
        taken: &mut TakenBack,
    ) -> Result<(), Failure> {
        if let Some(report) = local::take_back(host, cancel, held)? {
            let exporter = TakenBack {
                report,
                ..TakenBack::default()
            };
            add(taken, exporter);
        }
        if taken.report.interrupted {
            return Ok(());
        }
        taken.report.undone.extend(self.remains.forget_rules()?);
        taken.report.left.extend(self.remains.others.iter().cloned());
        if purges {
            taken.purged.extend(self.remains.forget_nodes()?);
        }
        Ok(())
    }

    /// Removes the configuration, when nothing is left that was made from it.
    pub(super) fn forget(self) -> Result<Vec<String>, Failure> {
        self.remains.forget_configuration()
    }
}

fn shown(files: &[PathBuf]) -> impl Iterator<Item = String> {
    files.iter().map(|path| path.display().to_string())
}

/// Puts two reports into one.
pub(super) fn add(taken: &mut TakenBack, more: TakenBack) {
    taken.purged.extend(more.purged);
    taken.stays.extend(more.stays);
    let (report, more) = (&mut taken.report, more.report);
    report.undone.extend(more.undone);
    report.kept.extend(more.kept);
    report.left.extend(more.left);
    report.traces.extend(more.traces);
    report.failed.extend(more.failed);
    report.interrupted |= more.interrupted;
}
