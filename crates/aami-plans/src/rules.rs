//! Rules on their way into a Prometheus: judged, placed in its folder, loaded and seen to be loaded, or taken back.
//!
//! Whoever has rules for a Prometheus on this machine goes through here: the operator's commands for a declared fleet,
//! the control plane for the one beside it, a node's agent for the one beside that. Begin at [`Site::apply`]; it answers
//! [`Placed`], which is [kept](Placed::keep) or [taken back](Placed::take_back).
//!
//! | step | what holds when the process dies after it |
//! |---|---|
//! | judged | nothing was touched |
//! | noted, with what was there | the old rules; whoever comes next goes on from them |
//! | placed, reloaded, seen | the next one first puts back what was noted, then begins anew |
//! | kept | the new rules |
//!
//! A folder has one owner, named in its [note](folder); another's rules are refused. Files that nobody of us made are
//! left alone. Nothing here prints, and everything blocks: up to a minute where a Prometheus is slow, so a server calls
//! it from a thread that may wait.

mod compared;
mod error;
mod folder;
mod judge;
mod load;
mod prometheus;

use std::path::PathBuf;
use std::time::Duration;

use aami_inventory::Commands;
use aami_model::rule_file::{self, RuleFile};

use crate::whole_file::{self, Held};

pub use compared::{Compared, compared};
pub use error::RulesError;
pub use folder::{NOTE, Owner, forget, owner_of};
pub use prometheus::{
    Engine, EngineError, LoadedAlert, LoadedGroup, LoadedRule, LoadedTarget, Reload, Targets, Value,
    on_this_machine,
};

use folder::{Before, Folder};

/// Where the stack's programs are installed, each in a folder of its name and version.
pub const INSTALLED: &str = "/opt/aami";
/// Prometheus as `aami init` and `aami server install` run it.
pub const UNIT: &str = "aami-prometheus.service";
/// How long Prometheus may take to take rules over.
const LOADING: Duration = Duration::from_secs(15);

/// Where rules go, and who reads them.
pub struct Site<'a> {
    /// The folder Prometheus reads.
    pub folder: PathBuf,
    /// Whose rules these are.
    pub owner: Owner,
    /// Whether this owner follows that one, whose rules are there.
    pub follows: &'a dyn Fn(&Owner) -> bool,
    /// The Prometheus that reads the folder.
    pub prometheus: Engine,
    /// Runs promtool and systemctl.
    pub commands: &'a dyn Commands,
    /// The folder of installed programs, where a promtool may be.
    pub installed: PathBuf,
    /// The unit that is reloaded where Prometheus cannot be told by HTTP.
    pub unit: Option<&'a str>,
}

/// What became of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Prometheus has loaded them. Those it cannot evaluate, each with the reason.
    Loaded(Vec<String>),
    /// They are in place, and nobody is there who would load them: why.
    Waiting(String),
}

/// Whether there was a promtool to judge rules. Where there is none, Prometheus judges them when it loads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It had nothing against them.
    Sound,
    /// There is none on this machine.
    Nobody,
}

/// How rules stand that were applied before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// They are in place, and Prometheus has them; those it cannot evaluate, each with the reason.
    Loaded(Vec<String>),
    /// They are in place, and nobody is there who would load them: why.
    Waiting(String),
    /// They are to be applied (again): why.
    Otherwise(String),
}

/// Rules in their place, which nobody else of us changes before this is kept, taken back or dropped. Dropped means that
/// the next one to come takes them back.
#[must_use = "rules that are not kept are taken back by whoever comes next"]
pub struct Placed<'a> {
    site: &'a Site<'a>,
    applied: Applied,
    judged: Judged,
    before: Before,
    folder: Folder,
    names: Vec<String>,
    _held: Held,
}

impl Site<'_> {
    /// Has the rules judged by promtool, where there is one. Touches nothing.
    pub fn judge(&self, files: &[RuleFile]) -> Result<Judged, RulesError> {
        rule_file::check(files)?;
        judge::judged(self.commands, &self.installed, files)
    }

    /// Whether the folder may be changed for this owner; an absent one may.
    pub fn look(&self) -> Result<(), RulesError> {
        match Folder::read(&self.folder)? {
            Some(folder) => folder.own(&self.owner, self.follows),
            None => Ok(()),
        }
    }

    /// Whether rules of this owner are in the folder.
    pub fn is_in_use(&self) -> Result<bool, RulesError> {
        Ok(Folder::read(&self.folder)?.is_some_and(|folder| folder.is_used_by(&self.owner, self.follows)))
    }

    /// Brings the folder to these rules, and Prometheus to the folder.
    ///
    /// In: all rules there shall be, also none. Out: the rules in their place, loaded by Prometheus, or waiting where
    /// nobody listens at its address. Fails with everything as before: on rules that promtool refuses, on a folder of
    /// another owner, on a Prometheus that is still starting ([`RulesError::Starting`]: nothing is wrong, and later is
    /// soon enough), that answers strangely, or that does not take the rules over.
    pub fn apply(&self, files: &[RuleFile]) -> Result<Placed<'_>, RulesError> {
        let judged = self.judge(files)?;
        self.look()?;
        std::fs::create_dir_all(&self.folder).map_err(RulesError::file(&self.folder, "made"))?;
        let held = whole_file::hold(&self.folder.join(NOTE))?;
        let mut folder = Folder::open(&self.folder)?;
        folder.own(&self.owner, self.follows)?;
        folder.recover()?;
        let before = folder.before(&self.owner)?;
        let earlier = self.standing()?;
        folder.begin(&self.owner, &before, files)?;
        let outcome = folder.place(&before, files).and_then(|()| match earlier {
            Ok(earlier) => load::load(self, earlier, files).map(Applied::Loaded),
            // One that came meanwhile may have read the folder before these rules were in it.
            Err(_) => match self.standing()? {
                Ok(earlier) => load::load(self, earlier, files).map(Applied::Loaded),
                Err(why) => Ok(Applied::Waiting(why)),
            },
        });
        match outcome {
            Ok(applied) => Ok(Placed {
                site: self,
                applied,
                judged,
                before,
                folder,
                names: files.iter().map(|file| file.name.clone()).collect(),
                _held: held,
            }),
            Err(error) => {
                self.restore(&mut folder, &before)?;
                Err(error)
            }
        }
    }

    /// How rules stand that are said to be in place. Changes nothing.
    pub fn seen(&self, files: &[RuleFile]) -> Result<Seen, RulesError> {
        let Some(folder) = Folder::read(&self.folder)? else {
            return Ok(Seen::Otherwise("there is no folder of rules".to_owned()));
        };
        folder.own(&self.owner, self.follows)?;
        if let Some(why) = folder.differs(&self.owner, files)? {
            return Ok(Seen::Otherwise(why));
        }
        match self.prometheus.rules_alone() {
            Ok(loaded) => Ok(match compared(&loaded, Some(&self.folder), files).outcome() {
                Ok(failing) => Seen::Loaded(failing),
                Err(missing) => Seen::Otherwise(format!("Prometheus has not loaded {missing}")),
            }),
            Err(error) if error.is_starting() => Ok(Seen::Waiting(load::starting(self))),
            Err(error @ EngineError::Silent { is_refused: true, .. }) => Ok(Seen::Waiting(error.to_string())),
            Err(error) => Err(RulesError::NotLoaded(error.to_string())),
        }
    }

    /// How Prometheus stands before it is told anything; why nobody is there, where nobody is. Fails where somebody is
    /// there of whom it cannot be known whether they would take rules over, one that is still starting among them.
    fn standing(&self) -> Result<Result<Reload, String>, RulesError> {
        match self.prometheus.reload() {
            Ok(_) if self.prometheus.is_starting() => Err(RulesError::Starting(load::starting(self))),
            Ok(earlier) => Ok(Ok(earlier)),
            Err(error @ EngineError::Silent { is_refused: true, .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(RulesError::NotLoaded(error.to_string())),
        }
    }

    /// Makes the folder what it was, and Prometheus read it.
    fn restore(&self, folder: &mut Folder, before: &Before) -> Result<(), RulesError> {
        folder.restore(before)?;
        // Whatever it says: the rules on the disk are those from before, and Prometheus has them or keeps to them.
        let _ = load::told_to_reload(self);
        Ok(())
    }
}

impl Placed<'_> {
    /// What became of them.
    pub const fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Whether promtool judged them.
    pub const fn judged(&self) -> Judged {
        self.judged
    }

    /// They stay.
    pub fn keep(mut self) -> Result<(Applied, Judged), RulesError> {
        self.folder.end(&self.site.owner, self.names)?;
        Ok((self.applied, self.judged))
    }

    /// The folder becomes what it was, and Prometheus reads it again.
    pub fn take_back(mut self) -> Result<(), RulesError> {
        self.site.restore(&mut self.folder, &self.before)
    }
}

#[cfg(test)]
mod tests;
