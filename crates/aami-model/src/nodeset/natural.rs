//! The order people expect: `gpu2` before `gpu10`, `gpu1` before `gpu01`.

use std::cmp::Ordering;

/// A maximal run of digits, or of anything else.
pub(super) enum Piece<'a> {
    Digits(&'a str),
    Text(&'a str),
}

/// The text as digits and what stands between them, in order.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digits = rest.bytes().next()?.is_ascii_digit();
        // Only ASCII digits end a run, so a cut never falls inside a character.
        let end = rest
            .bytes()
            .position(|byte| byte.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(if digits {
            Piece::Digits(piece)
        } else {
            Piece::Text(piece)
        })
    })
}

/// Compares two names piece by piece: numbers by value, then by their zeros; all else by its bytes; a number
/// stands before text. Only equal texts are equal.
pub fn natural(left: &str, right: &str) -> Ordering {
    let (left, right) = without_what_is_common(left, right);
    let mut others = pieces(right);
    for piece in pieces(left) {
        let order = match (piece, others.next()) {
            (_, None) => Ordering::Greater,
            (Piece::Digits(mine), Some(Piece::Digits(other))) => by_value(mine, other),
            (Piece::Text(mine), Some(Piece::Text(other))) => mine.cmp(other),
            (Piece::Digits(_), Some(Piece::Text(_))) => Ordering::Less,
            (Piece::Text(_), Some(Piece::Digits(_))) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
    if others.next().is_some() {
        Ordering::Less
    } else {
        Ordering::Equal
    }
}

/// What stands behind the pieces that both have: names of one fleet begin alike, and are compared often.
fn without_what_is_common<'a>(left: &'a str, right: &'a str) -> (&'a str, &'a str) {
    let bytes = left.as_bytes();
    let alike = bytes
        .iter()
        .zip(right.as_bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let mut from = alike;
    // A number counts as a whole, and so does a character.
    while from > 0 && (bytes[from - 1].is_ascii_digit() || !left.is_char_boundary(from)) {
        from -= 1;
    }
    (&left[from..], &right[from..])
}

/// Digits of any length.
fn by_value(left: &str, right: &str) -> Ordering {
    let (mine, other) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    mine.len()
        .cmp(&other.len())
        .then_with(|| mine.cmp(other))
        .then_with(|| left.len().cmp(&right.len()))
}
