//! Text of the log, made fit to be shown and stored: one line, bounded, nothing a terminal would obey.

/// At most `most` characters of a text, without control characters and without those that turn writing round.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut left = most;
    for c in text.trim_end().chars() {
        if left == 0 {
            break;
        }
        left -= 1;
        shown.push(match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_format(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        });
    }
    shown
}

/// Zero-width characters, and those that change the direction of what follows.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(
            plain("a\x1b[31mb\tc\nd\u{202e}e\r\n", 100),
            "a\u{fffd}[31mb c d\u{fffd}e"
        );
        assert_eq!(plain("äöü", 2), "äö");
    }
}
