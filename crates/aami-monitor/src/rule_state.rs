//! How the rules of Prometheuses stand, as the control plane's `/metrics` tells it.

use std::fmt::Write as _;

use crate::node_info::labels;

/// How the rules of one Prometheus stand.
#[derive(Debug, Clone)]
pub struct OfPrometheus {
    /// The tenant it belongs to: another may have one of the same name.
    pub org: String,
    /// Its name.
    pub prometheus: String,
    /// Whether it has loaded what it should have.
    pub loaded: bool,
    /// How many of its rules it cannot evaluate.
    pub failing: usize,
}

/// The metrics of these Prometheuses in the text format of Prometheus; nothing where there are none.
pub fn metrics(prometheuses: &[OfPrometheus]) -> String {
    let mut text = String::new();
    if prometheuses.is_empty() {
        return text;
    }
    let mut gauge = |name: &str, help: &str, value: fn(&OfPrometheus) -> usize| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for one in prometheuses {
            let labels = labels(&[("org", &one.org), ("prometheus", &one.prometheus)]);
            let _ = writeln!(text, "{name}{{{labels}}} {}", value(one));
        }
    };
    gauge(
        "aami_rules_loaded",
        "Whether a Prometheus has loaded the rules it should have.",
        |one| usize::from(one.loaded),
    );
    gauge(
        "aami_rules_failing",
        "Rules that a Prometheus has loaded and cannot evaluate.",
        |one| one.failing,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_of_any_name_has_two_lines() {
        assert_eq!(metrics(&[]), "");
        let text = metrics(&[OfPrometheus {
            org: "default".to_owned(),
            prometheus: "a\"b".to_owned(),
            loaded: true,
            failing: 2,
        }]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "aami_rules_loaded{org=\"default\",prometheus=\"a\\\"b\"} 1",
                "aami_rules_failing{org=\"default\",prometheus=\"a\\\"b\"} 2"
            ]
        );
    }
}
