//! The real [`Units`]: systemd, asked through `systemctl` (available since version 209: `show
//! --property`; everything used here is in the 247 of Debian 11).

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::command::{Command, Commands};
use super::units::{Unit, UnitError, Units};

/// How long a start, stop or restart may take. systemd's own default is 90 s.
const JOB: Duration = Duration::from_secs(100);
/// How long a unit may go on "activating" after its start job ended.
const SETTLE: Duration = Duration::from_secs(15);
/// How long a unit must have been running to count as up.
const STEADY: Duration = Duration::from_millis(120);
/// How many lines of a failed unit's journal are kept.
const LAST_WORDS: usize = 40;

const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,MainPID,\
                          NeedDaemonReload,FragmentPath,InvocationID";

/// Which words of an earlier start still tell of this one.
const RECENT: &str = "--since=-3min";

/// systemd on the running system.
pub struct Systemctl {
    commands: Arc<dyn Commands>,
    clock: Arc<dyn Clock>,
}

impl Systemctl {
    /// Asks with these commands, waits by this clock.
    pub fn new(commands: Arc<dyn Commands>, clock: Arc<dyn Clock>) -> Self {
        Self { commands, clock }
    }

    /// The last lines of the journal that this asks for; none where it cannot be read.
    fn log(&self, lines: usize, which: &[String]) -> Vec<String> {
        let count = format!("--lines={lines}");
        let argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", &count];
        let which = which.iter().map(String::as_str);
        let Ok(output) = self
            .commands
            .succeed(&Command::look(argv.into_iter().chain(which)))
        else {
            return Vec::new();
        };
        let clean = |line: &str| line.chars().filter(|c| !c.is_control()).take(300).collect();
        output.text().lines().map(clean).collect()
    }

    fn change(&self, verb: &str, unit: &[&str]) -> Result<(), UnitError> {
        let argv = ["systemctl", "--no-ask-password", "--no-pager", "--quiet", verb];
        let command = Command::change(argv.iter().chain(unit).copied()).within(JOB);
        self.commands.succeed(&command)?;
        Ok(())
    }

    fn bring_up(&self, verb: &str, unit: &str) -> Result<(), UnitError> {
        if self.show(unit)?.has_failed() {
            // Otherwise a unit that failed often is refused with "start request repeated too quickly".
            self.forget_failure(unit)?;
        }
        if let Err(error) = self.change(verb, &[unit]) {
            let now = self.show(unit)?;
            if now.is_masked() {
                return Err(UnitError::Masked {
                    unit: unit.to_owned(),
                });
            }
            if !now.exists() {
                return Err(UnitError::Missing {
                    unit: unit.to_owned(),
                });
            }
            return Err(if now.has_failed() {
                self.failed(unit, &now)
            } else {
                error
            });
        }
        self.settled(unit)
    }

    /// Waits until `unit` has been running for a moment: a program that cannot have its port ends a
    /// few milliseconds after systemd says "active".
    fn settled(&self, unit: &str) -> Result<(), UnitError> {
        let started = self.clock.elapsed();
        let mut active_since = None;
        loop {
            let now = self.show(unit)?;
            let waited = self.clock.elapsed().saturating_sub(started);
            if now.has_failed() {
                return Err(self.failed(unit, &now));
            }
            if now.is_active() {
                let (invocation, since) = active_since.get_or_insert((now.invocation.clone(), waited));
                if *invocation != now.invocation {
                    // It died and was started again between two looks.
                    return Err(self.failed(unit, &now));
                }
                if waited.saturating_sub(*since) >= STEADY {
                    return Ok(());
                }
            } else if now.active_state == "inactive" || waited > SETTLE {
                // A service that ends at once with success is "inactive", and not running either.
                let state = format!("{} ({})", now.active_state, now.sub_state);
                let journal = self.journal(unit, LAST_WORDS);
                return Err(UnitError::Slow {
                    unit: unit.to_owned(),
                    state,
                    waited,
                    journal,
                });
            }
            self.clock.wait(Duration::from_millis(30));
        }
    }

    fn failed(&self, unit: &str, now: &Unit) -> UnitError {
        UnitError::Failed {
            unit: unit.to_owned(),
            result: now.result.clone(),
            exit_status: now.exit_status,
            journal: self.journal(unit, LAST_WORDS),
        }
    }
}

impl Units for Systemctl {
    fn show(&self, unit: &str) -> Result<Unit, UnitError> {
        let output = self.commands.succeed(&Command::look([
            "systemctl",
            "--no-pager",
            "show",
            PROPERTIES,
            "--",
            unit,
        ]))?;
        Ok(parse(&output.text()))
    }

    fn reload(&self) -> Result<(), UnitError> {
        self.change("daemon-reload", &[])
    }

    fn enable(&self, unit: &str, enabled: bool) -> Result<(), UnitError> {
        self.change(if enabled { "enable" } else { "disable" }, &["--", unit])
    }

    fn unmask(&self, unit: &str) -> Result<(), UnitError> {
        self.change("unmask", &["--", unit])
    }

    fn start(&self, unit: &str) -> Result<(), UnitError> {
        self.bring_up("start", unit)
    }

    fn restart(&self, unit: &str) -> Result<(), UnitError> {
        self.bring_up("restart", unit)
    }

    fn stop(&self, unit: &str) -> Result<(), UnitError> {
        self.change("stop", &["--", unit])
    }

    fn forget_failure(&self, unit: &str) -> Result<(), UnitError> {
        self.change("reset-failed", &["--", unit])
    }

    fn journal(&self, unit: &str, lines: usize) -> Vec<String> {
        let invocation = self.show(unit).map(|unit| unit.invocation).unwrap_or_default();
        // What the service says carries the first field, what systemd says of it the second.
        let own = format!("_SYSTEMD_INVOCATION_ID={invocation}");
        if !invocation.is_empty() && !self.log(lines, std::slice::from_ref(&own)).is_empty() {
            return self.log(
                lines,
                &[own, "+".to_owned(), format!("INVOCATION_ID={invocation}")],
            );
        }
        // One that was only just started again has said nothing yet: what it died of, it said before.
        self.log(lines, &[format!("--unit={unit}"), RECENT.to_owned()])
    }
}

fn parse(text: &str) -> Unit {
    let mut unit = Unit::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let value = value.to_owned();
        match name {
            "LoadState" => unit.load_state = value,
            "ActiveState" => unit.active_state = value,
            "SubState" => unit.sub_state = value,
            "UnitFileState" => unit.file_state = value,
            "Result" => unit.result = value,
            "ExecMainStatus" => unit.exit_status = value.parse().unwrap_or(0),
            "MainPID" => unit.main_pid = value.parse().unwrap_or(0),
            "NeedDaemonReload" => unit.needs_reload = value == "yes",
            "FragmentPath" => unit.file = value,
            "InvocationID" => unit.invocation = value,
            _ => {}
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_understood() {
        let unit = parse(
            "MainPID=812\nResult=success\nNeedDaemonReload=no\nExecMainStatus=0\nLoadState=loaded\n\
             ActiveState=active\nSubState=running\nFragmentPath=/etc/systemd/system/x.service\nUnitFileState=enabled\n",
        );
        assert!(unit.exists() && unit.is_active() && unit.is_enabled() && !unit.needs_reload);
        assert_eq!(unit.main_pid, 812);
        let gone = parse("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n");
        assert!(!gone.exists() && !gone.is_active() && !gone.is_enabled());
        let dying =
            parse("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\n");
        assert!(dying.has_failed() && !dying.is_active());
    }
}
