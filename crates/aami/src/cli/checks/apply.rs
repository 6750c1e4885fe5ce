//! `aami checks apply`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aami_api::client::Answer;
use aami_model::check::Check;
use aami_model::{Exit, GroupId};
use clap::Args;
use http::Method;

use super::list::group_names;
use super::show::path;
use super::written::{self, Written};
use crate::cli::dry::Dry;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::screen;
use crate::cli::session::Session;

/// Make checks as a file says, and change those that are there already
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami checks apply --file checks.yaml
  aami checks apply --file checks.yaml --dry-run")]
pub(crate) struct Apply {
    /// YAML or JSON, one check a document; - is standard input
    #[arg(short, long, required = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    dry: Dry,
}

impl Apply {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut wanted = Vec::new();
        for file in &self.file {
            wanted.extend(written::read(file)?);
        }
        let there: Vec<Check> = paging::all(session, "/api/v1/checks", &Query::default(), None)?;
        let groups = group_names(session)?;
        let (mut done, mut last) = (0, None);
        for written in &wanted {
            let same = there.iter().find(|check| is_for_same(written, check, &groups));
            match self.apply(session, written, same) {
                Ok(what) => {
                    done += 1;
                    let what = match self.dry.dry_run {
                        true => Done::would(&written.name, what),
                        false => Done::new(&written.name, what),
                    };
                    what.tell(&mut session.screen)?;
                }
                Err(failure @ (Failure::Closed | Failure::Output(_))) => return Err(failure),
                Err(failure) if wanted.len() == 1 => return Err(failure),
                Err(failure) => {
                    screen::complain(&failure, session.screen.format());
                    last = Some(failure.exit());
                }
            }
        }
        Ok(match last {
            None => Exit::Ok,
            Some(_) if done > 0 => Exit::Partial,
            Some(exit) => exit,
        })
    }

    fn apply(&self, session: &Session, written: &Written, there: Option<&Check>) -> Result<String, Failure> {
        let would = if self.dry.dry_run { "would be" } else { "is" };
        let name = &written.name;
        let Some(there) = there else {
            if !self.dry.dry_run {
                let _: Check = session.client.post("/api/v1/checks", Some(&written.create()))?;
            }
            return Ok(format!("check {name} {would} made"));
        };
        if written.patch(there).is_none() {
            return Ok(format!("check {name} is as written already"));
        }
        if !self.dry.dry_run {
            // Read again with its ETag, so that what somebody else changed meanwhile is not undone unseen.
            let path = path(there.id.as_str());
            let now: Answer<Check> = session.client.call(Method::GET, &path, None::<&()>, &[])?;
            let unchanged: Vec<(&str, &str)> =
                now.etag.iter().map(|etag| ("if-match", etag.as_str())).collect();
            if let Some(patch) = written.patch(&now.body) {
                let _: Answer<Check> = session
                    .client
                    .call(Method::PATCH, &path, Some(&patch), &unchanged)?;
            }
        }
        Ok(format!("check {name} {would} changed"))
    }
}

/// Whether a check has the name and the nodes that are written.
fn is_for_same(written: &Written, check: &Check, groups: &BTreeMap<GroupId, String>) -> bool {
    let same_group = match (&written.group, &check.scope.group) {
        (None, None) => true,
        (Some(name), Some(id)) => name == id.as_str() || groups.get(id) == Some(name),
        _ => false,
    };
    same_group && written.name == check.definition.name && written.selector == check.scope.selector
}
