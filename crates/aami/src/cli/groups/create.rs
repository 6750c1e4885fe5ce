//! `aami groups create`.

use aami_api::group::CreateGroup;
use aami_model::Exit;
use aami_model::group::Group;
use clap::Args;

use super::show;
use crate::cli::failure::Failure;
use crate::cli::labels::{Pair, labels};
use crate::cli::session::Session;

/// Make a group
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What to call it
    name: String,
    /// What it is for
    #[arg(long, default_value_t)]
    description: String,
    /// Labels its nodes carry, unless their own say otherwise; may be repeated
    #[arg(long = "labels", value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<Pair>,
}

impl Create {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let group: Group = session.client.post(
            "/api/v1/groups",
            Some(&CreateGroup {
                name: self.name,
                description: self.description,
                labels: labels(self.labels),
                ..CreateGroup::default()
            }),
        )?;
        session.screen.show(&group, |_| show::table(&group))?;
        Ok(Exit::Ok)
    }
}
