//! Which commands were taken, and how they ended: on disk, so that none is done twice.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use aami_api::link::CommandResult;
use aami_model::CommandId;
use serde::{Deserialize, Serialize};

use super::super::memory;

/// So many are remembered; the control plane repeats none that is older.
const MOST: usize = 128;
/// Outputs that wait to be told, in bytes together; older ones are dropped first.
const MOST_OUTPUT: usize = 1024 * 1024;

/// One command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: CommandId,
    result: Option<CommandResult>,
    told: bool,
}

/// How far a command that came before is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    /// It is done, or will be.
    Taken,
    /// It ended so.
    Ended(CommandResult),
}

/// The commands and their file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    entries: VecDeque<Entry>,
}

impl Journal {
    /// Reads it. Those under way when the last process ended end as `interrupted` says, or are under way still.
    pub(super) fn open(path: &Path, interrupted: impl Fn(&CommandId) -> Option<CommandResult>) -> Self {
        let mut entries: VecDeque<Entry> = memory::read(path).unwrap_or_default();
        for entry in &mut entries {
            if entry.result.is_none() {
                entry.result = interrupted(&entry.id);
            }
        }
        Self {
            path: path.to_owned(),
            entries,
        }
    }

    pub(super) fn find(&self, id: &CommandId) -> Option<Known> {
        let entry = self.entries.iter().find(|entry| entry.id == *id)?;
        Some(match &entry.result {
            None => Known::Taken,
            Some(result) => Known::Ended(result.clone()),
        })
    }

    /// Notes a command before it is accepted. Fails, and nothing is noted, when the disk refuses.
    pub(super) fn take(&mut self, id: &CommandId) -> io::Result<()> {
        while self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            id: id.clone(),
            result: None,
            told: false,
        });
        let written = self.write();
        if written.is_err() {
            self.entries.pop_back();
        }
        written
    }

    /// Notes how one ended.
    pub(super) fn end(&mut self, result: CommandResult) -> io::Result<()> {
        if let Some(entry) = self
            .entries
            .iter_mut()
            .find(|entry| entry.id == result.command_id)
        {
            entry.result = Some(result);
        }
        let mut room = MOST_OUTPUT;
        for result in self
            .entries
            .iter_mut()
            .rev()
            .filter_map(|entry| entry.result.as_mut())
        {
            if result.output.len() > room {
                result.output = String::new();
            }
            room -= result.output.len();
        }
        self.write()
    }

    /// Those that ended and were not told.
    pub(super) fn untold(&self) -> Vec<CommandResult> {
        let untold = self.entries.iter().filter(|entry| !entry.told);
        untold.filter_map(|entry| entry.result.clone()).collect()
    }

    /// One was told: its output is not kept any longer. Where that cannot be noted it is told twice, once a process.
    pub(super) fn told(&mut self, id: &CommandId) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == *id) else {
            return;
        };
        if entry.told {
            return;
        }
        entry.told = true;
        if let Some(result) = &mut entry.result {
            result.output = String::new();
        }
        let _ = self.write();
    }

    fn write(&self) -> io::Result<()> {
        memory::write(&self.path, &self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CommandId {
        text.parse().unwrap()
    }

    fn result(text: &str, output: usize) -> CommandResult {
        CommandResult {
            command_id: id(text),
            ok: true,
            code: None,
            message: "done".to_owned(),
            output: "x".repeat(output),
        }
    }

    fn open(path: &Path) -> Journal {
        Journal::open(path, |id| {
            Some(CommandResult {
                ok: false,
                ..result(id.as_str(), 0)
            })
        })
    }

    #[test]
    fn a_command_is_known_again_after_a_restart_and_one_under_way_was_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.json");
        let mut journal = open(&path);
        journal.take(&id("c1")).unwrap();
        journal.take(&id("c2")).unwrap();
        assert_eq!(journal.find(&id("c2")), Some(Known::Taken));
        journal.end(result("c1", 3)).unwrap();
        let mut journal = open(&path);
        assert_eq!(journal.find(&id("c1")), Some(Known::Ended(result("c1", 3))));
        assert!(matches!(journal.find(&id("c2")), Some(Known::Ended(result)) if !result.ok));
        assert_eq!(journal.find(&id("c3")), None);
        journal.told(&id("c1"));
        let untold: Vec<CommandId> = open(&path).untold().into_iter().map(|r| r.command_id).collect();
        assert_eq!(untold, [id("c2")]);
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(&folder.path().join("commands.json"));
        for at in 0..MOST + 8 {
            let name = format!("c{at}");
            journal.take(&id(&name)).unwrap();
            let output = if at < MOST { 0 } else { 200 * 1024 };
            journal.end(result(&name, output)).unwrap();
        }
        let untold = journal.untold();
        assert_eq!(untold.len(), MOST);
        let output: usize = untold.iter().map(|result| result.output.len()).sum();
        assert!((MOST_OUTPUT / 2..=MOST_OUTPUT).contains(&output), "{output}");
        assert!(!untold.last().unwrap().output.is_empty(), "the newest is kept");
    }

    #[test]
    fn a_command_that_cannot_be_noted_is_not_taken() {
        let mut journal = open(Path::new("/nonexistent/commands.json"));
        assert!(journal.take(&id("c1")).is_err());
        assert_eq!(journal.find(&id("c1")), None);
    }
}
