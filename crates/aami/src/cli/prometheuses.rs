//! `aami prometheuses`: who evaluates rules, what each should have loaded, and what it has. One file per verb.

mod add;
mod edit;
mod list;
mod remove;
mod show;

use aami_api::prometheus::PrometheusView;
use aami_model::{Exit, code};
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::find;
use super::query::encoded;
use super::session::{Common, Session};
use super::surroundings::Surroundings;

/// The Prometheuses that are given alert rules, and how far each is
#[derive(Debug, Args)]
pub(crate) struct Prometheuses {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Add(add::Add),
    Edit(edit::Edit),
    Remove(remove::Remove),
}

impl Prometheuses {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Add(verb) => verb.run(&mut session),
            Verb::Edit(verb) => verb.run(&mut session),
            Verb::Remove(verb) => verb.run(&mut session),
        }
    }
}

/// Where one is, by name or id.
fn path(name: &str) -> String {
    format!("/api/v1/prometheuses/{}", encoded(name))
}

/// Refuses a node or groups that are not there.
fn placed(session: &Session, node: Option<&str>, groups: &[String]) -> Result<(), Failure> {
    if let Some(node) = node {
        find::node(session, node)?;
    }
    groups
        .iter()
        .try_for_each(|group| find::group(session, group).map(drop))
}

/// Why one could not be placed: where its node or a group is not there, with the name that may have been meant.
fn placed_where(session: &Session, node: Option<&str>, groups: &[String], failure: Failure) -> Failure {
    if failure.code() != Some(code::NOT_FOUND) {
        return failure;
    }
    placed(session, node, groups).err().unwrap_or(failure)
}

/// Refuses the one that the control plane's own configuration names.
fn changeable(view: &PrometheusView) -> Result<(), Failure> {
    if view.prometheus.node.is_some() {
        return Ok(());
    }
    Err(Failure::found(
        code::CONFLICT,
        "this is the Prometheus on the control plane's own machine; the control plane's configuration names it",
    ))
}

/// The one of this name or id, with what to send to change exactly this.
fn named(session: &Session, name: &str) -> Result<(PrometheusView, Option<String>), Failure> {
    let answer = find::prometheus(session, name)?;
    Ok((answer.body, answer.etag))
}
