//! `aami groups create`.

use aami_api::group::CreateGroup;
use aami_model::Exit;
use aami_model::group::Group;
use clap::Args;
use http::Method;

use super::show;
use crate::cli::dry::{Change, Dry, absent, fitting};
use crate::cli::failure::Failure;
use crate::cli::labels::{Pair, labels};
use crate::cli::session::Session;

/// Make a group
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami groups create racks
  aami groups create row-3 --description 'Row 3, hall B' --labels site=b,row=3
  aami groups create racks --dry-run")]
pub(crate) struct Create {
    /// What to call it
    name: String,
    /// What it is for
    #[arg(long, default_value_t)]
    description: String,
    /// Labels its nodes carry, unless their own say otherwise; may be repeated
    #[arg(long = "labels", value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<Pair>,
    #[command(flatten)]
    dry: Dry,
}

impl Create {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let wanted = CreateGroup {
            name: self.name,
            description: self.description,
            labels: labels(self.labels),
            ..CreateGroup::default()
        };
        let change = Change::new(Method::POST, "/api/v1/groups", &wanted);
        if self.dry.dry_run {
            let name = &wanted.name;
            fitting(name)?;
            absent(session, &show::path(name), &format!("a group {name:?}"))?;
            return change.tell(session, name, format!("group {name} would be made"));
        }
        let group: Group = change.send(session)?;
        session.screen.show(&group, |_| show::table(&group))?;
        Ok(Exit::Ok)
    }
}
