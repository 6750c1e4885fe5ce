//! `aami checks list`.

use std::collections::BTreeMap;

use aami_api::check::NodeChecks;
use aami_model::check::{Check, CheckScope};
use aami_model::group::Group;
use aami_model::{Exit, GroupId};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List checks, or those that one node is told to run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami checks list
  aami checks list --node gpu-01")]
pub(crate) struct List {
    /// Only what this node is told; of several with one name, the one that wins there
    #[arg(long, value_name = "HOSTNAME")]
    node: Option<String>,
}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut checks: Vec<Check> = paging::all(session, "/api/v1/checks", &Query::default(), None)?;
        if let Some(hostname) = &self.node {
            let mut query = Query::default();
            query.add("hostname", hostname);
            let told: NodeChecks = session.client.get(&format!("/api/v1/checks/node{query}"))?;
            checks.retain(|check| told.checks.iter().any(|told| told.id == check.id));
        }
        checks.sort_by(|a, b| (&a.definition.name, &a.id).cmp(&(&b.definition.name, &b.id)));
        let groups = group_names(session)?;
        session
            .screen
            .show(&checks, |wide| table(&checks, &groups, wide))?;
        Ok(Exit::Ok)
    }
}

/// What groups are called, by id.
pub(super) fn group_names(session: &Session) -> Result<BTreeMap<GroupId, String>, Failure> {
    let groups: Vec<Group> = paging::all(session, "/api/v1/groups", &Query::default(), None)?;
    Ok(groups.into_iter().map(|group| (group.id, group.name)).collect())
}

/// Where a check runs, in words.
pub(super) fn meant_for(scope: &CheckScope, groups: &BTreeMap<GroupId, String>) -> String {
    let group = scope.group.as_ref().map(|id| {
        let name = groups.get(id).map_or(id.as_str(), String::as_str);
        format!("group {name}")
    });
    let selector = Some(labels::shown(&scope.selector)).filter(|text| !text.is_empty());
    let parts: Vec<String> = group.into_iter().chain(selector).collect();
    if parts.is_empty() {
        "every node".to_owned()
    } else {
        parts.join(", ")
    }
}

pub(crate) fn table(checks: &[Check], groups: &BTreeMap<GroupId, String>, wide: bool) -> Table {
    let mut headings = vec!["NAME", "ID", "FOR", "EVERY", "AS", "SIGNED BY", "ENABLED"];
    if wide {
        headings.extend(["TIMEOUT", "SHA256", "DESCRIPTION"]);
    }
    let mut table = Table::new(&headings, "no checks; `aami checks apply -f FILE` makes them");
    for check in checks {
        let definition = &check.definition;
        let mut cells = vec![
            definition.name.clone(),
            check.id.to_string(),
            meant_for(&check.scope, groups),
            format!("{}s", definition.interval_seconds),
            definition.run_as.name().to_owned(),
            definition
                .signature
                .as_ref()
                .map_or("-", |signature| &signature.key_id)
                .to_owned(),
            if check.enabled { "yes" } else { "no" }.to_owned(),
        ];
        if wide {
            cells.extend([
                format!("{}s", definition.timeout_seconds),
                check.sha256.clone(),
                check.description.clone(),
            ]);
        }
        table.row(cells);
    }
    table
}
