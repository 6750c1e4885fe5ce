//! How the help of a command is laid out: what it does, how it is called, examples, then everything else.
//!
//! Commands write their examples into `after_help`, below the line `Examples:`; [`laid_out`] puts them first, in one
//! place for all. [`each`] applies it, and whatever else belongs to a help, to those commands alone that are asked for:
//! the tree has more than a hundred, and most of the time nobody reads the help of any.

use clap::Command;

/// The line above examples.
const EXAMPLES: &str = "Examples:";

/// What is shown of a command: clap's own order, with what stands before the help put behind the usage.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

/// Changes this command and all below it whose names `is_asked` knows. `words` are those the command is called with.
pub(super) fn each(
    command: Command,
    words: &str,
    is_asked: &dyn Fn(&str) -> bool,
    change: &dyn Fn(Command, &str) -> Command,
) -> Command {
    let asked: Vec<String> = (command.get_subcommands())
        .filter(|below| is_asked(below.get_name()) || below.get_all_aliases().any(is_asked))
        .map(|below| below.get_name().to_owned())
        .collect();
    let mut command = command;
    for name in asked {
        let words = format!("{words} {name}");
        command = command.mut_subcommand(&name, |below| each(below, words.trim(), is_asked, change));
    }
    change(command, words)
}

/// The command with its examples first.
pub(super) fn laid_out(command: Command) -> Command {
    let text = command.get_after_help().map(ToString::to_string);
    let Some((examples, rest)) = text.as_deref().and_then(split) else {
        return command;
    };
    let command = command.before_help(examples).help_template(TEMPLATE);
    if rest.is_empty() {
        command.after_help(None::<&str>)
    } else {
        command.after_help(rest)
    }
}

/// The paragraph of examples, and everything else.
fn split(text: &str) -> Option<(String, String)> {
    let (examples, rest): (Vec<&str>, Vec<&str>) =
        (text.split("\n\n")).partition(|paragraph| paragraph.lines().next() == Some(EXAMPLES));
    (!examples.is_empty()).then(|| (examples.join("\n\n"), rest.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_a_paragraph_wherever_it_stands() {
        for text in [
            "Examples:\n  a\n  b\n\nMore.\n\nThe end.",
            "More.\n\nExamples:\n  a\n  b\n\nThe end.",
            "More.\n\nThe end.\n\nExamples:\n  a\n  b",
        ] {
            let expected = ("Examples:\n  a\n  b".to_owned(), "More.\n\nThe end.".to_owned());
            assert_eq!(split(text), Some(expected));
        }
        assert_eq!(split("For examples:\n  none"), None);
    }

    #[test]
    fn only_what_is_asked_for_is_changed() {
        let tree = Command::new("a")
            .subcommand(Command::new("b").subcommand(Command::new("c")))
            .subcommand(Command::new("d").alias("e"));
        let changed = |asked: &'static [&'static str]| {
            let tree = each(
                tree.clone(),
                "",
                &|name| asked.contains(&name),
                &|command, words| command.about(format!("<{words}>")),
            );
            let about = |command: &Command| command.get_about().map(ToString::to_string);
            let b = tree.find_subcommand("b").unwrap();
            [
                about(&tree),
                about(b),
                about(b.find_subcommand("c").unwrap()),
                about(tree.find_subcommand("d").unwrap()),
            ]
        };
        let some = |words: &str| Some(format!("<{words}>"));
        assert_eq!(changed(&[]), [some(""), None, None, None]);
        assert_eq!(changed(&["b", "c"]), [some(""), some("b"), some("b c"), None]);
        assert_eq!(changed(&["e"]), [some(""), None, None, some("d")]);
        // Below what is not asked for, nobody asked for anything.
        assert_eq!(changed(&["c"]), [some(""), None, None, None]);
    }
}
