//! Words that every login shell reads in the same way.
//!
//! sh, bash, csh, tcsh and fish agree on words in single quotes that hold no quote, no backslash that is not before a
//! digit, no exclamation mark and no newline. A text that holds none of these is written as it is; in any other one
//! these are octal numbers, which `printf %b` makes characters again.

use data_encoding::HEXLOWER;

use crate::SshError;

/// Old shells take no longer words.
pub(super) const PIECE: usize = 900;

/// Whether every shell reads a byte in single quotes as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\' | b'!')
}

/// Whether a text is a word as it is.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= PIECE && text.bytes().all(is_plain)
}

/// Appends a text as words for `printf %b`, each in single quotes, with blanks between them.
pub(super) fn push(line: &mut Vec<u8>, text: &str) {
    line.push(b'\'');
    let mut length = 0;
    for byte in text.bytes() {
        let width = if is_plain(byte) { 1 } else { 5 };
        if length + width > PIECE {
            line.extend_from_slice(b"' '");
            length = 0;
        }
        length += width;
        if is_plain(byte) {
            line.push(byte);
        } else {
            line.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
        }
    }
    line.push(b'\'');
}

/// A word nobody else prints.
pub(super) fn nonce() -> Result<String, SshError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SshError::Local {
        why: format!("no random numbers: {error}"),
    })?;
    Ok(format!("AAMI-{}", HEXLOWER.encode(&bytes)))
}

/// The halves of such a word: start files may print the line they were started for, and it is not to stand there.
pub(super) fn halves(word: &str) -> (&str, &str) {
    word.split_at(word.len() / 2)
}
