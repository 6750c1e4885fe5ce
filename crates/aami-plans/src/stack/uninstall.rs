//! Taking a server back: what was installed, and its data too where that is asked for.

use aami_install::root::Entry;
use aami_install::{
    Cancel, EffectError, Held, Host, HostPath, InstallError, Installer, Mode, Options, PlanError,
    UninstallReport,
};
use aami_model::code::{self, Code};

use super::purge::{PurgeError, purge};
use super::{NAME, Note, Purpose, Stack, keep};

/// What became of a server.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// What was taken back, what was left and why, what could not be done.
    pub report: UninstallReport,
    /// Data folders that were emptied.
    pub purged: Vec<String>,
    /// What stays on purpose, until it is purged.
    pub stays: Vec<String>,
}

/// Why it could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    /// The host could not be looked at, or is being changed.
    #[error(transparent)]
    Install(Box<InstallError>),
    /// What was looked at is not what is there now.
    #[error("another command changed this server meanwhile, and nothing was taken back; run this one again")]
    Changed,
    /// What stays could not be noted, and without that nobody would know later whose it is.
    #[error("nothing was taken back, because what stays could not be noted: {message}")]
    Keeping {
        /// The condition.
        code: Code,
        /// What happened.
        message: String,
    },
    /// Data could not be removed.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// The steps make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl From<InstallError> for TakeBackError {
    fn from(error: InstallError) -> Self {
        Self::Install(Box::new(error))
    }
}

impl TakeBackError {
    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Install(error) => error.code(),
            Self::Changed => code::CONFLICT,
            Self::Keeping { code, .. } => *code,
            Self::Purge(_) => code::UNDO_INCOMPLETE,
            Self::Plan(_) => code::STEP_FAILED,
        }
    }
}

/// Keeps everybody else from changing the host until all of it is taken back. What `stack` was made from must be what is
/// there: between looking and now another command may have installed something else.
pub fn hold<'a>(host: &'a Host, stack: &'a Stack, options: &Options) -> Result<Held<'a>, TakeBackError> {
    let held = Installer::new(host, stack.plan(), options.clone())?
        .hold()?
        .for_good();
    let looked_at = match &stack.session().options.purpose {
        Purpose::Look(note) => &note.wishes,
        Purpose::Install => stack.session().wishes(),
    };
    match Note::read(host) {
        Some(note) if note.wishes != *looked_at => Err(TakeBackError::Changed),
        _ => Ok(held),
    }
}

/// Takes back what `stack` installed, while `held` keeps others out. Data, the users it belongs to and the operator's own
/// routing of alerts stay, unless `purges`. Called again after a crash it goes on.
pub fn take_back(
    host: &Host,
    stack: &Stack,
    options: &Options,
    purges: bool,
    cancel: &Cancel,
    held: &Held<'_>,
) -> Result<TakenBack, TakeBackError> {
    let wishes = stack.session().wishes();
    let data = keep::plan(wishes)?;
    let installer = |plan| -> Result<Installer<'_>, InstallError> {
        let installer = Installer::new(host, plan, options.clone())?;
        Ok(installer.cancelled_by(cancel.clone()).within(held))
    };
    // What it told about its installation goes with it.
    let told = stack.session().layout().textfile.clone();
    let mut taken = TakenBack::default();
    let mut is_installed = is_recorded(host, options, NAME)?;
    let has_data = is_recorded(host, options, keep::NAME)?;
    if !is_installed && !has_data && !purges {
        // Without a record what is ours is known by its mark. It has to be on record for data to keep its users.
        if let Some(unknown) = installer(stack.plan())?.recover()? {
            is_installed = true;
            taken.report.left.extend(unknown);
        }
    }
    if purges {
        let purged = installer(stack.plan())?.exclusively(|receipts| purge(host, wishes, receipts))??;
        taken.purged = purged.emptied;
        taken.report.left.extend(purged.left);
    } else if is_installed {
        let report = installer(&data)?.run(Mode::Fresh)?;
        match report.failure() {
            None => {}
            Some((failed, _)) if failed == code::INTERRUPTED => {
                taken.report.interrupted = true;
                return Ok(taken);
            }
            Some((code, message)) => return Err(TakeBackError::Keeping { code, message }),
        }
    }
    // Where only data is left of it, what carries this plan's mark belongs to the data by now.
    if is_installed || !has_data {
        taken.add(installer(stack.plan())?.textfile(told, "").uninstall(None)?);
    }
    if purges && !taken.report.interrupted {
        taken.stays.clear();
        taken.add(installer(&data)?.uninstall(None)?);
    }
    Ok(taken)
}

impl TakenBack {
    fn add(&mut self, report: UninstallReport) {
        let claimed = format!("/{}'s", keep::NAME);
        for left in report.left {
            match left
                .strip_suffix(&claimed)
                .and_then(|text| text.split_once(" is also "))
            {
                Some((what, _)) => self.stays.push(what.to_owned()),
                None => self.report.left.push(left),
            }
        }
        self.report.undone.extend(report.undone);
        self.report.kept.extend(report.kept);
        self.report.failed.extend(report.failed);
        self.report.traces.extend(report.traces);
        self.report.interrupted |= report.interrupted;
    }
}

/// Where a plan's receipt is.
pub fn receipt(cluster: &str, plan: &str) -> Result<HostPath, aami_install::NotAHostPath> {
    HostPath::new(format!("/var/lib/aami/install/{cluster}/{plan}/receipt.json"))
}

/// Whether a plan's receipt is on the host.
pub fn is_recorded(host: &Host, options: &Options, plan: &str) -> Result<bool, InstallError> {
    let Ok(path) = receipt(&options.cluster, plan) else {
        return Ok(false);
    };
    Ok(host.root.entry(&path).map_err(EffectError::from)? != Entry::Absent)
}
