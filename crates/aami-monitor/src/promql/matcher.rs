//! What a selector asks of a label.

use std::fmt;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// It is one of the values.
    In,
    /// It is none of them.
    NotIn,
    /// It is a list between commas (`,a,b,`) that holds one of the values.
    Lists,
    /// It is no list that holds any of them.
    ListsNone,
}

/// A label and the values it may, or may not, have.
///
/// Values are plain: they stand in the expression as themselves, whatever characters they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    label: String,
    compared: Compared,
    values: Vec<String>,
}

impl Matcher {
    /// A matcher; `None` where `label` is no label's name or there is no value.
    ///
    /// Values come out in ascending order, each once, so that the same set always gives the same text.
    pub fn new(
        label: &str,
        compared: Compared,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Option<Self> {
        let mut bytes = label.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let sound = first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        values.sort_unstable();
        values.dedup();
        (sound && !values.is_empty()).then(|| Self {
            label: label.to_owned(),
            compared,
            values,
        })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = self.values.len() == 1;
        let any = || {
            let plain: Vec<String> = self
                .values
                .iter()
                .map(|value| regex_syntax::escape(value))
                .collect();
            plain.join("|")
        };
        let (sign, value) = match (self.compared, one) {
            (Compared::In, true) => ("=", self.values.concat()),
            (Compared::NotIn, true) => ("!=", self.values.concat()),
            (Compared::In, false) => ("=~", any()),
            (Compared::NotIn, false) => ("!~", any()),
            (Compared::Lists, true) => ("=~", format!(".*,{},.*", any())),
            (Compared::ListsNone, true) => ("!~", format!(".*,{},.*", any())),
            (Compared::Lists, false) => ("=~", format!(".*,({}),.*", any())),
            (Compared::ListsNone, false) => ("!~", format!(".*,({}),.*", any())),
        };
        write!(f, "{}{sign}\"", self.label)?;
        for c in value.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
