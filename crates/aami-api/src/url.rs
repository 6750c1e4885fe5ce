//! Texts as parts of a URL.

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_letters_that_mean_nothing_is_left_as_it_is() {
        assert_eq!(encoded("a-b_c.d~e"), "a-b_c.d~e");
        assert_eq!(encoded("a b&c=\"d\"/\u{e9}"), "a%20b%26c%3D%22d%22%2F%C3%A9");
    }
}
