//! Getting hold of the bootstrap token: on the command line, in a file, or from the person there.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use aami_model::code;
use aami_model::secret::{NotASecret, Secret, SecretKind};

use super::super::failure::Failure;
use super::hidden::Hidden;

/// The longest file that is read as a token, in bytes.
const LONGEST: u64 = 4096;

/// A token from a file.
pub(super) fn from_file(path: &Path) -> Result<Secret, Failure> {
    parse(&text_of(path)?)
}

/// A secret of any kind from a file. What it is not is said; what the file holds is not.
pub(crate) fn read(path: &Path) -> Result<Secret, Failure> {
    Secret::parse(&text_of(path)?).map_err(|error| {
        let sentence = format!("{} holds no secret of AAMI's: {error}", path.display());
        Failure::new(code::TOKEN_FOREIGN, sentence)
    })
}

pub(super) fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        .map_err(|error| Failure::file(path, &error))?;
    Ok(text)
}

/// Reads a token. What it is not is said; what it holds is not.
pub(super) fn parse(text: &str) -> Result<Secret, Failure> {
    match Secret::parse(text) {
        Ok(secret) if secret.kind() == SecretKind::BootstrapToken => Ok(secret),
        Ok(secret) => {
            let message = format!("that is {}, not a bootstrap token", secret.kind().name());
            Err(Failure::new(code::TOKEN_FOREIGN, message))
        }
        Err(error @ NotASecret::Prefix) => Err(Failure::new(
            code::TOKEN_FOREIGN,
            format!("that is not a bootstrap token: {error}"),
        )),
        Err(error @ NotASecret::Shape) => Err(Failure::new(
            code::TOKEN_INVALID,
            format!("the bootstrap token is not whole: {error}"),
        )),
    }
}

/// Asks the person at the terminal, without showing what is typed. `None` when there is no terminal
/// that can be opened: `/dev/tty` may be there and belong to nobody.
pub(super) fn ask() -> Option<Result<Secret, Failure>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    let hidden = Hidden::on(&terminal).ok()?;
    let mut writer = &terminal;
    write!(writer, "Bootstrap token: ")
        .and_then(|()| writer.flush())
        .ok()?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).take(LONGEST).read_line(&mut line);
    drop(hidden);
    let _ = writeln!(writer);
    read.ok()?;
    Some(parse(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_thing_has_its_own_word() {
        let whole = Secret::from_random(SecretKind::BootstrapToken, "abc", [7; 20]);
        let key = Secret::from_random(SecretKind::ApiKey, "abc", [7; 20]);
        assert!(parse(&format!(" {}\n", whole.reveal())).is_ok());
        for (text, symbol) in [
            (key.reveal(), "TOKEN_FOREIGN"),
            ("", "TOKEN_FOREIGN"),
            ("hunter2", "TOKEN_FOREIGN"),
            (&whole.reveal()[..20], "TOKEN_INVALID"),
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.code.symbol, symbol, "{text}");
            assert!(text.is_empty() || !failure.sentence.contains(text), "{failure}");
        }
    }
}
