//! Query strings.

use std::fmt::{self, Write as _};

/// `?a=b&c=d`, percent-encoded; nothing when it holds nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Adds a parameter.
    pub(crate) fn add(&mut self, name: &'static str, value: impl fmt::Display) {
        self.0.push((name, value.to_string()));
    }

    /// Adds a parameter that was given.
    pub(crate) fn add_if(&mut self, name: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            f.write_char(if at == 0 { '?' } else { '&' })?;
            write!(f, "{name}={}", encoded(value))?;
        }
        Ok(())
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
pub(crate) fn encoded(text: &str) -> String {
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
    fn a_value_cannot_add_parameters() {
        let mut query = Query::default();
        assert_eq!(query.to_string(), "");
        query.add("label", "rack=A 1&x=ä");
        query.add_if("status", None::<&str>);
        query.add_if("limit", Some(5));
        assert_eq!(query.to_string(), "?label=rack%3DA%201%26x%3D%C3%A4&limit=5");
    }
}
