//! Asking the person at the terminal: before something is changed, and for secrets.

mod hidden;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use aami_model::code;
use aami_ssh::{Ask, Passphrase, Question};

pub(crate) use hidden::give_up;

use super::failure::Failure;
use super::table::harmless;

/// The longest secret that is typed.
const LONGEST: u64 = 4096;

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

/// Asks the person at the terminal for what SSH needs. Where there is no terminal there is no answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terminal;

impl Ask for Terminal {
    fn ask(&self, question: &Question) -> Option<Passphrase> {
        let (text, echo) = match question {
            Question::Passphrase { file, wrong } => {
                let again = if *wrong > 0 { "That was not it. " } else { "" };
                (format!("{again}Passphrase of {}: ", file.display()), false)
            }
            Question::Password { user, host } => (
                format!("Password of {user} {}: ", whither(host.as_deref())),
                false,
            ),
            Question::Challenge { host, prompt, echo } => (format!("{host} asks: {prompt} "), *echo),
            Question::Sudo { user, host } => (
                format!("[sudo] password of {user} {}: ", whither(host.as_deref())),
                false,
            ),
        };
        typed(&harmless(&text), echo).map(Passphrase::new)
    }
}

/// For what a password is.
fn whither(host: Option<&str>) -> String {
    match host {
        Some(host) => format!("on {host}"),
        None => "on every node".to_owned(),
    }
}

/// What a person types; nothing where there is no terminal that can be opened: `/dev/tty` may be there and belong to
/// nobody.
fn typed(question: &str, echo: bool) -> Option<String> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    let hidden = if echo {
        None
    } else {
        Some(hidden::Hidden::on(&terminal).ok()?)
    };
    let mut writer = &terminal;
    writer
        .write_all(question.as_bytes())
        .and_then(|()| writer.flush())
        .ok()?;
    let mut line = String::new();
    let read = BufReader::new((&terminal).take(LONGEST)).read_line(&mut line);
    drop(hidden);
    read.ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}
