//! Text that is safe to show and fits: widths as a terminal counts them.

use unicode_width::UnicodeWidthStr;

/// `text` without what could move a terminal's cursor, ring its bell or turn the reading direction:
/// messages carry what servers and programs said.
pub(super) fn safe(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .filter(|c| harmless(*c))
        .collect()
}

/// How many columns `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns`, with `…` where something was cut off.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    // Measured whole each time: a character's width depends on what stands before it.
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        if width(&cut) + 1 > columns {
            cut.pop();
            break;
        }
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// `text` and blanks up to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let mut padded = cut(text, columns);
    padded.push_str(&" ".repeat(columns.saturating_sub(width(&padded))));
    padded
}

/// `text` broken at blanks into lines of at most `columns`; words longer than a line are broken too.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            line.push(c);
            if width(&line) > columns && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_gets_through() {
        assert_eq!(safe("a\x1b[31mb\x07c\u{202e}d\ne"), "a[31mbcd e");
    }

    #[test]
    fn a_sign_made_emoji_by_what_follows_counts_as_drawn() {
        assert_eq!(width("*\u{fe0f}"), 2);
        assert_eq!(width(&pad("0123*\u{fe0f}", 5)), 5);
    }

    proptest! {
        #[test]
        fn whatever_comes_fits(text in "\\PC{0,60}", columns in 1..40usize) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            prop_assert_eq!(width(&pad(&text, columns)), columns);
            for line in wrap(&text, columns.max(2)) {
                prop_assert!(width(&line) <= columns.max(2), "{line:?}");
            }
        }
    }
}
