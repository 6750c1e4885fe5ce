//! Alerts: presets, rule sets, and what is pending or fires.
//!
//! There is one rule set a scope. `PUT`-like work is POST where there is none yet and PATCH with `If-Match` where there
//! is; both are addressed by id, by the group's name, or as `global`.

use std::collections::BTreeMap;

use aami_model::finding::Severity;
use aami_model::rules::{CustomRule, RuleOverride, RuleSet};
use aami_model::{OrgId, PrometheusId, Timestamp};
use serde::{Deserialize, Serialize};

/// POST `/api/v1/alerts/rules`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateRuleSet {
    /// The group whose nodes it is about, by id or name; every node where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it is for.
    pub description: String,
    /// Whether it counts; it does where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Which group wins on a node that is in several: the higher number. 0 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Presets and packs, by their ids.
    pub presets: Vec<String>,
    /// Rules of the operator's own.
    pub custom: Vec<CustomRule>,
    /// What is otherwise here.
    pub overrides: Vec<RuleOverride>,
    /// The tenant; the caller's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
}

/// PATCH `/api/v1/alerts/rules/{id}`: what is given replaces. The scope stays: the id follows from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchRuleSet {
    /// A new description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// On or off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Another rank among groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// The presets, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presets: Option<Vec<String>>,
    /// The own rules, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Vec<CustomRule>>,
    /// The overrides, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Vec<RuleOverride>>,
}

/// A rule set as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleSetView {
    /// The set.
    #[serde(flatten)]
    pub set: RuleSet,
    /// The group's name, or `global`.
    pub scope: String,
    /// The names of the alerts its nodes have by it, each once, sorted.
    #[serde(default)]
    pub alerts: Vec<String>,
}

/// A preset or pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PresetView {
    /// Its id, as it is asked for.
    pub id: String,
    /// What it is for.
    pub sentence: String,
    /// What it watches, by ids.
    pub ids: Vec<String>,
    /// Its rules.
    pub rules: Vec<PresetRule>,
}

/// One rule of a preset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PresetRule {
    /// The id it belongs to.
    pub id: String,
    /// The alert's name.
    pub alert: String,
    /// What is evaluated (PromQL).
    pub expr: String,
    /// How long it must hold.
    #[serde(rename = "for")]
    pub lasting: String,
    /// How grave it is: `info`, `warning` or `critical`.
    pub severity: String,
    /// One sentence for people.
    pub summary: String,
    /// What to do about it.
    pub description: String,
}

/// GET `/api/v1/alerts/presets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Presets {
    /// All there are, the presets before the packs.
    pub items: Vec<PresetView>,
}

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum AlertState {
    /// It fires.
    Firing,
    /// It holds, not yet for as long as its rule says.
    Pending,
}

/// One alert that is pending or fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ActiveAlert {
    /// Its name.
    pub alert: String,
    /// Whether it fires.
    pub state: AlertState,
    /// How grave it is; nothing where its rule does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The node it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// All its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its texts for people.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Since when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The value of its expression, as Prometheus writes it.
    #[serde(default)]
    pub value: String,
    /// Whether Alertmanager holds it back because of a silence or another alert; unknown where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<bool>,
    /// The name of the Prometheus that says so.
    pub prometheus: String,
}

/// What came of asking one Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AskedPrometheus {
    /// Which.
    pub id: PrometheusId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Why it said nothing, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why its Alertmanager said nothing, where it has one that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager_error: Option<String>,
}

/// GET `/api/v1/alerts/active?state=firing&node=NAME&group=G`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ActiveAlerts {
    /// What is pending or fires: what fires first, then the graver, then by name and labels.
    pub items: Vec<ActiveAlert>,
    /// Whether there are more than are listed.
    #[serde(default)]
    pub truncated: bool,
    /// Who was asked; one that did not answer says why, and the others' alerts are listed all the same.
    pub prometheuses: Vec<AskedPrometheus>,
}
