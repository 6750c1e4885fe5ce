//! From bytes to text: size, byte order mark, UTF-8.

use crate::problem::Problem;

/// A text without its byte order mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoded<'a> {
    /// What follows the mark.
    pub(crate) text: &'a str,
    /// How many bytes were before it: 0 or 3.
    pub(crate) skipped: usize,
}

const MARK: char = '\u{feff}';

/// Reads bytes as UTF-8. Fails where there are too many, where they are no UTF-8 (naming the line), and for UTF-16,
/// which editors elsewhere still write.
pub(crate) fn decode(bytes: &[u8], most: usize) -> Result<Decoded<'_>, Problem> {
    let refused = |line, sentence: String, hint: &str| Problem {
        line,
        field: String::new(),
        sentence,
        hint: Some(hint.to_owned()),
    };
    if bytes.len() > most {
        let sentence = format!("the text has {} bytes; at most {most} are read", bytes.len());
        return Err(refused(
            0,
            sentence,
            "Split it, or declare the nodes in a control plane.",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let sentence = "the text is UTF-16, not UTF-8".to_owned();
        return Err(refused(1, sentence, "Save it as UTF-8."));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(match text.strip_prefix(MARK) {
            Some(text) => Decoded {
                text,
                skipped: MARK.len_utf8(),
            },
            None => Decoded { text, skipped: 0 },
        }),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            let sentence = match bytes.get(error.valid_up_to()) {
                Some(byte) => format!("the byte 0x{byte:02x} is not UTF-8"),
                None => "the text ends within a character".to_owned(),
            };
            Err(refused(line, sentence, "Save it as UTF-8."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_byte_that_is_not_utf8_is_named() {
        assert_eq!(decode(b"a\nb\n\xe4c", 100).unwrap_err().line, 3);
        assert_eq!(decode(b"\xff\xfea\0", 100).unwrap_err().line, 1);
        assert_eq!(decode(b"abc", 2).unwrap_err().line, 0);
        let decoded = decode("\u{feff}abc".as_bytes(), 100).unwrap();
        assert_eq!((decoded.text, decoded.skipped), ("abc", 3));
    }
}
