//! The command line as people are told to type it.

use std::path::Path;

use clap::Parser as _;

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
