//! Where in the text things stand: lines, dashes, colons.

use crate::tree::{Entry, Node, Value};

/// How lines end in this text.
pub(super) fn line_break(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The end of the line that holds `at`, before its break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let end = rest.find('\n').map_or(text.len(), |found| at + found);
    if text[at..end].ends_with('\r') {
        end - 1
    } else {
        end
    }
}

/// The beginning of the line that holds `at`.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |found| found + 1)
}

/// The beginning of the line after the one that holds `at`.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// Where a value's last character stands, and one more. Block texts end where their last line does.
pub(super) fn end(text: &str, node: &Node<'_>) -> usize {
    trimmed(text, node.span.start, node.span.end)
}

/// Where a pair ends: its value, or its colon where nothing is written.
pub(super) fn entry_end(text: &str, entry: &Entry<'_>) -> usize {
    if entry.value.span.is_empty() {
        return colon(text, entry).map_or(entry.key_span.end, |at| at + 1);
    }
    end(text, &entry.value)
}

fn trimmed(text: &str, start: usize, end: usize) -> usize {
    start + text[start..end].trim_end().len()
}

/// The colon behind a key.
pub(super) fn colon(text: &str, entry: &Entry<'_>) -> Option<usize> {
    let after = entry.key_span.end;
    let rest = text.get(after..)?;
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[spaces..].starts_with(':').then_some(after + spaces)
}

/// The dash of an item of a block list: the first one behind what is before it.
pub(super) fn dash(text: &str, list: &Node<'_>, at: usize) -> Option<usize> {
    let items = list.items();
    let mut from = match at.checked_sub(1) {
        Some(before) => end(text, items.get(before)?),
        None => {
            let begin = list.span.start;
            let is_dash = text
                .get(begin..)?
                .strip_prefix('-')
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
            if is_dash {
                return Some(begin);
            }
            // A list that is indented as little as its key is told from behind its first dash.
            let before = text[..begin].trim_end();
            return before.ends_with('-').then(|| before.len() - 1);
        }
    };
    loop {
        let rest = text.get(from..)?;
        let next = rest.trim_start();
        from += rest.len() - next.len();
        match next.bytes().next()? {
            b'#' => from = next_line(text, from),
            b'-' => return Some(from),
            _ => return None,
        }
    }
}

/// How far a position is from the beginning of its line.
pub(super) fn column(text: &str, at: usize) -> usize {
    // A byte order mark takes no room.
    text[line_start(text, at)..at]
        .trim_start_matches('\u{feff}')
        .chars()
        .count()
}

/// Whether a value is written in brackets.
pub(super) const fn is_flow(node: &Node<'_>) -> bool {
    matches!(
        node.value,
        Value::List { flow: true, .. } | Value::Map { flow: true, .. }
    )
}
