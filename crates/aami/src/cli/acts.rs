//! By what a command acts: said at the end of its help, from one table.

use clap::Command;

/// By what a command acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acts {
    /// A control plane where there is one, else the file fleet.
    Both,
    /// A control plane and nothing else.
    Plane,
    /// The file fleet and nothing else.
    File,
    /// Neither, or in a way of its own that its help explains.
    Neither,
}

impl Acts {
    const fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Both => {
                Some("Acts by the control plane where one is named, else by the file fleet over SSH.")
            }
            Self::Plane => Some("Acts by the control plane."),
            Self::File => Some("Acts by the file fleet, /etc/aami/config.yaml."),
            Self::Neither => None,
        }
    }
}

/// Commands by the words they are called with; one that is not here acts on this machine alone, or on nothing. A
/// longer row stands over a shorter one.
const TABLE: &[(&str, Acts)] = &[
    ("agents", Acts::Plane),
    ("alerts", Acts::Both),
    ("alerts list-presets", Acts::Neither),
    ("alerts rules", Acts::Plane),
    ("alerts show-preset", Acts::Neither),
    ("audit", Acts::Plane),
    ("batches", Acts::Plane),
    ("checks", Acts::Plane),
    ("config", Acts::Neither),
    ("config import", Acts::Plane),
    ("config prometheus", Acts::Plane),
    ("diagnose", Acts::Both),
    ("diff", Acts::Both),
    ("events", Acts::Plane),
    ("groups", Acts::Plane),
    ("init", Acts::File),
    ("keys", Acts::Plane),
    ("nodes", Acts::Plane),
    ("nodes add", Acts::Both),
    ("nodes exec", Acts::Both),
    ("nodes install", Acts::Both),
    ("nodes list", Acts::Both),
    ("nodes remove", Acts::File),
    ("nodes test", Acts::Both),
    ("prometheuses", Acts::Plane),
    ("runs", Acts::Plane),
    ("status", Acts::Both),
    ("tokens", Acts::Plane),
    ("webhooks", Acts::Plane),
];

/// What the longest row says that fits these words.
fn acts(words: &str) -> Option<Acts> {
    let fits = |row: &&(&str, Acts)| {
        words
            .strip_prefix(row.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    TABLE
        .iter()
        .filter(fits)
        .max_by_key(|row| row.0.len())
        .map(|row| row.1)
}

/// The command with that sentence below each of its commands that do something.
pub(crate) fn told(command: Command) -> Command {
    let names: Vec<String> = (command.get_subcommands())
        .map(|below| below.get_name().to_owned())
        .collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(&name, |below| with_sentence(below, &name));
    }
    command
}

fn with_sentence(command: Command, words: &str) -> Command {
    let names: Vec<String> = (command.get_subcommands())
        .map(|below| below.get_name().to_owned())
        .collect();
    let mut command = command;
    for name in &names {
        let words = format!("{words} {name}");
        command = command.mut_subcommand(name, |below| with_sentence(below, &words));
    }
    // A noun does nothing itself.
    let sentence = acts(words).filter(|_| names.is_empty()).and_then(Acts::sentence);
    let Some(sentence) = sentence else {
        return command;
    };
    let text = match command.get_after_help() {
        Some(before) => format!("{before}\n\n{sentence}"),
        None => sentence.to_owned(),
    };
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_row_stands_over_a_shorter_one() {
        assert_eq!(acts("nodes add"), Some(Acts::Both));
        assert_eq!(acts("nodes verify"), Some(Acts::Plane));
        assert_eq!(acts("nodes"), Some(Acts::Plane));
        assert_eq!(acts("explain"), None);
        assert_eq!(acts("nodesx"), None);
    }

    #[test]
    fn every_row_is_a_command_there_is() {
        let command = super::super::command();
        for (words, _) in TABLE {
            let mut below = &command;
            for word in words.split(' ') {
                below = below.find_subcommand(word).unwrap_or_else(|| panic!("{words}"));
            }
        }
    }

    #[test]
    fn whoever_may_name_a_control_plane_says_by_what_it_acts() {
        fn look(command: &Command, words: &str) {
            let names_one = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some("key-file"));
            for below in command
                .get_subcommands()
                .filter(|below| below.get_name() != "help")
            {
                let words = format!("{words} {}", below.get_name());
                if names_one {
                    assert!(acts(words.trim()).is_some() || below.has_subcommands(), "{words}");
                }
                look(below, words.trim());
            }
        }
        look(&super::super::command(), "");
    }
}
