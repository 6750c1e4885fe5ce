//! Lists longer than one page.

use aami_api::page::{MOST, Page};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::query::Query;
use super::session::Session;

/// Fetches a list, page after page, until it ends or `most` are there.
pub(crate) fn all<T: DeserializeOwned>(
    session: &Session,
    path: &str,
    query: &Query,
    most: Option<usize>,
) -> Result<Vec<T>, Failure> {
    let most = most.unwrap_or(usize::MAX);
    let mut items: Vec<T> = Vec::new();
    let mut next = None;
    while items.len() < most {
        let mut query = query.clone();
        query.add("limit", MOST.min(most - items.len()));
        query.add_if("page_token", next.as_deref());
        let page: Page<T> = session.client.get(&format!("{path}{query}"))?;
        items.extend(page.items);
        next = page.next_page_token;
        if next.is_none() {
            break;
        }
    }
    items.truncate(most);
    Ok(items)
}
