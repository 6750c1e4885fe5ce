//! Asking the person at the terminal, before something is changed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};

use aami_model::code;

use super::failure::Failure;

/// Asks at the terminal itself: standard input may be a script.
pub(crate) fn question(text: &str) -> Result<String, Failure> {
    let failed = |source| Failure::File {
        path: "/dev/tty".into(),
        doing: "read",
        source,
    };
    let terminal = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(failed)?;
    (&terminal).write_all(text.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(&terminal).read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}

/// Goes on where it was agreed to beforehand (`--yes`) or is agreed to now. `what` is a sentence without its full stop.
pub(crate) fn agreed(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let nobody = |_| Failure::invalid(format!("{what}: there is nobody to ask; say --yes"));
    match question(&format!("{what}. Go on [y/N]? "))
        .map_err(nobody)?
        .to_ascii_lowercase()
        .as_str()
    {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::found_with(
            code::INTERRUPTED,
            "nothing was changed",
            "Answer y, or say --yes, to go on.",
        )),
    }
}
