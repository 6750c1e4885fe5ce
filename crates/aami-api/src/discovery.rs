//! Prometheus' `http_sd` and `file_sd` format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One group of targets with the labels they share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TargetGroup {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}
