//! What texts are allowed to be, and how hostile ones are shown.

/// At most `most` characters of a text without what could move a cursor, for a message.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() || is_direction(c) { ' ' } else { c })
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Characters that turn the direction of writing; a message must not be able to look like another.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A login name: what useradd and directories allow, and nothing that a program could take for an option.
pub(crate) fn is_user(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@\\+-$".contains(&b))
}

/// A name for a cluster, a group and the like.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The known word most like a mistyped one, if one is like it: at most two letters are to be changed, or a third of
/// a longer word. Known words are in lower case.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    if word.chars().count() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|known| (distance(&word, known), known))
        .filter(|(distance, known)| {
            let length = known.chars().count().min(word.chars().count());
            *distance <= (length / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters must be changed, put in, left out or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant_is_found() {
        let known = ["max_parallel", "port", "user", "key", "retry"];
        for (typed, meant) in [
            ("max_paralel", Some("max_parallel")),
            ("max-parallel", Some("max_parallel")),
            ("MAX_PARALLEL", Some("max_parallel")),
            ("prot", Some("port")),
            ("usr", Some("user")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed:?}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }

    #[test]
    fn what_is_shown_stays_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[2Jc", 100), "a b [2Jc");
        assert_eq!(shown("abcdef", 3), "abc...");
        assert_eq!(shown("abc\u{202e}def", 100), "abc def");
    }
}
