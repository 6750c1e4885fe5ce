//! What a declared fleet has on this machine beside Prometheus and the like: an exporter, rules, lists, a configuration.

use aami_install::{Cancel, Host};
use aami_plans::stack::Note;
use aami_plans::stack::uninstall::TakenBack;

use crate::cli::failure::Failure;
use crate::cli::init::local;
use crate::cli::surroundings::Surroundings;
use crate::fleet::{Place, forget_configuration, forget_nodes, forget_rules, is_noted};

/// A fleet that is declared on this machine.
pub(super) struct Declared {
    place: Place,
}

impl Declared {
    /// The one there is; none beside a control plane, and where no command of one was at work.
    pub(super) fn here(note: Option<&Note>, surroundings: &Surroundings) -> Option<Self> {
        let place = Place::new(None, None, surroundings);
        let is_declared = note.map_or_else(|| is_noted(&place), |note| !note.wishes.control_plane);
        is_declared.then_some(Self { place })
    }

    /// For sentences, behind the folder of the data.
    pub(super) fn and_its_configuration(&self) -> String {
        format!(" and the configuration {}", self.place.config.display())
    }

    /// What would be taken back of its exporter, last first.
    pub(super) fn recorded(&self, host: &Host) -> Result<Vec<String>, Failure> {
        local::recorded(host)
    }

    /// Takes back the exporter and the rules, before what reads them; the lists too where data goes.
    pub(super) fn take_back(
        &self,
        host: &Host,
        purges: bool,
        cancel: &Cancel,
        taken: &mut TakenBack,
    ) -> Result<(), Failure> {
        if let Some(report) = local::take_back(host, cancel)? {
            let exporter = TakenBack {
                report,
                ..TakenBack::default()
            };
            add(taken, exporter);
        }
        if taken.report.interrupted {
            return Ok(());
        }
        let rules = forget_rules(&self.place)?;
        taken.report.undone.extend(rules);
        if purges {
            taken.purged.extend(forget_nodes(&self.place)?);
        }
        Ok(())
    }

    /// Removes the configuration, when nothing is left that was made from it.
    pub(super) fn forget(self) -> Result<Vec<String>, Failure> {
        forget_configuration(&self.place)
    }
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
