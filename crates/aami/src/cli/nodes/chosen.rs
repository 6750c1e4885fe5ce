//! Which nodes a command is for: by name, in nodeset notation, or by what is known of them.

use aami_model::nodeset::{LIMIT, NodeSet};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::labels::{self, Pair};
use crate::fleet::Which;

/// Nodes by name or by label.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Chosen {
    /// Nodes, e.g. gpu-01 or gpu[001-128]; several, with commas or blanks
    #[arg(value_name = "NODES")]
    nodes: Vec<String>,
    /// Every node
    #[arg(long, conflicts_with_all = ["nodes", "filter"])]
    all: bool,
    /// The nodes with these labels; all that are given must fit
    #[arg(
        short = 'l',
        long,
        visible_alias = "label",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    filter: Vec<Pair>,
    /// The nodes of this group
    #[arg(long, value_name = "GROUP", conflicts_with = "all")]
    group: Option<String>,
}

impl Chosen {
    /// Whether nodes are named or chosen at all.
    pub(crate) fn says_something(&self) -> bool {
        !self.nodes.is_empty() || self.all || !self.filter.is_empty() || self.group.is_some()
    }

    /// The nodes that are meant. Fails where nothing says so: an action on all of them is asked for by its name.
    pub(crate) fn which(&self) -> Result<Which, Failure> {
        if !self.says_something() {
            return Err(Failure::invalid(
                "name nodes, or choose them with -l NAME=VALUE, --group or --all",
            ));
        }
        Ok(Which {
            names: names(&self.nodes)?,
            labels: labels::labels(self.filter.clone()),
            group: self.group.clone(),
            ..Which::all()
        })
    }
}

/// Names in nodeset notation; nothing where none are given.
pub(crate) fn names(texts: &[String]) -> Result<Option<NodeSet>, Failure> {
    if texts.is_empty() {
        return Ok(None);
    }
    // Host names are compared in lower case, and ids are written in it.
    let text = texts.join(",").to_ascii_lowercase();
    let set = NodeSet::parse(&text, LIMIT)
        .map_err(|error| Failure::invalid(format!("{:?}: {error}", shortened(&text))))?;
    Ok(Some(set))
}

/// Enough of a long text to know it again.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        chosen: Chosen,
    }

    fn chosen(words: &[&str]) -> Chosen {
        Line::try_parse_from(std::iter::once("aami").chain(words.iter().copied()))
            .unwrap()
            .chosen
    }

    #[test]
    fn nodes_are_named_as_sets_and_chosen_by_labels() {
        let which = chosen(&["gpu[1-3]", "gpu7", "-l", "rack=A1,row=3"])
            .which()
            .unwrap();
        assert_eq!(which.names.unwrap().to_string(), "gpu[1-3,7]");
        assert_eq!(labels::shown(&which.labels), "rack=A1,row=3");
        assert_eq!(chosen(&["--all"]).which().unwrap(), Which::all());
    }

    #[test]
    fn nobody_is_meant_by_saying_nothing() {
        assert!(chosen(&[]).which().is_err());
        let failure = chosen(&["gpu[1-"]).which().unwrap_err();
        assert!(failure.to_string().contains("gpu[1-"), "{failure}");
        assert!(Line::try_parse_from(["aami", "--all", "gpu1"]).is_err());
    }
}
