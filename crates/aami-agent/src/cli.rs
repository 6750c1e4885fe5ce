//! The command line, one file per command.

mod bootstrap;
mod checks;
mod daemon;
mod exporters;
mod failure;
mod inventory;
mod node;
mod preflight;
mod run;
mod screen;
mod status;
mod surroundings;
mod telemetry;
mod uninstall;
mod update;
mod version;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use aami_model::Exit;
use aami_plans::node::foreground;
use clap::{Parser, Subcommand};

use failure::Failure;
use surroundings::Surroundings;

/// Makes this machine a node of AAMI, and takes that back.
#[derive(Debug, Parser)]
#[command(name = "aami-agent", version, propagate_version = false, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 checked and not healthy, 4 not authorised, 5 not found,
6 conflict or locked, 8 still pending or timed out, 9 interrupted (run it again to continue),
10 integrity (checksum, certificate), 78 the daemon's node is not enrolled.";

#[derive(Debug, Subcommand)]
enum Command {
    Preflight(Box<preflight::Preflight>),
    Bootstrap(Box<bootstrap::Bootstrap>),
    Daemon(daemon::Daemon),
    Status(status::Status),
    Exporters(exporters::Exporters),
    Checks(checks::Checks),
    Run(run::Detached),
    Inventory(inventory::Show),
    Uninstall(uninstall::Uninstall),
    #[command(hide = true)]
    Update(update::Update),
    Version(version::Version),
}

/// Runs the command the arguments name.
pub(crate) fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os().collect(), Surroundings::read).number())
}

fn run(arguments: Vec<OsString>, surroundings: impl FnOnce() -> Surroundings) -> Exit {
    // Not a command for people: how an exporter of the foreground form begins.
    if arguments.get(1).is_some_and(|word| word == foreground::WORD) {
        let error = foreground::become_child(arguments.into_iter().skip(2));
        screen::line(&format!("error: it could not be started: {error}"));
        return Exit::Failed;
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            screen::refuse(&error);
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let (is_json, result) = cli.command.run(&surroundings());
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            screen::complain(&failure, is_json);
            failure.code.exit
        }
    }
}

impl Command {
    /// Whether it was asked to speak JSON, and how it ended.
    fn run(self, surroundings: &Surroundings) -> (bool, Result<Exit, Failure>) {
        match self {
            Self::Preflight(command) => (command.json, command.run(surroundings)),
            Self::Bootstrap(command) => (command.json, command.run(surroundings)),
            Self::Daemon(command) => (false, command.run(surroundings)),
            Self::Status(command) => (command.json, command.run(surroundings)),
            Self::Exporters(command) => (command.is_json(), command.run(surroundings)),
            Self::Checks(command) => (command.is_json(), command.run(surroundings)),
            Self::Run(command) => (command.is_json(), command.run()),
            Self::Inventory(command) => (command.json, command.run()),
            Self::Uninstall(command) => (command.json, command.run(surroundings)),
            Self::Update(command) => (command.json, command.run(surroundings)),
            Self::Version(command) => (command.json, command.run()),
        }
    }
}
