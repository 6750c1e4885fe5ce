//! `aami-agent update`: what `aami-agent-update.service` runs. It is none of the commands for people, who ask the
//! control plane (`aami nodes command NODE update-agent V`, `aami agents update`).

use std::time::Duration;

use aami_install::Mode;
use aami_model::{Exit, code, version};
use aami_plans::download::Proxies;
use aami_plans::node::{Enrolment, Form, Layout, Node, NodeOptions, Purpose, take_back_older_agents};
use clap::Args;

use super::bootstrap::{launcher, signals};
use super::failure::Failure;
use super::node::{Which, api_of, strict_downloader};
use super::screen;
use super::surroundings::Surroundings;
use crate::update::{Book, Patience, Place, Prune, Wrong, run};

/// How long both may take together, in seconds. The new agent is watched twice, on trial and as it was installed, and
/// an update has 20 minutes in all, the download among them: then a rollout calls the node failed.
const LONGEST: u64 = 450;

/// Replace this agent as its daemon was asked to, or go on with that
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// Install this very program as the node's agent
    #[arg(long)]
    settle: bool,
    /// How many seconds the new agent may take to be acknowledged
    #[arg(long, value_name = "SECONDS", default_value_t = Patience::default().trial.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    trial: u64,
    /// How many seconds it has to run on from then on
    #[arg(long, value_name = "SECONDS", default_value_t = Patience::default().steady.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    steady: u64,
    /// Speak JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

impl Update {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        self.which.need_root()?;
        if self.which.form() != Form::Host {
            return Err(Failure::invalid(
                "an agent is replaced on a host, not in a folder",
            ));
        }
        let enrolment = self.which.enrolment()?.ok_or_else(|| {
            let sentence = "this machine is not enrolled with a control plane";
            Failure::new(code::NODE_NOT_ENROLLED, sentence)
        })?;
        if self.settle {
            return self.settle(enrolment, surroundings);
        }
        if self.trial + self.steady > LONGEST {
            let sentence = format!(
                "--trial and --steady are {} seconds together, and may be {LONGEST}: both come twice in the 20 minutes of \
                 an update",
                self.trial + self.steady
            );
            return Err(Failure::invalid(sentence));
        }
        // The unit begins with each boot. Nobody asks a node on its own for an update.
        let Some(server) = enrolment.server.as_deref() else {
            return Ok(Exit::Ok);
        };
        let layout = Layout::of(Form::Host, &self.which.cluster)
            .map_err(|error| Failure::invalid(error.to_string()))?;
        let root = self.which.root();
        let spool = root
            .join(layout.agent.as_str().trim_start_matches('/'))
            .join("spool");
        let book = Book::below(root, &spool);
        let place = Place::new(
            self.which.host()?,
            book.clone(),
            server.trim_end_matches('/').to_owned(),
            self.which.cluster.clone(),
            enrolment.trust.clone(),
            strict_downloader(surroundings.proxies.clone()),
            screen::aside,
        )
        .patient(Patience {
            trial: Duration::from_secs(self.trial),
            steady: Duration::from_secs(self.steady),
        })
        .pruned_by(pruning(
            self.which.clone(),
            enrolment,
            surroundings.proxies.clone(),
        ));
        run(&place, &book, version::own()).map_err(|error| {
            let sentence = format!("how far the update is cannot be written down: {error}");
            Failure::new(code::COMMAND_FAILED, sentence)
        })?;
        Ok(Exit::Ok)
    }

    /// This program becomes the node's agent: the steps of the node plan that are about it.
    fn settle(&self, enrolment: Enrolment, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let api = api_of(&enrolment, &surroundings.proxies)?;
        let node = Node::new(NodeOptions {
            purpose: Purpose::Update(Box::new(enrolment)),
            agent: Some(launcher()?),
            ..self.which.bare(api, surroundings.proxies.clone())
        })?;
        let host = self.which.host()?;
        // One that fails is taken back: that the installation failed would stand there for good.
        let installer = self.which.silent(&host, &node)?;
        let report = installer
            .cancelled_by(signals::cancel_on_signals()?)
            .run(Mode::Fresh)?;
        match report.failure() {
            Some((code, sentence)) => Err(Failure::new(code, sentence)),
            None => Ok(report.exit()),
        }
    }
}

/// Removes older agents by the receipt of the plan that placed them.
fn pruning(which: Which, enrolment: Enrolment, proxies: Proxies) -> Box<Prune> {
    let failed = |failure: Failure| Wrong::new(failure.code, failure.sentence);
    Box::new(move |keep| {
        let api = api_of(&enrolment, &proxies).map_err(failed)?;
        let node = which.look(Some(enrolment.clone()), api, proxies.clone());
        let node = node.map_err(failed)?;
        let host = which.host().map_err(failed)?;
        let options = which.options().map_err(failed)?;
        let report = take_back_older_agents(&host, &node, &options, keep)
            .map_err(|error| Wrong::new(error.code(), error.to_string()))?;
        match report.failed.first() {
            Some(failed) => Err(Wrong::new(failed.code, failed.message.clone())),
            None => Ok(report.undone),
        }
    })
}
