//! The grammar: operators by their precedence, and below them what stands between operators.

use super::function::{self, Function};
use super::token::{Placed, Token, Wrong, tokens};
use super::{Kind, LONGEST, Selector, SyntaxError};

mod operator;
mod selector;

/// How deep an expression may be nested; people's are less than a tenth of it.
const DEEPEST: usize = 64;

/// What an expression gives, and where it looks at series.
pub(super) fn parse(text: &str) -> Result<(Kind, Vec<Selector>), SyntaxError> {
    if text.len() > LONGEST {
        return Err(SyntaxError {
            at: 0,
            what: format!("the expression is longer than {LONGEST} bytes"),
        });
    }
    let located = |(at, what): Wrong| SyntaxError {
        at: text[..at].chars().count(),
        what,
    };
    let tokens = tokens(text).map_err(located)?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        end: text.len(),
        depth: 0,
        selectors: Vec::new(),
    };
    let part = parser.expression(0).map_err(located)?;
    if let Some((token, place)) = parser.peek() {
        return Err(located((
            place.start,
            format!("{} is not expected here", shown(token)),
        )));
    }
    Ok((part.kind, parser.selectors))
}

struct Parser<'a> {
    tokens: &'a [Placed],
    next: usize,
    end: usize,
    depth: usize,
    selectors: Vec<Selector>,
}

/// A part of an expression that has been read.
#[derive(Clone, Copy)]
struct Part {
    kind: Kind,
    shape: Shape,
    at: usize,
}

/// What may follow a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Selector,
    Range,
    Subquery,
    Other,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Placed> {
        self.tokens.get(self.next)
    }

    fn at(&self) -> usize {
        self.peek().map_or(self.end, |(_, place)| place.start)
    }

    /// Where the last token ended.
    fn passed(&self) -> usize {
        self.next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(0, |(_, place)| place.end)
    }

    fn sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some((Token::Sign(found), _)) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_it = self.sign(sign);
        self.next += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{sign:?}")))
    }

    /// The word that is next, in small letters: keywords are.
    fn keyword(&self) -> Option<String> {
        match self.peek() {
            Some((Token::Word(word), _)) => Some(word.to_ascii_lowercase()),
            _ => None,
        }
    }

    fn unexpected(&self, wanted: &str) -> Wrong {
        let found = self
            .peek()
            .map_or("the end".to_owned(), |(token, _)| shown(token));
        (self.at(), format!("{found} stands where {wanted} is expected"))
    }

    fn expression(&mut self, least: u8) -> Result<Part, Wrong> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.at(), format!("nested more than {DEEPEST} deep")));
        }
        let mut left = self.unary()?;
        while let Some(operator) = self.operator().filter(|operator| operator.level() >= least) {
            let at = self.at();
            self.next += 1;
            let matching = self.matching(operator)?;
            let right = self.expression(operator.level() + u8::from(!operator.binds_right()))?;
            let kind = operator::judge(operator, &left, &right, &matching).map_err(|what| (at, what))?;
            left = Part {
                kind,
                shape: Shape::Other,
                at: left.at,
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// A sign before an operand binds tighter than `*` and less than `^`.
    fn unary(&mut self) -> Result<Part, Wrong> {
        let at = self.at();
        if !(self.take("-") || self.take("+")) {
            return self.operand();
        }
        let part = self.expression(operator::POWER)?;
        if !matches!(part.kind, Kind::Scalar | Kind::Vector) {
            return Err((at, format!("a sign stands before {}", part.kind)));
        }
        Ok(Part {
            shape: Shape::Other,
            at,
            ..part
        })
    }

    fn operand(&mut self) -> Result<Part, Wrong> {
        let at = self.at();
        let other = |kind| Part {
            kind,
            shape: Shape::Other,
            at,
        };
        let part = match self.peek() {
            Some((Token::Number, _)) => {
                self.next += 1;
                other(Kind::Scalar)
            }
            Some((Token::Text(_), _)) => {
                self.next += 1;
                other(Kind::Text)
            }
            Some((Token::Sign("("), _)) => {
                self.next += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                other(inner.kind)
            }
            Some((Token::Sign("{"), _)) => self.selector(None)?,
            Some((Token::Word(word), _)) => self.word(word)?,
            _ => return Err(self.unexpected("a metric, a function or a number")),
        };
        self.modifiers(part)
    }

    /// A function, an aggregation, a number in words, or a metric.
    fn word(&mut self, word: &str) -> Result<Part, Wrong> {
        let at = self.at();
        let follows = self.tokens.get(self.next + 1).map(|(token, _)| token);
        let calls = matches!(follows, Some(Token::Sign("(")));
        let lower = word.to_ascii_lowercase();
        let other = |kind| Part {
            kind,
            shape: Shape::Other,
            at,
        };
        if let Some(parameter) = function::aggregation(word) {
            let groups = matches!(follows, Some(Token::Word(next)) if is_grouping(next));
            if calls || groups {
                self.next += 1;
                self.aggregation(word, parameter)?;
                return Ok(other(Kind::Vector));
            }
        }
        if matches!(lower.as_str(), "inf" | "nan") && !calls {
            self.next += 1;
            return Ok(other(Kind::Scalar));
        }
        if calls {
            let function =
                function::find(word).ok_or_else(|| (at, format!("there is no function {word:?}")))?;
            self.next += 2;
            self.call(function)?;
            return Ok(other(function.gives));
        }
        if operator::is_keyword(&lower) {
            return Err(self.unexpected("a metric, a function or a number"));
        }
        self.next += 1;
        self.selector(Some(word))
    }

    fn call(&mut self, function: &Function) -> Result<(), Wrong> {
        let mut arguments = 0;
        while !self.take(")") {
            if arguments > 0 {
                self.expect(",")?;
            }
            let part = self.expression(0)?;
            let wanted = match function.takes.get(arguments) {
                Some(wanted) => *wanted,
                None if function.repeats => function.takes.last().copied().unwrap_or(Kind::Text),
                None => return Err((part.at, format!("{} takes no more than this", function.name))),
            };
            self.fits(part, wanted, function.name)?;
            arguments += 1;
        }
        if arguments + function.optional < function.takes.len() {
            return Err((self.passed(), format!("{} is given too little", function.name)));
        }
        Ok(())
    }

    fn fits(&self, part: Part, wanted: Kind, whose: &str) -> Result<(), Wrong> {
        if part.kind == wanted {
            return Ok(());
        }
        Err((
            part.at,
            format!("{whose} takes {wanted}, and this is {}", part.kind),
        ))
    }

    fn aggregation(&mut self, name: &str, parameter: Option<Kind>) -> Result<(), Wrong> {
        let before = self.grouping()?;
        self.expect("(")?;
        if let Some(wanted) = parameter {
            let part = self.expression(0)?;
            self.fits(part, wanted, name)?;
            self.expect(",")?;
        }
        let part = self.expression(0)?;
        self.fits(part, Kind::Vector, name)?;
        self.expect(")")?;
        if !before {
            self.grouping()?;
        }
        Ok(())
    }

    /// `by (...)` or `without (...)`, where one stands.
    fn grouping(&mut self) -> Result<bool, Wrong> {
        if !self.keyword().is_some_and(|word| is_grouping(&word)) {
            return Ok(false);
        }
        self.next += 1;
        self.labels()?;
        Ok(true)
    }

    /// Names of labels in parentheses.
    fn labels(&mut self) -> Result<Vec<String>, Wrong> {
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.take(")") {
            match self.peek() {
                Some((Token::Word(word), _)) if !word.contains(':') => labels.push(word.clone()),
                _ => return Err(self.unexpected("the name of a label")),
            }
            self.next += 1;
            if !self.take(",") && !self.sign(")") {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    /// Ranges, subqueries, `offset` and `@` behind an operand.
    fn modifiers(&mut self, mut part: Part) -> Result<Part, Wrong> {
        let (mut has_offset, mut has_time) = (false, false);
        loop {
            let at = self.at();
            if self.take("[") {
                part = self.range(part, at)?;
                (has_offset, has_time) = (false, false);
            } else if self.keyword().is_some_and(|word| word == "offset") {
                self.next += 1;
                self.take("-");
                self.duration()?;
                if part.shape == Shape::Other || std::mem::replace(&mut has_offset, true) {
                    return Err((at, "an offset belongs to a selector or a range, once".to_owned()));
                }
            } else if self.take("@") {
                self.time()?;
                if part.shape == Shape::Other || std::mem::replace(&mut has_time, true) {
                    return Err((at, "@ belongs to a selector or a range, once".to_owned()));
                }
            } else {
                return Ok(part);
            }
            // What has a time of its own is no plain selector any more: a range has to come first.
            if (has_offset || has_time) && part.shape == Shape::Selector {
                part.shape = Shape::Subquery;
            }
        }
    }

    /// What follows `[`.
    fn range(&mut self, part: Part, at: usize) -> Result<Part, Wrong> {
        if self.duration()? == 0 {
            return Err((at, "a range is longer than nothing".to_owned()));
        }
        let is_subquery = self.take(":");
        if is_subquery && !self.sign("]") && self.duration()? == 0 {
            return Err((at, "a step is longer than nothing".to_owned()));
        }
        self.expect("]")?;
        let fits = if is_subquery {
            part.kind == Kind::Vector
        } else {
            part.shape == Shape::Selector
        };
        if !fits {
            return Err((
                at,
                "a range belongs to a metric, a range with a step to series".to_owned(),
            ));
        }
        Ok(Part {
            kind: Kind::Range,
            shape: if is_subquery {
                Shape::Subquery
            } else {
                Shape::Range
            },
            at: part.at,
        })
    }

    fn duration(&mut self) -> Result<u64, Wrong> {
        match self.peek() {
            Some((Token::Duration(millis), _)) => {
                self.next += 1;
                Ok(*millis)
            }
            _ => Err(self.unexpected("a duration such as 5m")),
        }
    }

    /// What follows `@`.
    fn time(&mut self) -> Result<(), Wrong> {
        let is_signed = self.take("-") || self.take("+");
        match self.peek() {
            Some((Token::Number, _)) => self.next += 1,
            Some((Token::Word(word), _)) if !is_signed && matches!(word.as_str(), "start" | "end") => {
                self.next += 1;
                self.expect("(")?;
                self.expect(")")?;
            }
            _ => return Err(self.unexpected("a time, start() or end()")),
        }
        Ok(())
    }
}

fn is_grouping(word: &str) -> bool {
    word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
}

/// A token in a sentence; what a hostile sender wrote stays one short line.
fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{:?}", word.chars().take(40).collect::<String>()),
        Token::Number => "a number".to_owned(),
        Token::Duration(_) => "a duration".to_owned(),
        Token::Text(_) => "a text".to_owned(),
        Token::Sign(sign) => format!("{sign:?}"),
    }
}
