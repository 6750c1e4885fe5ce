//! `aami nodes exec`.

use std::sync::Arc;
use std::time::Duration;

use aami_model::{Exit, code};
use aami_ssh::fanout::{Fault, Keep, Outcome, Report};
use aami_ssh::{Command, ErrorClass};
use clap::Args;
use serde::Serialize;

use super::chosen::Chosen;
use super::together::{self, Together, Undertaking};
use crate::cli::dry::Dry;
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::table::harmless;
use crate::fleet::Fleet;
use crate::fleet::ways::Ways;

/// Run a command on nodes over SSH, and show what they say
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes exec --all -- uptime
  aami nodes exec 'gpu[001-128]' -b -- nvidia-smi --query-gpu=driver_version --format=csv,noheader
  aami nodes exec -l rack=A1 --sudo -- systemctl restart nvidia-fabricmanager
  aami nodes exec --all -o json -- 'df -P / | tail -1'

The words are joined with blanks and given to /bin/sh, whatever the login shell is. What a node says on standard output
goes to standard output with its name before each line, everything else to standard error. The exit code is 0 where the
command ended with 0 on every node, 7 where it did on some.")]
pub(crate) struct Exec {
    #[command(flatten)]
    chosen: Chosen,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Show together what nodes said alike, once they have ended
    #[arg(long, short = 'b')]
    gather: bool,
    /// With root's rights, through sudo
    #[arg(long)]
    sudo: bool,
    /// How long it may run on a node; then it is ended there [`ssh.command_timeout` of the configuration, 5m]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Seconds>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    together: Together,
}

/// What one node said, for programs.
#[derive(Serialize)]
struct Said<'a> {
    node: &'a str,
    ok: bool,
    exit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    stdout: &'a str,
    stderr: &'a str,
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
    /// Whether something was left running there that may have said more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_none(left_out: &u64) -> bool {
    *left_out == 0
}

impl Exec {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let which = self.chosen.which()?;
        let members = fleet.members(&which)?;
        let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
        if names.is_empty() {
            return Err(Failure::found(code::NOT_FOUND, "no node fits"));
        }
        if self.dry.dry_run {
            for name in &names {
                fleet.screen().show_one(name, name)?;
            }
            return Ok(Exit::Ok);
        }
        let settings = fleet.settings()?;
        let ways = Arc::new(Ways::to(&members, &settings, fleet.place())?);
        ways.remind(fleet.screen());
        if self.sudo {
            ways.need_root()?;
        }
        let mut limits = self.together.limits(&settings.config().ssh);
        let mut command = Command::script(self.command.join(" "));
        if let Some(Seconds(seconds)) = self.timeout {
            let limit = Duration::from_secs(seconds);
            limits.deadline = limits
                .deadline
                .saturating_add(limit.saturating_mul(limits.attempts));
            command = command.timeout(limit);
        }
        if self.sudo {
            command = ways.as_root(command);
        }
        let for_programs = fleet.screen().format().is_for_programs();
        let undertaking = Undertaking {
            names: &names,
            limits,
            lines: !self.gather && !for_programs,
            keep: Keep::default(),
            logs: None,
            journal: None,
            client: &ways.client,
        };
        let surroundings = fleet.place().surroundings.clone();
        let report = undertaking.run(fleet.screen(), &surroundings, |turn, mut output| {
            let (ways, command) = (Arc::clone(&ways), command.clone());
            async move {
                // It may not be run twice, so only what comes before it is tried again.
                let failed = |error: &aami_ssh::SshError| Fault::ssh(error, false);
                let connection = ways
                    .client
                    .connect(&ways.hosts[turn.host])
                    .await
                    .map_err(|error| failed(&error))?;
                let exit = connection
                    .run(&command, &mut output)
                    .await
                    .map_err(|error| failed(&error))?;
                connection.close().await;
                ended(&exit)
            }
        })?;
        self.show(&report, fleet.screen())?;
        together::sum_up(fleet.screen(), &report);
        Ok(together::exit(&report))
    }

    fn show(&self, report: &Report<()>, screen: &mut Screen) -> Result<(), Failure> {
        if screen.format().is_for_programs() {
            for host in &report.hosts {
                let (exit, error, code) = match &host.outcome {
                    Outcome::Ok => (Some(0), None, None),
                    Outcome::Failed(fault) => {
                        (fault.exit, Some(fault.sentence.clone()), Some(fault.code.symbol))
                    }
                    Outcome::NotStarted(why) => (None, Some(why.to_string()), None),
                    Outcome::Interrupted => (None, Some("cut off in the middle".to_owned()), None),
                };
                let said = Said {
                    node: &host.name,
                    ok: host.outcome.is_ok(),
                    exit,
                    error,
                    code,
                    stdout: &host.stdout.text,
                    stderr: &host.stderr.text,
                    left_out: host.stdout.left_out + host.stderr.left_out,
                    cut: host.cut,
                };
                screen.show_one(&said, "")?;
            }
            return Ok(());
        }
        if self.gather {
            for alike in report.alike() {
                let count = if alike.count > 1 {
                    format!(" ({})", alike.count)
                } else {
                    String::new()
                };
                let rule = "-".repeat(15);
                screen.write(&format!("{rule}\n{}{count}\n{rule}\n", harmless(&alike.hosts)))?;
                for text in [&alike.stdout, &alike.stderr] {
                    for line in text.text.lines() {
                        screen.write(&format!("{}\n", harmless(line)))?;
                    }
                    if text.left_out > 0 {
                        screen.note(&format!(
                            "{}: {} bytes in the middle are left out",
                            alike.hosts, text.left_out
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What an end means.
fn ended(exit: &aami_ssh::Exit) -> Result<(), Fault> {
    let bad = |sentence: String| Fault::new(ErrorClass::Remote, code::NODE_COMMAND_ENDED_BADLY, sentence);
    match exit {
        aami_ssh::Exit::Code(0) => Ok(()),
        aami_ssh::Exit::Code(number) => Err(bad(format!("the command ended with {number}")).exit(*number)),
        aami_ssh::Exit::Signal(signal) => Err(bad(format!("the command was ended by SIG{signal}"))),
    }
}
