//! PromQL, as far as it has to be understood before a Prometheus is asked: whether an expression can be evaluated at
//! all, which metrics it looks at, and where each of its selectors stands. <https://prometheus.io/docs/prometheus/2.42/querying/basics/>
//!
//! [`Expression::parse`] reads an expression and judges the types in it as Prometheus does; [`Expression::restricted`]
//! gives the same expression over fewer series. Nothing is evaluated here. What is accepted here is accepted by
//! Prometheus 2.42 (this crate's tests compare with `promtool`); what is refused has a place and a reason.
//!
//! Expressions come from people and over the network: length and depth are bounded.

mod function;
mod matcher;
mod parse;
mod quoted;
mod token;

use std::fmt;
use std::ops::Range;

pub use matcher::{Compared, Matcher};
use token::Token;

/// The longest expression, in bytes.
pub const LONGEST: usize = 10_000;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One number.
    Scalar,
    /// Series, each with one number.
    Vector,
    /// Series, each with numbers over a time.
    Range,
    /// A text.
    Text,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "a number",
            Self::Vector => "series",
            Self::Range => "series over a time",
            Self::Text => "a text",
        })
    }
}

/// Why a text is no expression that Prometheus can evaluate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {what}", at + 1)]
pub struct SyntaxError {
    /// Where, in characters from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// Where series are chosen in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    /// The metric, where one is named before the braces.
    name: Option<String>,
    /// Everything from the name to the closing brace.
    place: Range<usize>,
    /// Where the braces open and close; absent where there are none.
    braces: Option<Range<usize>>,
    /// Whether something stands between them that a comma has to follow.
    needs_comma: bool,
}

/// An expression that can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    kind: Kind,
    selectors: Vec<Selector>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// Fails with the first thing that is wrong: syntax, types, unknown functions, bad regular expressions, and what is
    /// longer or deeper than any that people write.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let (kind, selectors) = parse::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            kind,
            selectors,
        })
    }

    /// What it gives.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The metrics it names, in the order in which they stand, again where they stand again.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.selectors
            .iter()
            .filter_map(|selector| selector.name.as_deref())
    }

    /// Whether it looks at any series; what looks at none cannot be restricted.
    pub const fn looks_at_series(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// The same expression, compared with another number; nothing where it does not end in a comparison with one.
    pub fn compared_with(&self, number: f64) -> Option<String> {
        let tokens = token::tokens(&self.text).ok()?;
        let (place, before) = match tokens.as_slice() {
            [before @ .., (Token::Sign("-"), sign), (Token::Number, number)] => {
                (sign.start..number.end, before)
            }
            [before @ .., (Token::Number, number)] => (number.clone(), before),
            _ => return None,
        };
        let before = match before {
            [before @ .., (Token::Word(word), _)] if word.eq_ignore_ascii_case("bool") => before,
            before => before,
        };
        let compares = matches!(
            before.last(),
            Some((Token::Sign("==" | "!=" | "<" | ">" | "<=" | ">="), _))
        );
        // What stands between brackets, or beside another condition, is a part of it and not what it comes to.
        let mut depth = 0_i32;
        for (token, _) in before {
            match token {
                Token::Sign("(" | "[" | "{") => depth += 1,
                Token::Sign(")" | "]" | "}") => depth -= 1,
                Token::Word(word)
                    if depth == 0
                        && ["and", "or", "unless"]
                            .iter()
                            .any(|set| word.eq_ignore_ascii_case(set)) =>
                {
                    return None;
                }
                _ => {}
            }
        }
        (compares && depth == 0)
            .then(|| format!("{}{number}{}", &self.text[..place.start], &self.text[place.end..]))
    }

    /// The same expression over those series alone whose labels also fit these matchers.
    ///
    /// The matchers are put into every selector, and nothing else changes, so that the result reads like the original.
    /// It means the same as evaluating the original in a Prometheus that scrapes only what fits, provided that every
    /// series it looks at carries the labels that are matched.
    pub fn restricted(&self, matchers: &[Matcher]) -> String {
        if matchers.is_empty() {
            return self.text.clone();
        }
        let more = matchers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let mut text = String::with_capacity(self.text.len() + self.selectors.len() * (more.len() + 2));
        let mut done = 0;
        for selector in &self.selectors {
            let (upto, added) = match &selector.braces {
                Some(braces) => {
                    // Before the closing brace.
                    let comma = if selector.needs_comma { "," } else { "" };
                    (braces.end - 1, format!("{comma}{more}"))
                }
                None => (selector.place.end, format!("{{{more}}}")),
            };
            text.push_str(&self.text[done..upto]);
            text.push_str(&added);
            done = upto;
        }
        text.push_str(&self.text[done..]);
        text
    }
}

/// Whether a text is a duration as Prometheus writes it: `5m`, `1h30m`, `0s`.
pub fn is_duration(text: &str) -> bool {
    token::duration(text).is_some()
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
