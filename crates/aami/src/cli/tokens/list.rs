//! `aami tokens list`.

use aami_api::token::{TokenState, TokenView};
use aami_model::{Exit, Timestamp};
use clap::Args;

use crate::cli::age::{age, left};
use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List tokens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami tokens list
  aami tokens list -o json | jq -r '.[] | select(.state == \"active\") | .name'")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let tokens: Vec<TokenView> =
            paging::all(session, "/api/v1/bootstrap-tokens", &Query::default(), None)?;
        let now = session.screen.now();
        session.screen.show(&tokens, |wide| table(&tokens, now, wide))?;
        Ok(Exit::Ok)
    }
}

pub(super) const fn state(state: TokenState) -> &'static str {
    match state {
        TokenState::Active => "active",
        TokenState::Expired => "expired",
        TokenState::Exhausted => "exhausted",
        TokenState::Revoked => "revoked",
    }
}

pub(crate) fn table(tokens: &[TokenView], now: Timestamp, wide: bool) -> Table {
    let mut headings = vec!["NAME", "ID", "STATE", "USED", "ENDS IN", "AGE"];
    if wide {
        headings.extend(["GROUP", "LABELS"]);
    }
    let mut table = Table::new(&headings, "no tokens; `aami tokens create --name NAME` makes one");
    for token in tokens {
        let mut cells = vec![
            token.name.clone(),
            token.id.to_string(),
            state(token.state).to_owned(),
            format!("{}/{}", token.used, token.max_uses),
            left(now, token.expires_at),
            age(now, token.created_at),
        ];
        if wide {
            cells.push(
                token
                    .group
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
            );
            cells.push(labels::shown(&token.labels));
        }
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::show;
    use super::*;

    fn token(state: TokenState) -> TokenView {
        TokenView {
            id: "abcdefghijklmnop".parse().unwrap(),
            org: aami_model::OrgId::default(),
            name: "rack-a1".into(),
            state,
            max_uses: 40,
            used: 3,
            remaining: 37,
            created_at: "2026-11-20T12:00:00Z".parse().unwrap(),
            expires_at: "2026-11-21T12:00:00Z".parse().unwrap(),
            revoked_at: None,
            group: Some("racks".parse().unwrap()),
            labels: aami_model::label::Labels::from_iter([("rack", "A1")]),
            allow_reenrol: true,
        }
    }

    #[test]
    fn tokens_as_people_see_them() {
        let now = "2026-11-20T12:10:00Z".parse().unwrap();
        let tokens = [token(TokenState::Active), token(TokenState::Revoked)];
        insta::assert_snapshot!(table(&tokens, now, true));
        insta::assert_snapshot!(show::table(&token(TokenState::Active)));
    }
}
