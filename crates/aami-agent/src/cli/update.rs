//! `aami-agent update`: what `aami-agent-update.service` runs. It is none of the commands for people, who ask the
//! control plane (`aami nodes command NODE update-agent V`, `aami agents update`).

use aami_install::Mode;
use aami_model::{Exit, code, version};
use aami_plans::node::{Form, Layout, Node, NodeOptions, Purpose};
use clap::Args;

use super::bootstrap::{launcher, signals};
use super::failure::Failure;
use super::node::{Which, api_of, strict_downloader};
use super::screen;
use super::surroundings::Surroundings;
use crate::update::{Book, Place, run};

/// Replace this agent as its daemon was asked to, or go on with that
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// Install this very program as the node's agent
    #[arg(long)]
    settle: bool,
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
        );
        run(&place, &book, version::own()).map_err(|error| {
            let sentence = format!("how far the update is cannot be written down: {error}");
            Failure::new(code::COMMAND_FAILED, sentence)
        })?;
        Ok(Exit::Ok)
    }

    /// This program becomes the node's agent: the steps of the node plan that are about it.
    fn settle(
        &self,
        enrolment: aami_plans::node::Enrolment,
        surroundings: &Surroundings,
    ) -> Result<Exit, Failure> {
        let api = api_of(&enrolment, &surroundings.proxies)?;
        let node = Node::new(NodeOptions {
            purpose: Purpose::Update(Box::new(enrolment)),
            agent: Some(launcher()?),
            ..self.which.bare(api, surroundings.proxies.clone())
        })?;
        let host = self.which.host()?;
        let installer = self.which.installer(&host, &node)?;
        let report = installer
            .cancelled_by(signals::cancel_on_signals()?)
            .run(Mode::Fresh)?;
        match report.failure() {
            Some((code, sentence)) => Err(Failure::new(code, sentence)),
            None => Ok(report.exit()),
        }
    }
}
