//! Operators between two operands, and what they make of each other.

use super::{Parser, Part, Wrong};
use crate::promql::Kind;
use crate::promql::token::Token;

/// What binds tightest.
pub(super) const POWER: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    /// `and`, `unless`.
    Both,
    Compare,
    /// `+`, `-`.
    Add,
    /// `*`, `/`, `%`, `atan2`.
    Multiply,
    Power,
}

impl Operator {
    /// How tight it binds.
    pub(super) const fn level(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::Both => 2,
            Self::Compare => 3,
            Self::Add => 4,
            Self::Multiply => 5,
            Self::Power => POWER,
        }
    }

    pub(super) const fn binds_right(self) -> bool {
        matches!(self, Self::Power)
    }

    const fn is_of_sets(self) -> bool {
        matches!(self, Self::Or | Self::Both)
    }
}

/// What stands between an operator and its right side.
#[derive(Debug, Default)]
pub(super) struct Matching {
    has_bool: bool,
    /// The labels of `on` or `ignoring`.
    has_labels: bool,
    has_group: bool,
}

/// Words that are no metric where an operand is expected.
pub(super) fn is_keyword(lower: &str) -> bool {
    matches!(
        lower,
        "and"
            | "or"
            | "unless"
            | "atan2"
            | "bool"
            | "by"
            | "without"
            | "on"
            | "ignoring"
            | "group_left"
            | "group_right"
            | "offset"
    )
}

impl Parser<'_> {
    /// The operator that is next.
    pub(super) fn operator(&self) -> Option<Operator> {
        Some(match self.peek()? {
            (Token::Sign(sign), _) => match *sign {
                "==" | "!=" | "<" | ">" | "<=" | ">=" => Operator::Compare,
                "+" | "-" => Operator::Add,
                "*" | "/" | "%" => Operator::Multiply,
                "^" => Operator::Power,
                _ => return None,
            },
            (Token::Word(_), _) => match self.keyword()?.as_str() {
                "or" => Operator::Or,
                "and" | "unless" => Operator::Both,
                "atan2" => Operator::Multiply,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// `bool`, `on (...)`, `group_left (...)` behind an operator.
    pub(super) fn matching(&mut self, operator: Operator) -> Result<Matching, Wrong> {
        let mut matching = Matching::default();
        let at = self.at();
        if self.keyword().is_some_and(|word| word == "bool") {
            self.next += 1;
            matching.has_bool = true;
            if operator != Operator::Compare {
                return Err((at, "bool belongs to a comparison".to_owned()));
            }
        }
        let Some(word) = self
            .keyword()
            .filter(|word| matches!(word.as_str(), "on" | "ignoring"))
        else {
            return Ok(matching);
        };
        self.next += 1;
        let labels = self.labels()?;
        matching.has_labels = true;
        let at = self.at();
        if self
            .keyword()
            .is_some_and(|word| matches!(word.as_str(), "group_left" | "group_right"))
        {
            self.next += 1;
            matching.has_group = true;
            if operator.is_of_sets() {
                return Err((
                    at,
                    "and, or and unless take no group_left and no group_right".to_owned(),
                ));
            }
            if self.sign("(") {
                let more = self.labels()?;
                if word == "on"
                    && let Some(both) = more.iter().find(|label| labels.contains(label))
                {
                    return Err((
                        at,
                        format!("the label {both:?} stands in on and in the group as well"),
                    ));
                }
            }
        }
        Ok(matching)
    }
}

/// What an operator makes of its two sides.
pub(super) fn judge(
    operator: Operator,
    left: &Part,
    right: &Part,
    matching: &Matching,
) -> Result<Kind, String> {
    let kinds = [left.kind, right.kind];
    if let Some(other) = kinds
        .iter()
        .find(|kind| !matches!(kind, Kind::Scalar | Kind::Vector))
    {
        return Err(format!(
            "an operator stands between series and numbers, and this is {other}"
        ));
    }
    let both_series = kinds == [Kind::Vector, Kind::Vector];
    if operator.is_of_sets() && !both_series {
        return Err("and, or and unless stand between series".to_owned());
    }
    if (matching.has_labels || matching.has_group) && !both_series {
        return Err("on and ignoring stand between series".to_owned());
    }
    let both_numbers = kinds == [Kind::Scalar, Kind::Scalar];
    if operator == Operator::Compare && both_numbers && !matching.has_bool {
        return Err("two numbers are compared with bool, as in > bool".to_owned());
    }
    Ok(if both_numbers { Kind::Scalar } else { Kind::Vector })
}
