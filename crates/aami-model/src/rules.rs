//! Rule sets: which alerts there are for everybody, and for the nodes of a group.
//!
//! There is one [`RuleSet`] a scope: the one of a group, or the one for all nodes of an organisation. What a group says
//! of an alert goes before what is said for everybody, by the name of the alert. Whether presets and rules are any good
//! is judged by `aami-monitor`; nothing here reads an expression.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Severity;
use crate::{GroupId, OrgId, RuleSetId, Timestamp};

/// At most this many rule sets an organisation has.
pub const MOST_SETS: usize = 256;
/// At most this many rules of its own a set has.
pub const MOST_CUSTOM: usize = 200;
/// At most this many overrides a set has.
pub const MOST_OVERRIDES: usize = 200;
/// At most this much text an organisation's own rules hold together, in bytes: a Prometheus takes them in one answer.
pub const MOST_TEXT: usize = 2 * 1024 * 1024;
/// At most this much text the files hold that are made for an organisation other than the default one, in bytes: several
/// share a Prometheus.
pub const MOST_MADE: usize = 4 * 1024 * 1024;
/// What the set for every node is called where a set is named.
pub const GLOBAL: &str = "global";

/// A rule of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CustomRule {
    /// The alert's name: a letter, then letters, digits and `_`; no two rules of a set share one.
    pub name: String,
    /// What Prometheus evaluates (PromQL); the alert fires for each series it returns.
    pub expr: String,
    /// How long it must hold before the alert fires, as `5m` or `1h30m`.
    #[serde(rename = "for", default = "at_once")]
    pub lasting: String,
    /// How grave it is.
    #[serde(default = "usual_severity")]
    pub severity: Severity,
    /// One sentence for people; `{{ $labels.node }}` and `{{ $value }}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// More words for people, with the same placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A page that says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    /// Labels of the alert.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Other annotations of the alert.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn at_once() -> String {
    "0s".to_owned()
}

const fn usual_severity() -> Severity {
    Severity::Warning
}

impl CustomRule {
    /// How much text it holds, in bytes.
    pub fn text_len(&self) -> usize {
        let one = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let all = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        self.name.len()
            + self.expr.len()
            + self.lasting.len()
            + one(&self.summary)
            + one(&self.description)
            + one(&self.runbook_url)
            + all(&self.labels)
            + all(&self.annotations)
    }
}

/// What a set says otherwise of the alerts of one name: its own, and for a group those for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleOverride {
    /// The alert's name.
    pub alert: String,
    /// Whether there is no such alert here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// How grave it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How long it must hold.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// The number its expression compares with. Only where it compares with one number at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// The alerts of one scope, as they are kept and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleSet {
    /// Its id, which follows from organisation and scope.
    pub id: RuleSetId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// The group whose nodes it is about; every node of the organisation where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it counts at all.
    pub enabled: bool,
    /// Which group wins on a node that is in several: the higher number, then the lower group id.
    #[serde(default)]
    pub priority: u16,
    /// Presets and packs, by their ids; each once, in the order of their ids.
    #[serde(default)]
    pub presets: Vec<String>,
    /// Rules of the operator's own, in the order of their names.
    #[serde(default)]
    pub custom: Vec<CustomRule>,
    /// What is otherwise here, in the order of the alerts' names.
    #[serde(default)]
    pub overrides: Vec<RuleOverride>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
