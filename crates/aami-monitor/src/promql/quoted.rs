//! Texts between quotes, with the escapes of Go (`strutil.Unquote` of Prometheus).

/// Reads the quoted text that `text` begins with: its value, and how many bytes it takes.
///
/// Fails with where, from the beginning of the quote, and why.
pub(super) fn read(text: &str) -> Result<(String, usize), (usize, String)> {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return Err((0, "there is no text".to_owned()));
    };
    let mut value = Vec::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let value = String::from_utf8(value).map_err(|_| (0, "the text is not UTF-8".to_owned()))?;
                return Ok((value, at + c.len_utf8()));
            }
            _ if quote == '`' => push(&mut value, c),
            '\n' => {
                return Err((
                    at,
                    "a text in these quotes ends before the end of the line".to_owned(),
                ));
            }
            '\\' => {
                let (byte_or_char, skip) = escape(&text[at + 1..], quote)
                    .ok_or_else(|| (at, "this escape is unknown".to_owned()))?;
                match byte_or_char {
                    Escaped::Byte(byte) => value.push(byte),
                    Escaped::Char(c) => push(&mut value, c),
                }
                for _ in 0..skip {
                    chars.next();
                }
            }
            c => push(&mut value, c),
        }
    }
    Err((0, "the text has no end".to_owned()))
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// What follows a backslash, and how many characters it takes.
fn escape(rest: &str, quote: char) -> Option<(Escaped, usize)> {
    let c = rest.chars().next()?;
    let plain = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        // Only the quote that the text stands in.
        '"' | '\'' if c == quote => u8::try_from(c).ok(),
        _ => None,
    };
    if let Some(byte) = plain {
        return Some((Escaped::Byte(byte), 1));
    }
    let digits = |from: usize, count: usize, radix: u32| {
        let digits = rest.get(from..from + count)?;
        let all = digits.chars().all(|c| c.is_digit(radix));
        all.then(|| u32::from_str_radix(digits, radix).ok())?
    };
    match c {
        '0'..='7' => Some((Escaped::Byte(u8::try_from(digits(0, 3, 8)?).ok()?), 3)),
        'x' => Some((Escaped::Byte(u8::try_from(digits(1, 2, 16)?).ok()?), 3)),
        'u' => Some((Escaped::Char(char::from_u32(digits(1, 4, 16)?)?), 5)),
        'U' => Some((Escaped::Char(char::from_u32(digits(1, 8, 16)?)?), 9)),
        _ => None,
    }
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
