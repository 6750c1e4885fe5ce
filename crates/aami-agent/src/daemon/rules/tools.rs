//! What rules are brought in with, and taken out again.

use std::path::{Path, PathBuf};

use aami_inventory::{Commands, SystemCommands};
use aami_plans::rules::{self, Engine, Owner, RulesError, Site};

use super::TOOL;
use super::place::{self, Places};

/// Programs of this node, and where they are.
pub(super) struct Tools<'a> {
    commands: &'a dyn Commands,
    installed: PathBuf,
    unit: Option<&'static str>,
}

impl<'a> Tools<'a> {
    /// Of the node whose `/` is `root`.
    pub(super) fn of(root: &Path, commands: &'a dyn Commands) -> Self {
        Self {
            commands,
            installed: root.join(rules::INSTALLED.trim_start_matches('/')),
            // A folder that stands for a host has no units.
            unit: (root == Path::new("/")).then_some(rules::UNIT),
        }
    }

    /// A folder, and the Prometheus that reads it.
    pub(super) fn site<'s>(
        &'s self,
        folder: PathBuf,
        prometheus: &str,
        address: &str,
        follows: &'s dyn Fn(&Owner) -> bool,
    ) -> Site<'s> {
        Site {
            folder,
            owner: Owner::Agent {
                prometheus: prometheus.to_owned(),
                address: address.to_owned(),
            },
            follows,
            prometheus: Engine::at(address),
            commands: self.commands,
            installed: self.installed.clone(),
            unit: self.unit,
        }
    }

    /// Takes the rules out of every folder that is an agent's and that `is_left` says of, by the folder and the id of its
    /// Prometheus. Answers each folder with what came of it.
    pub(super) fn leave(
        &self,
        places: &Places,
        is_left: impl Fn(&Path, &str) -> bool,
    ) -> Vec<(PathBuf, Result<(), RulesError>)> {
        let mut left = Vec::new();
        for folder in places.all() {
            let Ok(Some(Owner::Agent { prometheus, address })) = rules::owner_of(&folder) else {
                continue;
            };
            // The note may have been written by hand.
            let (true, Ok(address)) = (is_left(&folder, &prometheus), place::address(&address)) else {
                continue;
            };
            let gone = self
                .site(folder.clone(), &prometheus, &address, &|_| true)
                .apply(&[])
                .and_then(|placed| placed.keep().map(drop))
                .and_then(|()| rules::forget(&folder));
            left.push((folder, gone));
        }
        left
    }
}

/// Takes all rules out that an agent brought to the node whose `/` is `root`. Answers what could not be done.
pub(crate) fn take_rules_back(root: &Path) -> Vec<String> {
    let commands = SystemCommands {
        limit: TOOL,
        ..SystemCommands::default()
    };
    let left = Tools::of(root, &commands).leave(&Places::below(root), |_, _| true);
    left.into_iter()
        .filter_map(|(_, gone)| gone.err().map(|error| error.sentence()))
        .collect()
}
