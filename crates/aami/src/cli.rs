//! The command line: `aami NOUN VERB`, one file per command.
//!
//! [`main`] reads the arguments, runs one command, and turns how it ended into an exit code. What a
//! command shows goes to standard output, in the form `-o` asks for; everything else goes to standard
//! error. No command reads the environment by itself: [`surroundings`] does, once.

mod acts;
mod age;
mod agents;
mod alerts;
pub(crate) mod ask;
mod audit;
mod batches;
mod bundle;
mod checks;
mod completions;
mod config;
mod diagnose;
mod diff;
pub(crate) mod dry;
mod duration;
pub(crate) mod each;
mod events;
mod explain;
pub(crate) mod failure;
pub(crate) mod find;
mod groups;
mod help;
mod init;
mod keys;
pub(crate) mod labels;
mod log;
mod man;
pub(crate) mod nodes;
mod offline;
pub(crate) mod output;
pub(crate) mod paging;
pub(crate) mod paint;
mod preflight;
mod prometheuses;
pub(crate) mod query;
mod random;
pub(crate) mod reach;
mod release;
mod runs;
pub(crate) mod screen;
pub(crate) mod secret;
mod selected;
mod server;
pub(crate) mod session;
pub(crate) mod signals;
pub(crate) mod status;
pub(crate) mod surroundings;
pub(crate) mod table;
mod telemetry;
#[cfg(test)]
mod tests;
mod tokens;
mod trusted;
mod up;
mod version;
mod webhooks;

use std::ffi::OsString;
use std::process::ExitCode;

use aami_model::Exit;
use aami_plans::node::foreground;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::Failure;
use screen::Format;
use surroundings::Surroundings;

/// AAMI takes accelerator machines from bare metal to monitored, and keeps them there.
#[derive(Debug, Parser)]
#[command(name = "aami", version, propagate_version = false, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 checked and not healthy, 4 not authorised, 5 not found,
6 conflict or locked, 7 some of many failed, 8 still pending or timed out, 9 interrupted,
10 integrity, 64 and 78 a daemon's bad invocation or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Preflight(Box<preflight::Preflight>),
    Init(Box<init::Init>),
    Server(server::Server),
    Status(status::Status),
    Diagnose(diagnose::Diagnose),
    Diff(diff::Diff),
    Nodes(nodes::Nodes),
    Groups(groups::Groups),
    Batches(batches::Batches),
    Agents(agents::Agents),
    Checks(checks::Checks),
    Alerts(alerts::Alerts),
    Prometheuses(prometheuses::Prometheuses),
    Tokens(tokens::Tokens),
    Keys(keys::Keys),
    Runs(runs::Runs),
    Events(events::Events),
    Audit(audit::Audit),
    Webhooks(webhooks::Webhooks),
    Config(config::Config),
    Release(release::Release),
    Bundle(bundle::Bundle),
    Explain(explain::Explain),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

impl Command {
    fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self {
            Self::Up(command) => command.run(surroundings),
            Self::Preflight(command) => command.run(surroundings),
            Self::Init(command) => command.run(surroundings),
            Self::Server(command) => command.run(surroundings),
            Self::Status(command) => command.run(surroundings),
            Self::Diagnose(command) => command.run(surroundings),
            Self::Diff(command) => command.run(surroundings),
            Self::Nodes(command) => command.run(surroundings),
            Self::Groups(command) => command.run(surroundings),
            Self::Batches(command) => command.run(surroundings),
            Self::Agents(command) => command.run(surroundings),
            Self::Checks(command) => command.run(surroundings),
            Self::Alerts(command) => command.run(surroundings),
            Self::Prometheuses(command) => command.run(surroundings),
            Self::Tokens(command) => command.run(surroundings),
            Self::Keys(command) => command.run(surroundings),
            Self::Runs(command) => command.run(surroundings),
            Self::Events(command) => command.run(surroundings),
            Self::Audit(command) => command.run(surroundings),
            Self::Webhooks(command) => command.run(surroundings),
            Self::Config(command) => command.run(surroundings),
            Self::Release(command) => command.run(surroundings),
            Self::Bundle(command) => command.run(surroundings),
            Self::Explain(command) => command.run(surroundings),
            Self::Completions(command) => command.run(),
            Self::Man(command) => command.run(),
            Self::Version(command) => command.run(surroundings),
        }
    }

    /// The form in which a failure is told.
    const fn format(&self) -> Format {
        match self {
            Self::Preflight(command) => command.format(),
            Self::Init(command) => command.format(),
            Self::Server(command) => command.format(),
            Self::Status(command) => command.common.format(),
            Self::Diagnose(command) => command.common.format(),
            Self::Diff(command) => command.common.format(),
            Self::Nodes(command) => command.common.format(),
            Self::Groups(command) => command.common.format(),
            Self::Batches(command) => command.common.format(),
            Self::Agents(command) => command.common.format(),
            Self::Checks(command) => command.common.format(),
            Self::Alerts(command) => command.common.format(),
            Self::Prometheuses(command) => command.common.format(),
            Self::Tokens(command) => command.common.format(),
            Self::Keys(command) => command.common.format(),
            Self::Runs(command) => command.common.format(),
            Self::Events(command) => command.common.format(),
            Self::Audit(command) => command.common.format(),
            Self::Webhooks(command) => command.common.format(),
            Self::Config(command) => command.common.format(),
            Self::Release(command) => command.format(),
            Self::Bundle(command) => command.format(),
            Self::Explain(command) => command.format(),
            Self::Version(command) => command.format(),
            Self::Up(_) | Self::Completions(_) | Self::Man(_) => Format::Table,
        }
    }
}

/// The command line, with what each command acts by.
fn command() -> clap::Command {
    help::each(Cli::command(), "", &|_| true, &acts::told)
}

/// The same as people read it. Of no command but those that `is_asked` knows the help is made.
fn command_for_people(is_asked: &dyn Fn(&str) -> bool) -> clap::Command {
    help::each(Cli::command(), "", is_asked, &|command, words| {
        help::laid_out(acts::told(command, words))
    })
}

/// Reads the arguments.
fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let is_among = |name: &str| arguments.iter().any(|word| word == name);
    let mut command = command_for_people(&is_among);
    // Whatever is wrong with the arguments is told before they are read.
    if is_among("--no-color") {
        command = command.color(clap::ColorChoice::Never);
    }
    let matches = command.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Runs the command the arguments name.
pub(crate) fn main() -> ExitCode {
    let exit = run(std::env::args_os().collect());
    // Somebody may still be asked for a password that nobody waits for.
    ask::give_up();
    ExitCode::from(exit.number())
}

fn run(arguments: Vec<OsString>) -> Exit {
    // Not a command for people: how a program that `aami up` keeps running begins.
    if arguments.get(1).is_some_and(|word| word == foreground::WORD) {
        let error = foreground::become_child(arguments.into_iter().skip(2));
        screen::complain(&Failure::Runtime(error), Format::Table);
        return Exit::Failed;
    }
    let cli = match read(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, &arguments),
    };
    let format = cli.command.format();
    match cli.command.run(&Surroundings::read()) {
        Ok(exit) => exit,
        Err(failure) => {
            screen::complain(&failure, format);
            failure.exit()
        }
    }
}

/// What clap found wrong, or the help that was asked for.
fn refused(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // A closed pipe is no reason to say more.
    let _ = error.print();
    let second = arguments.get(2).and_then(|word| word.to_str());
    let is_verb = second.is_some_and(|word| server::VERBS.contains(&word));
    match arguments.get(1).and_then(|word| word.to_str()) {
        _ if !error.use_stderr() => Exit::Ok,
        // A service manager must not start a daemon again that was invoked wrongly.
        Some("server") if !is_verb => Exit::DaemonUsage,
        _ => Exit::Usage,
    }
}
