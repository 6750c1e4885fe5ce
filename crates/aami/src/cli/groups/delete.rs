//! `aami groups delete`.

use aami_api::node::NodeView;
use aami_api::prometheus::PrometheusView;
use aami_api::token::{TokenState, TokenView};
use aami_model::check::Check;
use aami_model::group::Group;
use aami_model::{Exit, code};
use clap::Args;

use super::show::path;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::fleet::rule_sets;

/// Delete groups that no node is in
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami groups delete racks
  aami groups delete row-3 row-4 --dry-run")]
pub(crate) struct Delete {
    /// Names or ids
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.groups, |session, name| {
            let change = Change::delete(path(name));
            if self.dry.dry_run {
                let group = needed_by_nobody(session, name)?;
                return change.would(&group.id, format!("group {} would be deleted", group.name));
            }
            let _: serde_json::Value =
                (change.send(session)).map_err(|failure| find::group_meant(session, name, failure))?;
            Ok(Done::new(name, format!("group {name} is deleted")))
        })
    }
}

/// The group, which nothing may need any more: the control plane refuses to delete one that is needed.
fn needed_by_nobody(session: &Session, name: &str) -> Result<Group, Failure> {
    let group = find::group(session, name)?.body;
    let (id, name) = (&group.id, &group.name);
    let conflict = |sentence: String| Err(Failure::found(code::CONFLICT, sentence));
    let mut query = Query::default();
    query.add("group", id);
    let members: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &query, None)?;
    if !members.is_empty() {
        return conflict(format!(
            "{} nodes are in the group {name:?}; take them out first",
            members.len()
        ));
    }
    let all = Query::default();
    let checks: Vec<Check> = paging::all(session, "/api/v1/checks", &all, None)?;
    let meant = (checks.iter()).filter(|check| check.scope.group.as_ref() == Some(id));
    let meant = meant.count();
    if meant > 0 {
        return conflict(format!(
            "{meant} checks are meant for the group {name:?}; delete them first"
        ));
    }
    if rule_sets::rule_set(session, name)?.is_some() {
        return conflict(format!(
            "there are alert rules of the group {name:?}; delete them first"
        ));
    }
    let prometheuses: Vec<PrometheusView> = paging::all(session, "/api/v1/prometheuses", &all, None)?;
    let watches = |view: &&PrometheusView| view.prometheus.groups.contains(id);
    if let Some(view) = prometheuses.iter().find(watches) {
        return conflict(format!(
            "the Prometheus {:?} watches the group {name:?}; change that first",
            view.prometheus.name
        ));
    }
    let tokens: Vec<TokenView> = paging::all(session, "/api/v1/bootstrap-tokens", &all, None)?;
    let enrols = |token: &&TokenView| token.group.as_ref() == Some(id) && token.state == TokenState::Active;
    let enrolling = tokens.iter().filter(enrols).count();
    if enrolling > 0 {
        return conflict(format!(
            "{enrolling} bootstrap tokens enrol into the group {name:?}; revoke them first"
        ));
    }
    Ok(group)
}
