//! Selectors: a metric, and what its labels have to be.

use super::{Parser, Part, Shape, Wrong};
use crate::promql::token::Token;
use crate::promql::{Kind, Selector};

impl Parser<'_> {
    /// A selector whose name, where it has one, has just been passed.
    pub(super) fn selector(&mut self, name: Option<&str>) -> Result<Part, Wrong> {
        let (from, named_until) = match name {
            Some(name) => (self.passed() - name.len(), self.passed()),
            None => (self.at(), self.at()),
        };
        let opens = self.at();
        let (mut braces, mut needs_comma, mut chooses) = (None, false, name.is_some());
        if self.take("{") {
            while !self.take("}") {
                chooses |= self.matcher(name.is_some())?;
                needs_comma = true;
                if self.take(",") {
                    needs_comma = false;
                } else if !self.sign("}") {
                    return Err(self.unexpected("\",\" or \"}\""));
                }
            }
            braces = Some(opens..self.passed());
        }
        if !chooses {
            return Err((
                from,
                "this chooses every series there is; name a metric, or a label that is not empty".to_owned(),
            ));
        }
        let until = braces.as_ref().map_or(named_until, |braces| braces.end);
        self.selectors.push(Selector {
            name: name.map(str::to_owned),
            place: from..until,
            braces,
            needs_comma,
        });
        Ok(Part {
            kind: Kind::Vector,
            shape: Shape::Selector,
            at: from,
        })
    }

    /// One matcher; whether it refuses series without the label.
    fn matcher(&mut self, is_named: bool) -> Result<bool, Wrong> {
        let at = self.at();
        let Some((Token::Word(label), _)) = self.peek() else {
            return Err(self.unexpected("the name of a label"));
        };
        if label.contains(':') {
            return Err(self.unexpected("the name of a label"));
        }
        self.next += 1;
        if is_named && label == "__name__" {
            return Err((at, "the metric is named twice".to_owned()));
        }
        let Some(sign) = ["=~", "!~", "!=", "="].into_iter().find(|sign| self.take(sign)) else {
            return Err(self.unexpected("=, !=, =~ or !~"));
        };
        let at = self.at();
        let Some((Token::Text(value), _)) = self.peek() else {
            return Err(self.unexpected("a text in quotes"));
        };
        self.next += 1;
        Ok(match sign {
            "=" => !value.is_empty(),
            "!=" => value.is_empty(),
            _ => {
                let matches_nothing = regex(value).map_err(|what| (at, what))?;
                (sign == "=~") != matches_nothing
            }
        })
    }
}

/// Whether a regular expression, which has to fit the whole value, fits an empty one.
fn regex(pattern: &str) -> Result<bool, String> {
    let parsed = (!is_foreign(pattern))
        .then(|| regex_syntax::parse(pattern).ok())
        .flatten();
    let Some(parsed) = parsed else {
        let short: String = pattern.chars().take(40).collect();
        return Err(format!(
            "{short:?} is no regular expression that Prometheus knows"
        ));
    };
    Ok(parsed.properties().minimum_len().is_none_or(|least| least == 0))
}

/// What the parser of regular expressions here knows and the one of Prometheus (RE2 of Go) does not: `\u`, `\<`, and
/// more than 1000 repetitions.
fn is_foreign(pattern: &str) -> bool {
    let mut chars = pattern.char_indices();
    while let Some((at, c)) = chars.next() {
        let is_foreign = match c {
            '\\' => chars
                .next()
                .is_some_and(|(_, escaped)| matches!(escaped, 'u' | 'U' | '<' | '>')),
            '{' => pattern[at + 1..]
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .any(|number| number.parse::<u64>().is_ok_and(|number| number > 1000)),
            _ => false,
        };
        if is_foreign {
            return true;
        }
    }
    false
}
