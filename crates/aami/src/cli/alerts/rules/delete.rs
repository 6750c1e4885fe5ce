//! `aami alerts rules delete`.

use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Remove rule sets; for the nodes of a group what is for everybody holds from then on
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Groups, or ids; `global` is the set for every node
    #[arg(required = true, value_name = "SCOPE")]
    scopes: Vec<String>,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.scopes, |session, scope| {
            session.client.delete_rule_set(scope)?;
            Ok(Done::new(scope, format!("the rules for {scope} are removed")))
        })
    }
}
