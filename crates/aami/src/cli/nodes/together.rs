//! Many nodes at once over SSH, for the verbs that do something on nodes: how many, in which order, when it is
//! enough; shown while it goes on, summed up at the end, and something to go on from where it did not end.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use aami_config::config::Ssh;
use aami_model::Exit;
use aami_model::nodeset::fold;
use aami_ssh::Client;
use aami_ssh::fanout::{
    Fanout, Fault, Journal, Keep, Limits, LogFolder, Outcome, Output, Percent, Pull, Report, Stop, Turn,
    brake,
};
use clap::Args;

use super::live::Live;
use crate::cli::ask;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::signals::Signals;
use crate::cli::surroundings::Surroundings;

/// Under what these flags stand in a help.
pub(crate) const HEADING: &str = "Many nodes at once";

/// How many nodes at once, and when it is enough.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Together {
    /// Nodes at the same time [default: ssh.max_parallel of the configuration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parallel: Option<u32>,
    /// First this many nodes; the others only if all of these went well
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    canary: u32,
    /// Begin no further nodes once more than this share of all failed, e.g. 5%
    #[arg(long, alias = "stop-at", value_name = "SHARE")]
    stop_above: Option<Percent>,
}

impl Together {
    /// The limits, where the command line says nothing those of the configuration.
    pub(crate) fn limits(&self, ssh: &Ssh) -> Limits {
        let attempts = ssh.retry.max_attempts;
        // Each attempt may take all the time a connection and a command may, and what sudo and tidying up take.
        let attempt = ssh.connect_timeout * 3 + ssh.command_timeout * 2;
        Limits {
            max_parallel: self.parallel.unwrap_or(ssh.max_parallel) as usize,
            deadline: (attempt + ssh.retry.backoff_max).saturating_mul(attempts),
            attempts,
            backoff_base: ssh.retry.backoff_base,
            backoff_max: ssh.retry.backoff_max,
            canary: self.canary as usize,
            stop_above: self.stop_above,
        }
    }
}

/// Something to be done on many nodes.
pub(crate) struct Undertaking<'a> {
    /// Their names, each once.
    pub(crate) names: &'a [String],
    /// How much at once, for how long, how often.
    pub(crate) limits: Limits,
    /// Whether what nodes say is shown line by line.
    pub(crate) lines: bool,
    /// How much of what they say is kept.
    pub(crate) keep: Keep,
    /// Where everything they say is written.
    pub(crate) logs: Option<LogFolder>,
    /// Where it is noted who is done.
    pub(crate) journal: Option<Journal>,
    /// Over whose connections it is done.
    pub(crate) client: &'a Client,
}

/// How long nodes have to hear that what was cut off there has to end.
const TELLING: Duration = Duration::from_secs(5);

impl Undertaking<'_> {
    /// Does `work` on each node, shows how it goes, and heeds Ctrl-C: once to finish what runs, twice to cut it off.
    pub(crate) fn run<F, W, T>(
        self,
        screen: &Screen,
        surroundings: &Surroundings,
        work: F,
    ) -> Result<Report<T>, Failure>
    where
        F: Fn(Turn, Output) -> W,
        W: Future<Output = Result<T, Fault>> + Send + 'static,
        T: Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)?;
        let (events, live) = Live::start(self.names, screen, surroundings)?;
        let report = runtime.block_on(async {
            let mut signals = Signals::new()?;
            let (brake, braked) = brake();
            let watch = tokio::spawn(async move {
                loop {
                    signals.stop().await;
                    if brake.pull() == Pull::Abort {
                        // Whoever is asked for a password is asked no more.
                        ask::give_up();
                    }
                }
            });
            let mut fanout = Fanout::new(self.limits, seed())
                .events(events)
                .brake(braked)
                .keep(self.keep);
            if self.lines {
                fanout = fanout.lines();
            }
            if let Some(logs) = self.logs {
                fanout = fanout.logs(Arc::new(logs));
            }
            if let Some(journal) = self.journal {
                fanout = fanout.journal(journal);
            }
            let mut report = fanout.run(self.names, work).await;
            // Whatever ends commands on the nodes is a task of this runtime.
            report.untold = self.client.settle(TELLING).await;
            watch.abort();
            Ok::<_, Failure>(report)
        });
        // What was cut off may still hold on to something of this process; it ends with it.
        runtime.shutdown_background();
        let shown = live.end();
        let report = report?;
        shown.map(|()| report)
    }
}

/// Shows who ended how, folded, and what to go on from.
pub(crate) fn sum_up<T>(screen: &mut Screen, report: &Report<T>) {
    for line in report.summary() {
        screen.note(&line.to_string());
    }
    if !report.untold.is_empty() {
        screen.note(&format!(
            "{} could not be told within {} s that what was cut off there has to end: it ends there when its time is up",
            fold(report.untold.iter().map(String::as_str)),
            TELLING.as_secs()
        ));
    }
    if let Some(why) = &report.resume_broken {
        screen.note(&format!("who is done could not be noted: {why}"));
    }
    if let Some(path) = &report.resume {
        screen.note(&format!(
            "the nodes that are not done: the same command with --resume {}",
            path.display()
        ));
    }
}

/// The exit code of a command that did this.
pub(crate) fn exit<T>(report: &Report<T>) -> Exit {
    if report.ok() == report.hosts.len() {
        return Exit::Ok;
    }
    if report.stopped == Some(Stop::Told) {
        return Exit::Interrupted;
    }
    if report.ok() > 0 {
        return Exit::Partial;
    }
    let mut exits = report.hosts.iter().filter_map(|host| match &host.outcome {
        Outcome::Failed(fault) => Some(fault.code.exit),
        _ => None,
    });
    // All failed: in the same way, or in several.
    match exits.next() {
        Some(first) if exits.all(|exit| exit == first) => first,
        _ => Exit::Failed,
    }
}

/// Pauses of two commands on the same fleet are to differ.
fn seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use aami_model::code;
    use aami_ssh::ErrorClass;

    use super::*;

    fn done(names: &[&str], work: fn(&str) -> Result<(), Fault>) -> Report<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let fanout = Fanout::new(Limits::default(), 1);
        runtime.block_on(fanout.run(&names, |turn, _| async move { work(&turn.name) }))
    }

    fn refused() -> Result<(), Fault> {
        Err(Fault::new(
            ErrorClass::Authentication,
            code::SSH_AUTHENTICATION_FAILED,
            "root may not sign in",
        ))
    }

    #[test]
    fn the_exit_code_says_whether_it_was_all_some_or_none() {
        assert_eq!(exit(&done(&["a", "b"], |_| Ok(()))), Exit::Ok);
        assert_eq!(
            exit(&done(&["a", "b"], |name| if name == "a" {
                Ok(())
            } else {
                refused()
            })),
            Exit::Partial
        );
        assert_eq!(exit(&done(&["a", "b"], |_| refused())), Exit::NotAuthorised);
        let mixed = done(&["a", "b"], |name| match name {
            "a" => refused(),
            _ => Err(Fault::new(ErrorClass::Local, code::SSH_LOCAL, "no")),
        });
        assert_eq!(exit(&mixed), Exit::Failed);
    }
}
