//! By what a command acts, and whether it changes anything: said at the end of its help, from one [table].
//!
//! What changes something can be told first what it would do, with `--dry-run`; what only reads has no such flag. Both is
//! held by the tests here, for every command there is.

mod table;

use clap::{Arg, Command};

use super::reach;
use table::TABLE;

/// By what a command acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acts {
    /// A control plane where there is one, else the file fleet.
    Both,
    /// A control plane and nothing else.
    Plane,
    /// The file fleet and nothing else.
    File,
    /// The configuration file, as a file.
    Configuration,
    /// This machine and nothing else.
    Machine,
    /// Files that are named.
    Files,
    /// Neither: what it shows is built in.
    Neither,
}

impl Acts {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Both => "Acts by the control plane where one is named, else by the file fleet over SSH.",
            Self::Plane => "Acts by the control plane.",
            Self::File => "Acts by the file fleet, /etc/aami/config.yaml.",
            Self::Configuration => "Acts on the configuration file alone, with or without a control plane.",
            Self::Machine => "Acts on this machine alone.",
            Self::Files => "Acts on files alone; needs neither a configuration nor a control plane.",
            Self::Neither => "Acts on what is built in; needs neither a configuration nor a control plane.",
        }
    }
}

/// Whether a command changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// It changes something, at least with some option, and has `--dry-run`.
    Changes,
    /// It only looks. What a look leaves behind of itself, such as a host key that was never seen, is no change.
    Reads,
    /// It is what is asked for, for as long as it runs, and keeps what it keeps in a folder of its own.
    Runs,
}

impl Does {
    const fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Changes => Some("Changes something; --dry-run says what."),
            Self::Reads => Some("Changes nothing."),
            Self::Runs => None,
        }
    }
}

/// What is said of the command with these words.
fn acts(words: &str) -> Option<(Acts, Does)> {
    let row = TABLE.iter().find(|row| row.0 == words)?;
    Some((row.1, row.2))
}

/// A command with that sentence below its help. `words` are those it is called with.
pub(crate) fn told(command: Command, words: &str) -> Command {
    // A noun does nothing itself.
    let Some((acts, does)) = acts(words) else {
        return without_reach(command, words);
    };
    let sentences: Vec<&str> = [Some(acts.sentence()), does.sentence()]
        .into_iter()
        .flatten()
        .collect();
    let sentence = sentences.join(" ");
    let text = match command.get_after_help() {
        Some(before) => format!("{before}\n\n{sentence}"),
        None => sentence,
    };
    command.after_help(text)
}

/// A noun of which the commands that ask nobody do not show the flags that say whom to ask. They take them all the
/// same: a script may name the control plane on every line.
fn without_reach(command: Command, words: &str) -> Command {
    let asks_nobody = |name: &str| matches!(acts(&format!("{words} {name}")), Some((Acts::Neither, _)));
    let names: Vec<String> = (command.get_subcommands())
        .map(|below| below.get_name().to_owned())
        .filter(|name| asks_nobody(name))
        .collect();
    let reach: Vec<Arg> = (command.get_arguments())
        .filter(|arg| arg.get_help_heading() == Some(reach::HEADING))
        .map(|arg| arg.clone().hide(true))
        .collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(&name, |below| below.args(reach.clone()));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that has none below it, with its words.
    fn leaves(command: &Command, words: &str, all: &mut Vec<(String, Command)>) {
        let mut below = (command.get_subcommands())
            .filter(|below| below.get_name() != "help")
            .peekable();
        if below.peek().is_none() {
            all.push((words.to_owned(), command.clone()));
        }
        for one in below {
            leaves(one, format!("{words} {}", one.get_name()).trim(), all);
        }
    }

    fn all() -> Vec<(String, Command)> {
        let mut command = super::super::command();
        command.build();
        let mut all = Vec::new();
        leaves(&command, "", &mut all);
        assert!(all.len() > 100, "the tree has {} leaves", all.len());
        all
    }

    #[test]
    fn every_command_has_one_row_and_every_row_is_a_command() {
        let all = all();
        for (words, _) in &all {
            let rows = TABLE.iter().filter(|row| row.0 == words).count();
            assert_eq!(rows, 1, "`aami {words}` has {rows} rows in acts/table.rs");
        }
        assert_eq!(TABLE.len(), all.len());
    }

    #[test]
    fn what_changes_something_has_a_dry_run_and_what_only_reads_has_none() {
        for (words, command) in all() {
            let has = (command.get_arguments()).any(|arg| arg.get_long() == Some("dry-run"));
            let (_, does) = acts(&words).unwrap();
            assert_eq!(has, does == Does::Changes, "`aami {words}` {does:?}");
        }
    }

    #[test]
    fn whoever_may_name_a_control_plane_says_by_what_it_acts() {
        for (words, command) in all() {
            let names_one = (command.get_arguments()).any(|arg| arg.get_long() == Some("key-file"));
            let (acts, _) = acts(&words).unwrap();
            assert!(
                names_one || !matches!(acts, Acts::Both | Acts::Plane),
                "`aami {words}` acts by {acts:?} and cannot be told by which"
            );
        }
    }

    #[test]
    fn every_help_says_by_what_its_command_acts() {
        for (words, mut command) in all() {
            let help = command.render_help().to_string();
            let (acts, _) = acts(&words).unwrap();
            let sentence = acts.sentence();
            assert_eq!(
                help.matches(sentence).count(),
                1,
                "`aami {words} --help`: {sentence}"
            );
            let shows_reach = help.contains("--key-file");
            assert!(
                !(acts == Acts::Neither && shows_reach),
                "`aami {words} --help` shows whom to ask"
            );
        }
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        for (words, command) in all() {
            let text = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let examples: Vec<&str> = (text.lines())
                .skip_while(|line| *line != "Examples:")
                .skip(1)
                .take_while(|line| line.starts_with("  "))
                .collect();
            assert!(!examples.is_empty(), "`aami {words}` has no example");
            let is_own = |line: &str| {
                let mut typed = line.split_whitespace();
                words.split(' ').all(|word| typed.any(|other| other == word))
            };
            assert!(
                examples.iter().any(|line| is_own(line)),
                "no example of `aami {words}` is about itself"
            );
            for example in joined(&examples) {
                let Some(typed) = typed(&example) else { continue };
                let read = super::super::command().try_get_matches_from(&typed);
                assert!(read.is_ok(), "`aami {words}`: {example}\n{}", read.unwrap_err());
            }
        }
    }

    /// Lines that a backslash continues, as one.
    fn joined(lines: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in lines {
            let line = line.trim();
            let text = line.trim_end_matches('\\').trim_end();
            match all.last_mut() {
                Some(last) if goes_on => *last = format!("{last} {text}"),
                _ => all.push(text.to_owned()),
            }
            goes_on = line.ends_with('\\');
        }
        all
    }

    /// The words that the shell gives `aami` in an example; none where the example does not begin with it.
    fn typed(example: &str) -> Option<Vec<String>> {
        let example = example.strip_prefix("sudo ").unwrap_or(example);
        if !example.starts_with("aami ") {
            return None;
        }
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in example.chars() {
            match (c, quote) {
                ('|' | '>' | '<' | '&' | ';' | '#', None) => break,
                (' ', None) => words.extend(word.take()),
                ('\'' | '"', None) => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        Some(words)
    }
}
