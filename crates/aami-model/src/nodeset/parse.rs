//! Reading the notation. Whoever wrote the text may be hostile: what it stands for is counted before anything
//! is made of it, and everything costs at most in proportion to the text and to what was counted.

use std::collections::BTreeSet;

use super::{LONGEST, Name};

/// Numbers in brackets have at most this many digits, so that they fit a `u64`.
const DIGITS: usize = 18;

/// Why a text is not one of the notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeSetError {
    /// There is nothing to read.
    #[error("no node is named")]
    Empty,
    /// A name is missing between separators, or beside an operator.
    #[error("a name is missing at character {at}")]
    Missing {
        /// Counted from 1.
        at: usize,
    },
    /// A character that names cannot have.
    #[error(
        "{character:?} at character {at} cannot be part of a name: names have letters, digits and . _ - :"
    )]
    Character {
        /// Counted from 1.
        at: usize,
        /// The character.
        character: char,
    },
    /// `@name`, which other tools expand from a file of theirs.
    #[error(
        "groups (@ at character {at}) are not part of this notation: nodes are also chosen by their labels"
    )]
    Group {
        /// Counted from 1.
        at: usize,
    },
    /// Brackets that do not match.
    #[error("the bracket at character {at} has no other half")]
    Bracket {
        /// Counted from 1.
        at: usize,
    },
    /// What stands in brackets is no range.
    #[error("{text:?} at character {at} is no range: ranges are numbers such as 1-4, 001-128, 1-9/2 or 7")]
    Range {
        /// Counted from 1.
        at: usize,
        /// The beginning of it.
        text: String,
    },
    /// A range from high to low.
    #[error("the range {text} at character {at} ends before it begins")]
    Backwards {
        /// Counted from 1.
        at: usize,
        /// The range.
        text: String,
    },
    /// `001-10`: how many digits names have cannot be told.
    #[error("the range {text} at character {at} begins and ends with another number of digits")]
    Padding {
        /// Counted from 1.
        at: usize,
        /// The range.
        text: String,
    },
    /// A name that is too long.
    #[error("the name {text} is longer than {max} characters", max = LONGEST)]
    Long {
        /// The beginning of it.
        text: String,
    },
    /// More names than are allowed.
    #[error("this stands for more than {limit} nodes")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
}

/// What is done with the next names.
#[derive(Clone, Copy)]
enum Join {
    Or,
    Without,
    And,
    Either,
}

impl Join {
    fn of(character: char) -> Option<Self> {
        match character {
            ',' => Some(Self::Or),
            '!' => Some(Self::Without),
            '&' => Some(Self::And),
            '^' => Some(Self::Either),
            _ => None,
        }
    }
}

pub(super) fn parse(text: &str, limit: usize) -> Result<BTreeSet<Name>, NodeSetError> {
    let mut names = BTreeSet::new();
    let mut reader = Reader {
        rest: text,
        at: 1,
        left: limit,
        limit,
    };
    reader.blanks();
    if reader.rest.is_empty() {
        return Err(NodeSetError::Empty);
    }
    let mut join = Join::Or;
    loop {
        let part = reader.part()?;
        match join {
            Join::Or => names.extend(part),
            Join::Without => {
                for name in &part {
                    names.remove(name);
                }
            }
            Join::And => names = part.into_iter().filter(|name| names.contains(name)).collect(),
            Join::Either => {
                // A part may name a node twice and means it once.
                for name in part.into_iter().collect::<BTreeSet<_>>() {
                    if !names.remove(&name) {
                        names.insert(name);
                    }
                }
            }
        }
        let blanks = reader.blanks();
        match reader.rest.chars().next() {
            None => return Ok(names),
            Some(character) => match Join::of(character) {
                Some(next) => {
                    reader.skip(character);
                    reader.blanks();
                    join = next;
                }
                None if blanks => join = Join::Or,
                None => return Err(reader.cannot(character)),
            },
        }
    }
}

/// Whether a text can be a name.
pub(super) fn check_name(name: &str) -> Result<(), NodeSetError> {
    if name.is_empty() {
        return Err(NodeSetError::Empty);
    }
    if let Some((at, character)) = name.chars().enumerate().find(|(_, c)| !is_part_of_a_name(*c)) {
        return Err(NodeSetError::Character {
            at: at + 1,
            character,
        });
    }
    if name.len() > LONGEST {
        return Err(NodeSetError::Long {
            text: beginning(name),
        });
    }
    Ok(())
}

/// Colons, because an IPv6 address may serve as a name.
fn is_part_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | ':')
}

/// The first few characters, for a sentence.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// Numbers from one to another.
struct Range {
    first: u64,
    last: u64,
    step: u64,
    /// How many digits each has at least.
    width: usize,
}

impl Range {
    fn count(&self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    fn digits(&self) -> usize {
        self.width.max(self.last.max(1).ilog10() as usize + 1)
    }

    fn numbers(&self) -> impl Iterator<Item = String> {
        let (first, step, width) = (self.first, self.step, self.width);
        (0..self.count()).map(move |index| format!("{:0width$}", first + index * step))
    }
}

/// A piece of one part: as it is written, or what stands in brackets.
enum Piece<'a> {
    Text(&'a str),
    Ranges(Vec<Range>),
}

struct Reader<'a> {
    rest: &'a str,
    at: usize,
    /// How many more names the text may stand for.
    left: usize,
    limit: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, character: char) {
        self.rest = &self.rest[character.len_utf8()..];
        self.at += 1;
    }

    /// Skips blanks; answers whether there were any.
    fn blanks(&mut self) -> bool {
        let before = self.at;
        while let Some(character) = self.rest.chars().next().filter(|c| c.is_ascii_whitespace()) {
            self.skip(character);
        }
        self.at > before
    }

    fn cannot(&self, character: char) -> NodeSetError {
        let at = self.at;
        match character {
            '@' => NodeSetError::Group { at },
            ']' => NodeSetError::Bracket { at },
            _ => NodeSetError::Character { at, character },
        }
    }

    /// One name, or one that stands for several.
    fn part(&mut self) -> Result<Vec<Name>, NodeSetError> {
        let (pieces, count) = self.pieces()?;
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(NodeSetError::TooMany { limit: self.limit })?;
        let mut names = vec![String::new()];
        for piece in pieces {
            match piece {
                Piece::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
                Piece::Ranges(ranges) => {
                    let numbers: Vec<String> = ranges.iter().flat_map(Range::numbers).collect();
                    let before = std::mem::take(&mut names);
                    names = before
                        .iter()
                        .flat_map(|name| numbers.iter().map(move |number| format!("{name}{number}")))
                        .collect();
                }
            }
        }
        Ok(names.into_iter().map(|name| Name(name.into())).collect())
    }

    /// What a part is made of, and how many names that is.
    fn pieces(&mut self) -> Result<(Vec<Piece<'a>>, usize), NodeSetError> {
        let (whole, limit) = (self.rest, self.limit);
        let (mut pieces, mut count, mut longest) = (Vec::new(), 1_usize, 0_usize);
        while let Some(character) = self.rest.chars().next() {
            if character == '[' {
                let ranges = self.brackets()?;
                let of_these = ranges
                    .iter()
                    .try_fold(0_u64, |sum, range| sum.checked_add(range.count()));
                count = of_these
                    .and_then(|sum| usize::try_from(sum).ok())
                    .and_then(|sum| count.checked_mul(sum))
                    .filter(|count| *count <= self.left)
                    .ok_or(NodeSetError::TooMany { limit })?;
                longest += ranges.iter().map(Range::digits).max().unwrap_or(0);
                pieces.push(Piece::Ranges(ranges));
            } else if is_part_of_a_name(character) {
                let end = self
                    .rest
                    .find(|c| !is_part_of_a_name(c))
                    .unwrap_or(self.rest.len());
                let (text, after) = self.rest.split_at(end);
                longest += text.len();
                // Names are ASCII: as many bytes as characters.
                self.at += text.len();
                self.rest = after;
                pieces.push(Piece::Text(text));
            } else {
                break;
            }
            if longest > LONGEST {
                return Err(NodeSetError::Long {
                    text: beginning(whole),
                });
            }
        }
        if pieces.is_empty() {
            return Err(match self.rest.chars().next() {
                Some(character) if Join::of(character).is_none() => self.cannot(character),
                _ => NodeSetError::Missing { at: self.at },
            });
        }
        Ok((pieces, count))
    }

    /// `[1-4,7]`, read to behind the bracket.
    fn brackets(&mut self) -> Result<Vec<Range>, NodeSetError> {
        let opened = self.at;
        self.skip('[');
        let end = self
            .rest
            .find(['[', ']'])
            .filter(|end| self.rest[*end..].starts_with(']'));
        let (inside, after) = end
            .map(|end| (&self.rest[..end], &self.rest[end + 1..]))
            .ok_or(NodeSetError::Bracket { at: opened })?;
        let mut ranges = Vec::new();
        for text in inside.split(',') {
            ranges.push(range(text, self.at)?);
            self.at += text.chars().count() + 1;
        }
        self.rest = after;
        Ok(ranges)
    }
}

/// `7`, `1-4` or `001-128/2`, which stands at this character.
fn range(text: &str, at: usize) -> Result<Range, NodeSetError> {
    let no_range = || NodeSetError::Range {
        at,
        text: beginning(text),
    };
    let number = |digits: &str| -> Option<u64> {
        let fits = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| fits)
    };
    let (ends, step) = match text.split_once('/') {
        Some((ends, step)) => (ends, number(step).filter(|step| *step > 0).ok_or_else(no_range)?),
        None => (text, 1),
    };
    let (from, to) = match ends.split_once('-') {
        Some(both) => both,
        // A step of one number is a slip.
        None if step == 1 => (ends, ends),
        None => return Err(no_range()),
    };
    let (first, last) = (
        number(from).ok_or_else(no_range)?,
        number(to).ok_or_else(no_range)?,
    );
    if last < first {
        return Err(NodeSetError::Backwards {
            at,
            text: text.to_owned(),
        });
    }
    let zeros = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    // 099-100 and 001-1000 are clear; in 1-010 and 001-10 one of the ends is a mistake.
    let clear = match (zeros(from), zeros(to)) {
        (_, true) => from.len() == to.len(),
        (true, false) => from.len() <= to.len(),
        (false, false) => true,
    };
    if !clear {
        return Err(NodeSetError::Padding {
            at,
            text: text.to_owned(),
        });
    }
    Ok(Range {
        first,
        last,
        step,
        width: if zeros(from) { from.len() } else { 0 },
    })
}
