//! What can be chosen at the top of a dashboard.

use serde_json::{Value, json};

use super::render::data_source;

/// A variable: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name, as queries use it.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// Where its values come from, in Grafana's own query language for variables.
    pub query: &'static str,
    /// Whether several, and all, can be chosen.
    pub many: bool,
}

/// The cluster.
pub(super) const CLUSTER: Variable = Variable {
    name: "cluster",
    label: "Cluster",
    query: r#"label_values(up{node!=""}, cluster)"#,
    many: true,
};

/// The nodes of the chosen clusters.
pub(super) const NODE: Variable = Variable {
    name: "node",
    label: "Node",
    query: r#"label_values(up{cluster=~"$cluster", node!=""}, node)"#,
    many: true,
};

impl Variable {
    /// The same, of which one is chosen.
    pub(super) const fn one(mut self) -> Self {
        self.many = false;
        self
    }

    pub(super) fn render(&self) -> Value {
        let mut variable = json!({
            "name": self.name, "label": self.label, "type": "query", "datasource": data_source(),
            "definition": self.query, "query": { "query": self.query, "refId": self.name },
            "refresh": 2, "sort": 3, "hide": 0, "skipUrlSync": false,
            "multi": self.many, "includeAll": self.many,
        });
        if self.many {
            // What has no such label is found by `.*`, and would not be by a list of names.
            variable["allValue"] = ".*".into();
            variable["current"] = json!({ "text": ["All"], "value": ["$__all"] });
        }
        variable
    }
}

/// The data source, first of all: what else can be chosen comes from there.
pub(super) fn source() -> Value {
    json!({ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "refresh": 1, "hide": 0, "multi": false, "includeAll": false, "skipUrlSync": false })
}
