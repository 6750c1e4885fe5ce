//! `aami nodes install`: the agent is carried to each node once, the bootstrap goes on there by itself, and SSH only
//! reads along.
//!
//! [`load`] is what is carried, [`work`] what is done on one node, [`follow`] how it is read along with.

mod follow;
mod load;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aami_model::nodeset::fold;
use aami_model::{Exit, Timestamp, code};
use aami_ssh::fanout::{Journal, JournalError, Keep, LogFolder, Report, Stop};
use clap::Args;

use super::chosen::Chosen;
use super::together::{self, Together, Undertaking};
use crate::cli::dry::Dry;
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::offline::{OfflineFlags, Unpacked};
use crate::cli::secret::{make_folder, written};
use crate::fleet::ways::Ways;
use crate::fleet::{Fleet, Installed, Member, Which};
use load::Load;
use work::Job;

/// What a resume file is for.
const COMMAND: &str = "nodes install";

/// Make nodes monitored, over SSH: carry the agent there, start the installation, read along
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes install --all
  aami nodes install 'gpu[001-128]' --canary 2 --stop-above 5%
  aami nodes install -l rack=A1 --offline aami-offline.tar.zst
  aami nodes install --resume ~/.local/state/aami/install/install-20261121221500000/resume

Each node installs by itself, as the run this command names: a connection that is cut, a laptop that is closed and Ctrl-C
change nothing there. The same command again finds a run that is still at work and reads along with it. What is
installed already stays; `aami nodes exec NODE --sudo -- /var/lib/aami/push/aami-agent uninstall` takes it back.

Without a control plane Prometheus' lists in /var/lib/aami/targets are written for the nodes that went well. With one,
each node is enrolled there by a token of its own, which goes to it by standard input.")]
pub(crate) struct Install {
    #[command(flatten)]
    chosen: Chosen,
    /// The agent to carry; may be repeated, one a processor [beside this program, or from the bundle]
    #[arg(long, value_name = "FILE")]
    agent: Vec<PathBuf>,
    /// A folder with exporters and a components.toml that names them; they are carried too [nodes fetch them]
    #[arg(long, value_name = "DIR", conflicts_with = "offline")]
    components: Option<PathBuf>,
    /// A web server from which nodes fetch exporters, in place of their publishers
    #[arg(long, value_name = "URL", value_parser = aami_plans::mirror_address, conflicts_with = "offline")]
    mirror: Option<String>,
    #[command(flatten)]
    offline: OfflineFlags,
    /// Whom a node's firewall is opened for [this machine, where nothing stands in between]
    #[arg(long, value_name = "ADDRESS")]
    scrape_from: Vec<String>,
    /// Install no GPU exporter
    #[arg(long)]
    skip_gpu: bool,
    /// Leave no agent running on the nodes
    #[arg(long)]
    skip_agent: bool,
    /// Run no checks on the nodes
    #[arg(long)]
    skip_checks: bool,
    /// Skip the preflight checks on the nodes (not recommended)
    #[arg(long)]
    skip_preflight: bool,
    /// Take a node_exporter that is there already as it is
    #[arg(long)]
    adopt: bool,
    /// Look at everything on the nodes again and mend what is broken
    #[arg(long)]
    repair: bool,
    /// How long a node may take in all, lost connections included
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    timeout: Seconds,
    /// Folder for a log of each node [~/.local/state/aami/install/RUN]
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    together: Together,
    /// Go on with the nodes this file says are not done; a command that was stopped names it
    #[arg(long, value_name = "FILE", help_heading = together::HEADING)]
    resume: Option<PathBuf>,
}

impl Install {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let run = run_name(fleet.screen().now());
        // Whom: those that are named, or those that a file says are left.
        let (which, resumed) = match self.whom()? {
            Whom::These(which, journal) => (which, journal),
            Whom::Nobody { done } => {
                let line = format!("nothing is left to be done: {} went well before", counted(done));
                fleet.screen().note(&line);
                return Ok(Exit::Ok);
            }
        };
        let members = fleet.members(&which)?;
        if members.is_empty() {
            return Err(Failure::found(code::NOT_FOUND, "no node fits"));
        }
        let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
        let settings = fleet.settings()?;
        let shows = fleet.screen().on_terminal() && !fleet.screen().is_quiet();
        let unpacked = match self.offline.open()? {
            Some(bundle) => Some(Unpacked::of(bundle, shows)?),
            None => None,
        };
        let load = Load::find(&self.agent, self.components.as_deref(), unpacked.as_ref())?;
        if self.dry.dry_run {
            return self.plan(fleet, &members, &load);
        }
        // What is installed and cannot be noted would be watched by nobody: that is told before anything is.
        let introducer = fleet.introducer();
        introducer.ready()?;
        let folder = self.folder(fleet, &run)?;
        let journal = match resumed {
            Some(journal) => journal,
            None => new_journal(&folder, &run, &names).map_err(unresumable)?,
        };
        let logs = LogFolder::create(&folder).map_err(written(&folder))?;
        fleet.screen().note(&format!(
            "installing on {} as the run {run}; a log of each node is in {}",
            counted(names.len()),
            folder.display()
        ));
        let config = settings.config();
        let ways = Ways::to(&members, &settings, fleet.place())?;
        ways.remind(fleet.screen());
        let job = Arc::new(Job {
            ways,
            members,
            load,
            introducer,
            arguments: self.arguments(),
            scrape_from: self.scrape_from.clone(),
            run: run.clone(),
            pauses: (config.ssh.retry.backoff_base, config.ssh.retry.backoff_max),
        });
        let mut limits = self.together.limits(&config.ssh);
        limits.deadline = Duration::from_secs(self.timeout.0);
        let undertaking = Undertaking {
            names: &names,
            limits,
            lines: false,
            keep: Keep::default(),
            logs: Some(logs),
            journal: Some(journal),
            client: &job.ways.client,
        };
        let surroundings = fleet.place().surroundings.clone();
        let report = undertaking.run(fleet.screen(), &surroundings, |turn, output| {
            let job = Arc::clone(&job);
            async move { work::on(&job, &turn, &output).await }
        })?;
        self.conclude(fleet, &report, &run, &folder)
    }

    /// The nodes that are meant, and the file that goes on to be kept.
    fn whom(&self) -> Result<Whom, Failure> {
        let Some(file) = &self.resume else {
            return Ok(Whom::These(self.chosen.which()?, None));
        };
        if self.chosen.says_something() {
            return Err(Failure::invalid(
                "--resume names the nodes; name a file or nodes, not both",
            ));
        }
        let (left, journal) = Journal::resume(file, COMMAND).map_err(unresumable)?;
        if left.hosts.is_empty() {
            // Whoever wrote the last line ended before the file was removed.
            if !self.dry.dry_run {
                journal.finish().map_err(unresumable)?;
            }
            return Ok(Whom::Nobody { done: left.done });
        }
        let names = aami_model::nodeset::NodeSet::from_names(&left.hosts)
            .map_err(|error| Failure::found(code::RESUME_FILE_INVALID, error.to_string()))?;
        Ok(Whom::These(Which::named(names), Some(journal)))
    }

    /// What the agent is told on each node, beside what differs from node to node.
    fn arguments(&self) -> Vec<String> {
        let mut words = vec!["--unattended".to_owned()];
        for (flag, is_set) in [
            ("--skip-gpu", self.skip_gpu),
            ("--skip-agent", self.skip_agent),
            ("--skip-checks", self.skip_checks),
            ("--skip-preflight", self.skip_preflight),
            ("--adopt", self.adopt),
            ("--repair", self.repair),
        ] {
            words.extend(is_set.then(|| flag.to_owned()));
        }
        if let Some(url) = &self.mirror {
            words.extend(["--mirror".to_owned(), url.clone()]);
        }
        words
    }

    /// Where logs and the resume file of this run go: a folder of this user's alone.
    fn folder(&self, fleet: &dyn Fleet, run: &str) -> Result<PathBuf, Failure> {
        let place = fleet.place();
        let folder = match (&self.logs, &place.surroundings.state) {
            (Some(named), _) => named.clone(),
            (None, Some(state)) if place.is_system() => state.join("aami/install").join(run),
            _ => place.path("/var/lib/aami/logs").join(run),
        };
        make_folder(&folder).map_err(written(&folder))?;
        Ok(folder)
    }

    fn plan(&self, fleet: &mut dyn Fleet, members: &[Member], load: &Load) -> Result<Exit, Failure> {
        let words = self.arguments().join(" ");
        let name = fleet.name();
        let screen = fleet.screen();
        if screen.format().is_for_programs() {
            let nodes: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            screen.show(&nodes, |_| crate::cli::table::Table::of_one())?;
            return Ok(Exit::Ok);
        }
        let names = fold(members.iter().map(|member| member.name.as_str()));
        screen.write(&format!("{} of {name}: {names}\n", counted(members.len())))?;
        screen.write(&format!("carried where it is not yet: {load}\n"))?;
        screen.write(&format!("run on each: aami-agent bootstrap {words} ...\n"))?;
        screen.write("Nothing was changed.\n")?;
        Ok(Exit::Ok)
    }

    fn conclude(
        &self,
        fleet: &mut dyn Fleet,
        report: &Report<Installed>,
        run: &str,
        folder: &Path,
    ) -> Result<Exit, Failure> {
        together::sum_up(fleet.screen(), report);
        let installed: Vec<Installed> = report
            .hosts
            .iter()
            .filter_map(|host| host.answer.clone())
            .collect();
        fleet.installed(&installed)?;
        if report.stopped == Some(Stop::Told) || report.not_done() > 0 {
            fleet.screen().note(&format!(
                "what was begun goes on on the nodes by itself: `aami nodes exec NODE --sudo -- {} run follow {run}` \
                 reads along, and the same command with --resume waits for it",
                load::AGENT
            ));
        }
        let exit = together::exit(report);
        if exit == Exit::Ok {
            let names = fold(installed.iter().map(|node| node.name.as_str()));
            let line = match installed.len() {
                1 => format!("✅ Node {names} is installed"),
                count => format!("✅ {count} nodes are installed: {names}"),
            };
            let done = crate::cli::each::Done::new(&names, line.clone());
            fleet.screen().show_one(&done, &line)?;
        } else {
            fleet
                .screen()
                .note(&format!("a log of each node is in {}", folder.display()));
        }
        Ok(exit)
    }
}

/// Whose turn it is.
enum Whom {
    /// These, noted in a file that is there already.
    These(Which, Option<Journal>),
    /// A file says that all of so many are done.
    Nobody { done: usize },
}

/// The resume file of a run. The file of another run in the same folder is never replaced: it says who is left there.
fn new_journal(folder: &Path, run: &str, names: &[String]) -> Result<Journal, JournalError> {
    match Journal::create(&folder.join("resume"), COMMAND, names) {
        Err(error) if error.is_there() => {
            Journal::create(&folder.join(format!("resume-{run}")), COMMAND, names)
        }
        made => made,
    }
}

/// `install-20261121221500000`: a name for the run on every node, by the time it was begun.
fn run_name(now: Timestamp) -> String {
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    format!("install-{digits}")
}

fn counted(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    }
}

fn unresumable(error: JournalError) -> Failure {
    let mut sentence = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        sentence = format!("{sentence}: {source}");
    }
    Failure::found(error.code(), sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_name_is_one_the_agent_takes() {
        let name = run_name("2026-11-21T22:15:00.123Z".parse().unwrap());
        assert_eq!(name, "install-20261121221500123");
        assert!(aami_api::detached::is_run_name(&name));
    }

    #[test]
    fn a_second_run_with_the_same_folder_leaves_the_resume_file_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let names = |name: &str| vec![name.to_owned()];
        drop(new_journal(folder.path(), "install-1", &names("gpu1")).unwrap());
        let second = new_journal(folder.path(), "install-2", &names("gpu2")).unwrap();
        assert_eq!(second.path(), folder.path().join("resume-install-2"));
        let (left, _) = Journal::resume(&folder.path().join("resume"), COMMAND).unwrap();
        assert_eq!(left.hosts, ["gpu1"]);
    }
}
