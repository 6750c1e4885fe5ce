//! Which nodes are meant.

use aami_model::label::Labels;
use aami_model::node_status::NodeStatus;
use aami_model::nodeset::NodeSet;

/// Nodes that are named, or chosen by what is known of them. All that is said must fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Which {
    /// Exactly these; each has to be there.
    pub(crate) names: Option<NodeSet>,
    /// Those with these labels.
    pub(crate) labels: Labels,
    /// Those of this group, by name; a control plane knows it by id as well.
    pub(crate) group: Option<String>,
    /// Those that hold this text in name, address or a label.
    pub(crate) search: Option<String>,
    /// Those in this status, which only a control plane knows.
    pub(crate) status: Option<NodeStatus>,
    /// At most so many.
    pub(crate) limit: Option<usize>,
}

impl Which {
    /// Every node.
    pub(crate) fn all() -> Self {
        Self::default()
    }

    /// These nodes.
    pub(crate) fn named(names: NodeSet) -> Self {
        Self {
            names: Some(names),
            ..Self::default()
        }
    }

    /// Whether a node fits, by what is known of every node.
    pub(crate) fn fits(&self, name: &str, address: &str, labels: &Labels) -> bool {
        let searched = |text: &String| {
            let in_labels = || {
                labels
                    .0
                    .iter()
                    .any(|(key, value)| key.contains(text) || value.contains(text))
            };
            name.contains(text.as_str()) || address.contains(text.as_str()) || in_labels()
        };
        self.names.as_ref().is_none_or(|names| names.contains(name))
            && labels.matches(&self.labels)
            && self.search.as_ref().is_none_or(searched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_said_must_fit() {
        let labels = Labels::from_iter([("rack", "A1")]);
        let fits = |which: &Which| which.fits("gpu-07", "10.0.0.7", &labels);
        assert!(fits(&Which::all()));
        assert!(fits(&Which::named("gpu-[01-10]".parse().unwrap())));
        assert!(!fits(&Which::named("gpu-[1-6]".parse().unwrap())));
        for (label, search, expected) in [
            (("rack", "A1"), "gpu", true),
            (("rack", "A1"), "0.7", true),
            (("rack", "A2"), "gpu", false),
            (("rack", "A1"), "cpu", false),
        ] {
            let which = Which {
                labels: Labels::from_iter([label]),
                search: Some(search.to_owned()),
                ..Which::all()
            };
            assert_eq!(fits(&which), expected, "{which:?}");
        }
    }
}
