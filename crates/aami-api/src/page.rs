//! Lists, paged by key, never by offset.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// What there is, in the order of the keys.
    pub items: Vec<T>,
    /// Hand this back as `page_token` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The page size where the caller names none.
pub const DEFAULT_LIMIT: usize = 100;
/// The largest page.
pub const MOST: usize = 1000;
