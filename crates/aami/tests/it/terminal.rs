//! What only a person at a terminal sees: colours and lines that are drawn over, and how each is switched off.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::plane::{Said, aami};

/// Runs `aami` with a terminal for its standard output and standard error; both come back as `out`.
pub(crate) fn on_terminal(words: &[&str], prepare: impl FnOnce(&mut Command)) -> Said {
    let quoted: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_aami"))
        .chain(words.iter().copied())
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    // `script` gives what it runs a terminal, and ends as that did.
    let mut command = Command::new("script");
    command
        .args(["-qec", &quoted.join(" "), "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    prepare(&mut command);
    Said::by(&mut command)
}

const ESC: char = '\u{1b}';

#[test]
fn a_terminal_is_shown_how_grave_it_is_and_nobody_else_is() {
    let on = |words: &[&str], variables: &[(&str, &str)]| {
        on_terminal(words, |command| {
            command.envs(variables.iter().map(|(name, value)| (OsStr::new(name), value)));
        })
    };
    let plain = on(&["explain", "xid", "79"], &[]);
    assert_eq!(plain.exit, 0, "{plain:?}");
    assert!(
        plain.out.contains("Severity: \u{1b}[31mCritical\u{1b}[0m"),
        "{plain:?}"
    );
    let warning = on(&["explain", "xid", "43"], &[]);
    assert!(warning.out.contains("Severity: \u{1b}[33mWarning"), "{warning:?}");
    // The flag, the variable, a terminal without colours, a form for programs and a pipe: each switches it off.
    for (words, variables) in [
        (&["explain", "xid", "79", "--no-color"][..], &[][..]),
        (&["explain", "xid", "79"], &[("NO_COLOR", "1")]),
        (&["explain", "xid", "79"], &[("NO_COLOR", "false")]),
        (&["explain", "xid", "79"], &[("TERM", "dumb")]),
        (&["explain", "xid", "79", "-o", "json"], &[]),
        (&["explain", "--no-color", "--help"], &[]),
    ] {
        let said = on(words, variables);
        assert_eq!(said.exit, 0, "{words:?}: {said:?}");
        assert!(!said.out.contains(ESC), "{words:?} {variables:?}: {said:?}");
    }
    let piped = Said::by(&mut aami(&["explain", "xid", "79"]));
    assert!(!piped.out.contains(ESC), "{piped:?}");
    // A variable that says nothing does not count as one that is set.
    let empty = on(&["explain", "xid", "79"], &[("NO_COLOR", "")]);
    assert!(empty.out.contains(ESC), "{empty:?}");
}

#[test]
fn a_table_has_colours_and_its_columns_stay_where_they_are() {
    let words = ["explain", "search", "fallen", "off", "the", "bus"];
    let painted = on_terminal(&words, |_| {});
    assert!(painted.out.contains("\u{1b}[31mcritical\u{1b}[0m"), "{painted:?}");
    let stripped = (painted.out)
        .replace("\u{1b}[31m", "")
        .replace("\u{1b}[33m", "")
        .replace("\u{1b}[0m", "")
        .replace('\r', "");
    assert_eq!(stripped, Said::by(&mut aami(&words)).out);
}
