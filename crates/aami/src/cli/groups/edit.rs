//! `aami groups edit`.

use aami_api::group::PatchGroup;
use aami_model::Exit;
use aami_model::group::Group;
use clap::Args;
use http::Method;

use super::show::{self, path};
use crate::cli::dry::{Change, Dry};
use crate::cli::duration;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::session::Session;

/// Change a group's description or labels, or how the agents of its nodes behave
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  aami groups edit racks --description 'Hall B'
  aami groups edit racks --label site=b --label row-
  aami groups edit racks --heartbeat 30s --discover off
  aami groups edit racks --heartbeat default --dry-run")]
pub(crate) struct Edit {
    /// Name or id
    group: String,
    /// A new description
    #[arg(long, group = "change")]
    description: Option<String>,
    /// NAME=VALUE sets a label, NAME- takes one away; may be repeated
    #[arg(long, value_name = "CHANGE", group = "change", allow_hyphen_values = true)]
    label: Vec<String>,
    /// How often its agents send a heartbeat, e.g. 30s; `default` leaves it to them
    #[arg(long, value_name = "DURATION", group = "change")]
    heartbeat: Option<Seconds>,
    /// How often resources go along, e.g. 1m; `default` leaves it to them
    #[arg(long, value_name = "DURATION", group = "change")]
    resources: Option<Seconds>,
    /// Whether its agents look for exporters that nobody registered: on, off or default
    #[arg(long, value_name = "WORD", group = "change", value_parser = ["on", "off", "default"])]
    discover: Option<String>,
    #[command(flatten)]
    dry: Dry,
}

/// A whole number of seconds, or what each agent does by itself.
#[derive(Debug, Clone, Copy)]
struct Seconds(Option<u32>);

impl std::str::FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "default" {
            return Ok(Self(None));
        }
        let duration::Seconds(seconds) = text.parse()?;
        Ok(Self(Some(u32::try_from(seconds).unwrap_or(u32::MAX))))
    }
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = path(&self.group);
        let group = find::group(session, &self.group)?;
        let mut patch = PatchGroup {
            description: self.description,
            ..PatchGroup::default()
        };
        let mut agents = group.body.agents.clone();
        if let Some(Seconds(seconds)) = self.heartbeat {
            agents.heartbeat_seconds = seconds;
        }
        if let Some(Seconds(seconds)) = self.resources {
            agents.resources_seconds = seconds;
        }
        match self.discover.as_deref() {
            Some("on") => agents.discover = Some(true),
            Some("off") => agents.discover = Some(false),
            Some(_) => agents.discover = None,
            None => {}
        }
        patch.agents = (agents != group.body.agents).then_some(agents);
        if !self.label.is_empty() {
            let mut wanted = group.body.labels.clone();
            labels::change(&mut wanted, &self.label)?;
            patch.labels = Some(wanted);
        }
        let change = Change::new(Method::PATCH, path, &patch).unchanged_since(group.etag.as_deref());
        if self.dry.dry_run {
            let name = &group.body.name;
            return change.tell(session, &group.body.id, format!("group {name} would be changed"));
        }
        let edited: Group = change.send(session)?;
        session.screen.show(&edited, |_| show::table(&edited))?;
        Ok(Exit::Ok)
    }
}
