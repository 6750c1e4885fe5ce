//! An expression as words, numbers and signs, each with its place.

use std::ops::Range;

use super::quoted;

/// A word, number or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword.
    Word(String),
    /// A number; its value is of no interest here.
    Number,
    /// A time, in milliseconds.
    Duration(u64),
    /// A text between quotes, with its escapes resolved.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// A token and where it stands, in bytes.
pub(super) type Placed = (Token, Range<usize>);

/// What is wrong, and at which byte.
pub(super) type Wrong = (usize, String);

/// The signs, longer ones before those they begin with.
const SIGNS: [&str; 25] = [
    "==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[",
    "]", ",", ":", "@", "!",
];

/// Units of a duration, from the longest on, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Takes an expression apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    // Between square brackets a colon divides two durations; elsewhere it may begin a name.
    let mut in_range = false;
    while let Some(c) = text[at..].chars().next() {
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            at += 1;
        } else if c == '#' {
            at += text[at..].find('\n').unwrap_or(text.len() - at);
        } else if matches!(c, '"' | '\'' | '`') {
            let (value, length) = quoted::read(&text[at..]).map_err(|(off, what)| (at + off, what))?;
            tokens.push((Token::Text(value), at..at + length));
            at += length;
        } else if c.is_ascii_digit() || (c == '.' && text[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            let length = text[at..]
                .bytes()
                .scan(0_u8, |before, byte| {
                    // A sign belongs to a number after its exponent alone.
                    let signs = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E');
                    let belongs = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || signs;
                    *before = byte;
                    belongs.then_some(())
                })
                .count();
            let (token, length) = number(&text[at..at + length]).ok_or_else(|| {
                (
                    at,
                    format!("{:?} is no number and no duration", &text[at..at + length]),
                )
            })?;
            tokens.push((token, at..at + length));
            at += length;
        } else if begins_word(c) || (c == ':' && !in_range) {
            let length = text[at..]
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
                .count();
            tokens.push((Token::Word(text[at..at + length].to_owned()), at..at + length));
            at += length;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| text[at..].starts_with(sign)) {
            match sign {
                "[" => in_range = true,
                "]" => in_range = false,
                _ => {}
            }
            tokens.push((Token::Sign(sign), at..at + sign.len()));
            at += sign.len();
        } else {
            return Err((at, format!("{c:?} means nothing here")));
        }
    }
    Ok(tokens)
}

fn begins_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// A number or a duration, and how long it is.
fn number(text: &str) -> Option<(Token, usize)> {
    if let Some(millis) = duration(text) {
        return Some((Token::Duration(millis), text.len()));
    }
    let is_hex = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_hex {
        // More digits than a number of 64 bits has are refused by Prometheus.
        return (text.len() <= 2 + 15).then_some((Token::Number, text.len()));
    }
    // `1e5-x`: the sign after an exponent was taken along, and belongs to it.
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = plain.then(|| text.parse().ok())??;
    value.is_finite().then_some((Token::Number, text.len()))
}

/// A Prometheus duration in milliseconds: numbers with units, larger units first.
pub(super) fn duration(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut next) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = UNITS[next..]
            .iter()
            .position(|(unit, _)| *unit == &rest[..letters])?
            + next;
        total = total.checked_add(number.checked_mul(UNITS[unit].1)?)?;
        next = unit + 1;
        rest = &rest[letters..];
    }
    // Prometheus keeps nanoseconds in 63 bits.
    (next > 0 && total <= i64::MAX as u64 / 1_000_000).then_some(total)
}
