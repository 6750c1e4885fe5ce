//! The command line as people are told to type it.

use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;

#[test]
fn every_line_of_the_guide_is_understood_as_it_stands() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let typed = rig::guide::typed(root, "aami-agent").unwrap();
    assert!(typed.len() > 20, "only {} lines were found", typed.len());
    let mut wrong = Vec::new();
    for line in typed {
        let words = std::iter::once("aami-agent".to_owned()).chain(line.words);
        if let Err(error) = Cli::try_parse_from(words)
            && error.use_stderr()
        {
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            wrong.push(format!("{}: {}\n  {why}", line.page, line.line));
        }
    }
    assert!(wrong.is_empty(), "not understood:\n{}", wrong.join("\n"));
}

#[test]
fn every_command_that_prose_names_is_there() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let named = rig::guide::named(root, "aami-agent").unwrap();
    assert!(named.len() > 15, "only {} were found", named.len());
    let mut wrong = Vec::new();
    for line in named {
        // Of a line that is not whole only the words are judged: help is shown where all before it are known.
        let words = line.words.iter().take_while(|word| *word != "--").cloned();
        let words = std::iter::once("aami-agent".to_owned()).chain(words);
        let arguments: Vec<_> = words
            .chain(["--help".to_owned()])
            .map(std::ffi::OsString::from)
            .collect();
        let known = Cli::try_parse_from(&arguments).map(drop);
        if let Err(error) = known
            && matches!(
                error.kind(),
                ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::TooManyValues
            )
        {
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            wrong.push(format!("{}: {}\n  {why}", line.page, line.line));
        }
    }
    assert!(wrong.is_empty(), "not known:\n{}", wrong.join("\n"));
}

#[test]
fn what_contradicts_itself_or_is_not_whole_is_refused() {
    for words in [
        "bootstrap --standalone --token t",
        "bootstrap --mirror-credential-file f",
        "preflight --quiet --verbose",
        "exporters install",
    ] {
        let all = std::iter::once("aami-agent").chain(words.split(' '));
        assert!(Cli::try_parse_from(all).is_err(), "{words}");
    }
}
