//! The service manager, as this room needs it.

use std::time::Duration;

use super::command::CommandError;

/// A unit as the service manager sees it; empty texts where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load_state: String,
    /// `active`, `inactive`, `activating`, `deactivating`, `failed`, `reloading`.
    pub active_state: String,
    /// What `active_state` means for this type of unit: `running`, `exited`, `auto-restart`, ...
    pub sub_state: String,
    /// `enabled`, `disabled`, `static`, `masked`, `generated`, ...; empty where there is no file.
    pub file_state: String,
    /// Why it last ended: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, ...
    pub result: String,
    /// Exit status of its main process.
    pub exit_status: i32,
    /// Number of its main process; 0 when none runs.
    pub main_pid: u32,
    /// Which start of it this is: 32 hexadecimal digits, empty before the first.
    pub invocation: String,
    /// Whether its files changed since they were loaded.
    pub needs_reload: bool,
    /// The file it was loaded from.
    pub file: String,
}

impl Unit {
    /// Whether the service manager has a unit of this name.
    pub fn exists(&self) -> bool {
        !matches!(self.load_state.as_str(), "" | "not-found")
    }

    /// Whether the operator forbade it (`systemctl mask`).
    pub fn is_masked(&self) -> bool {
        self.load_state == "masked" || self.file_state.starts_with("masked")
    }

    /// Whether it runs, or is about to.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading")
    }

    /// Whether it comes up at boot.
    pub fn is_enabled(&self) -> bool {
        matches!(self.file_state.as_str(), "enabled" | "enabled-runtime" | "alias")
    }

    /// Whether it died, also where the manager is about to try once more.
    pub fn has_failed(&self) -> bool {
        self.active_state == "failed" || self.sub_state == "auto-restart"
    }
}

/// Why a unit is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The service manager could not be asked, or refused.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It was started and did not come up.
    #[error(
        "{unit} did not start: {result} (exit status {exit_status}){}",
        last_words(journal)
    )]
    Failed {
        /// Its name.
        unit: String,
        /// The service manager's word for why.
        result: String,
        /// Exit status of its main process.
        exit_status: i32,
        /// The last lines it wrote, oldest first.
        journal: Vec<String>,
    },
    /// It neither came up nor failed in the time allowed.
    #[error("{unit} is still {state} after {} s{}", waited.as_secs(), last_words(journal))]
    Slow {
        /// Its name.
        unit: String,
        /// What it was last seen as.
        state: String,
        /// How long it was waited for.
        waited: Duration,
        /// The last lines it wrote, oldest first.
        journal: Vec<String>,
    },
    /// The operator forbade it.
    #[error("{unit} is masked on this host; `systemctl unmask {unit}` allows it again")]
    Masked {
        /// Its name.
        unit: String,
    },
    /// There is no unit of this name.
    #[error("there is no unit {unit} on this host")]
    Missing {
        /// Its name.
        unit: String,
    },
}

/// Lines of a log that people are shown.
const SHOWN: usize = 4;

/// Of the last lines of a log those that say what went wrong, at most four; the last four where none does. A program
/// that stops in good order says so at length, long after it said why.
pub fn telling(lines: &[String]) -> Vec<String> {
    let tells = |line: &&String| {
        // What systemd says of it is known by now.
        if line.starts_with("aami-") {
            return false;
        }
        let line = line.to_ascii_lowercase();
        ["error", "err=", "fail", "fatal", "panic", "denied"]
            .iter()
            .any(|word| line.contains(word))
    };
    let found: Vec<String> = lines.iter().filter(tells).cloned().collect();
    let mut shown = if found.is_empty() { lines.to_vec() } else { found };
    shown.drain(..shown.len().saturating_sub(SHOWN));
    shown
}

fn last_words(journal: &[String]) -> String {
    let shown = telling(journal);
    if shown.is_empty() {
        String::new()
    } else {
        format!("; its last words: {}", shown.join(" | "))
    }
}

/// A service manager. Every call has a deadline of its own.
pub trait Units: Send + Sync {
    /// What it says about `unit`; a unit that does not exist is not an error.
    fn show(&self, unit: &str) -> Result<Unit, UnitError>;

    /// Reads all unit files again.
    fn reload(&self) -> Result<(), UnitError>;

    /// Makes `unit` come up at boot, or no longer.
    fn enable(&self, unit: &str, enabled: bool) -> Result<(), UnitError>;

    /// Takes back that `unit` was forbidden (`systemctl mask`).
    fn unmask(&self, unit: &str) -> Result<(), UnitError> {
        Err(UnitError::Masked {
            unit: unit.to_owned(),
        })
    }

    /// Starts `unit` and waits until it runs. Fails with [`UnitError::Failed`] when it does not.
    fn start(&self, unit: &str) -> Result<(), UnitError>;

    /// Stops and starts `unit`, and waits until it runs.
    fn restart(&self, unit: &str) -> Result<(), UnitError>;

    /// Stops `unit`.
    fn stop(&self, unit: &str) -> Result<(), UnitError>;

    /// Forgets that `unit` failed, so that nothing of it remains in the manager's memory.
    fn forget_failure(&self, unit: &str) -> Result<(), UnitError>;

    /// The last `lines` lines `unit` wrote since it was last started, oldest first; empty where there
    /// is no journal to read.
    fn journal(&self, unit: &str, lines: usize) -> Vec<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_log_says_what_is_wrong() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let log = lines(&[
            "started",
            "level=error loading rules",
            "stopping",
            "stopped",
            "bye",
        ]);
        assert_eq!(telling(&log), ["level=error loading rules"]);
        let calm = lines(&["1", "2", "3", "4", "5"]);
        assert_eq!(telling(&calm), ["2", "3", "4", "5"]);
    }
}
