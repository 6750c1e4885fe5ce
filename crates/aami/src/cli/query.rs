//! Query strings.

use std::fmt::{self, Write as _};

pub(crate) use aami_api::url::encoded;

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
