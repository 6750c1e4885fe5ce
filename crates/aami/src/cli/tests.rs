//! The whole help and the form of complaints, as people see them.

use aami_api::client::ClientError;
use aami_api::problem::Problem;
use aami_model::{Exit, code};
use clap::error::ErrorKind;

use super::failure::Failure;
use super::run;
use super::screen::complaint;

/// The help of a command and of all below it.
fn help(command: &mut clap::Command, path: &str, all: &mut String) {
    all.push_str(&format!("### {path}\n\n{}\n", command.render_help()));
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
        .map(|below| below.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(below) = command.find_subcommand_mut(&name) {
            help(below, &format!("{path} {name}"), all);
        }
    }
}

#[test]
fn the_whole_help() {
    let mut command = super::command_for_people(&|_| true).term_width(100);
    command.build();
    let mut all = String::new();
    help(&mut command, "aami", &mut all);
    insta::assert_snapshot!(all);
}

#[test]
fn every_line_of_the_guide_is_understood_as_it_stands() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let typed = rig::guide::typed(root, "aami").unwrap();
    assert!(typed.len() > 100, "only {} lines were found", typed.len());
    let mut wrong = Vec::new();
    for line in typed {
        let words = std::iter::once("aami".to_owned()).chain(line.words);
        let arguments: Vec<_> = words.map(std::ffi::OsString::from).collect();
        if let Err(error) = super::read(&arguments)
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
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let named = rig::guide::named(root, "aami").unwrap();
    assert!(named.len() > 80, "only {} were found", named.len());
    let mut wrong = Vec::new();
    for line in named {
        // Of a line that is not whole only the words are judged: help is shown where all before it are known.
        let words = line.words.iter().take_while(|word| *word != "--").cloned();
        let words = std::iter::once("aami".to_owned()).chain(words);
        let arguments: Vec<_> = words
            .chain(["--help".to_owned()])
            .map(std::ffi::OsString::from)
            .collect();
        let known = super::read(&arguments).map(drop);
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
fn examples_come_before_options_and_are_told_once() {
    fn look(command: &mut clap::Command, path: &str, seen: &mut usize) {
        let help = command.render_help().to_string();
        if let Some(examples) = help.find("Examples:") {
            *seen += 1;
            let (usage, options) = (help.find("Usage:"), help.find("Options:"));
            assert!(usage < Some(examples), "{path}: {help}");
            assert!(options.is_none_or(|options| examples < options), "{path}: {help}");
            assert_eq!(help.matches("Examples:").count(), 1, "{path}: {help}");
        }
        for below in command
            .get_subcommands_mut()
            .filter(|below| below.get_name() != "help")
        {
            let path = format!("{path} {}", below.get_name());
            look(below, &path, seen);
        }
    }
    let mut command = super::command_for_people(&|_| true);
    command.build();
    let mut seen = 0;
    look(&mut command, "aami", &mut seen);
    assert!(seen > 50, "only {seen} commands show examples");
}

#[test]
fn the_help_that_is_asked_for_is_the_whole_one() {
    for words in [
        &["aami", "nodes", "list", "--help"][..],
        &["aami", "help", "nodes", "list"],
        &["aami", "nodes", "--server", "show", "list", "-h"],
    ] {
        let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        let help = super::read(&words).unwrap_err().to_string();
        let (examples, options) = (help.find("Examples:"), help.find("Options:"));
        assert!(examples.is_some() && examples < options, "{words:?}: {help}");
        assert!(help.contains("Acts by the control plane"), "{words:?}: {help}");
    }
}

#[test]
fn a_mistyped_word_is_told_the_one_that_is_meant() {
    for (words, tip) in [
        (&["aami", "nods"][..], "'nodes'"),
        (&["aami", "nodes", "lst"], "'list'"),
        (&["aami", "nodes", "list", "--outptu", "json"], "'--output'"),
        (
            &["aami", "alerts", "show-preset", "gpu-prodction"],
            "'gpu-production'",
        ),
    ] {
        let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        let said = super::read(&words).unwrap_err().to_string();
        assert!(said.contains("tip:") && said.contains(tip), "{words:?}: {said}");
    }
}

#[test]
fn the_command_line_is_sound() {
    super::command().debug_assert();
    super::command_for_people(&|_| true).debug_assert();
}

#[test]
fn a_mistyped_command_line_ends_as_usage() {
    for arguments in [
        vec!["aami", "nods"],
        vec!["aami", "nodes", "list", "--status", "asleep"],
        vec!["aami", "tokens", "create"],
        vec![
            "aami",
            "tokens",
            "create",
            "--name",
            "x",
            "--labels",
            "__address__=y",
        ],
        vec!["aami", "keys", "create", "--name", "x"],
        vec![
            "aami",
            "keys",
            "create",
            "--name",
            "x",
            "--role",
            "viewer",
            "--scope",
            "discovery",
        ],
        vec!["aami", "tokens", "edit", "x"],
        // Only an installation can be gone on with: a command cannot know whether it may be run again.
        vec!["aami", "nodes", "exec", "--all", "--resume", "x", "--", "true"],
        vec!["aami", "nodes", "test", "--all", "--resume", "x"],
    ] {
        let exit = run(arguments.iter().map(Into::into).collect());
        assert_eq!(exit, Exit::Usage, "{arguments:?}");
    }
}

#[test]
fn a_refusal_is_told_with_its_hint_and_code() {
    let refused = Failure::Client(ClientError::Refused(Box::new(Problem::new(
        code::TOKEN_EXPIRED,
        "The bootstrap token abc expired an hour ago.",
    ))));
    insta::assert_snapshot!(complaint(&refused), @"
    error: The bootstrap token abc expired an hour ago.
     hint: Create a new one with `aami tokens create --ttl 24h`.
     code: AAMI-E-0002 TOKEN_EXPIRED (`aami explain AAMI-E-0002` says more)
    ");
    assert_eq!(refused.exit(), Exit::NotAuthorised);
}

#[test]
fn a_file_that_cannot_be_written_is_named_with_its_cause() {
    let failure = Failure::File {
        path: "/no/such/token".into(),
        doing: "written",
        source: std::io::Error::from_raw_os_error(2),
    };
    insta::assert_snapshot!(complaint(&failure), @"
    error: /no/such/token could not be written
    cause: No such file or directory (os error 2)
    ");
    assert_eq!(failure.exit(), Exit::Failed);
}

#[test]
fn a_hostile_answer_moves_no_cursor() {
    let refused = Failure::Client(ClientError::NotAami {
        url: "http://h/".into(),
        status: 200,
        line: "\u{1b}]0;owned\u{7}".into(),
    });
    assert!(!complaint(&refused).contains('\u{1b}'));
}
