//! One change: what is cut and put in, what the text shall then say, and the proof that it does.

use std::ops::Range;

use granit_parser::{Event, Parser};

use super::EditError;
use super::plain::Plain;
use crate::tree::{self, Node};

/// A change that is being planned.
pub(super) struct Change<'t> {
    pub(super) text: &'t str,
    /// What the text shall say.
    pub(super) wanted: Plain,
    cuts: Vec<(Range<usize>, String)>,
    /// Where comments may go with what they stand in.
    forgotten: Vec<Range<usize>>,
}

impl<'t> Change<'t> {
    pub(super) fn new(text: &'t str, root: &Node<'_>) -> Self {
        Self {
            text,
            wanted: Plain::of(root),
            cuts: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// Puts `with` in the place of these bytes.
    pub(super) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.cuts.push((range, with.into()));
    }

    /// Puts a text in.
    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// Takes these bytes out, and the comments within them.
    pub(super) fn forget(&mut self, range: Range<usize>) {
        self.forgotten.push(range.clone());
        self.replace(range, "");
    }

    /// The changed text, if it says what was wanted and has all its comments.
    pub(super) fn made(mut self) -> Result<String, EditError> {
        self.cuts.sort_by_key(|(range, _)| (range.start, range.end));
        let mut made = String::with_capacity(self.text.len() + 1024);
        let mut at = 0;
        for (range, with) in &self.cuts {
            let kept = self.text.get(at..range.start).ok_or(EditError::NotReadBack)?;
            made.push_str(kept);
            made.push_str(with);
            at = range.end;
        }
        made.push_str(self.text.get(at..).ok_or(EditError::NotReadBack)?);

        let says = tree::parse(made.as_bytes())
            .ok()
            .filter(|tree| tree.problems.is_empty())
            .map(|tree| Plain::of(&tree.root));
        if says.as_ref() != Some(&self.wanted) {
            return Err(EditError::NotReadBack);
        }
        self.forgotten.sort_by_key(|range| range.start);
        let is_forgotten = |at: usize| {
            // The last one that begins before it; they do not overlap.
            let after = self.forgotten.partition_point(|range| range.start <= at);
            let before = after.checked_sub(1).and_then(|last| self.forgotten.get(last));
            before.is_some_and(|range| range.contains(&at))
        };
        let kept = comments(self.text).filter(|(at, _)| !is_forgotten(*at));
        if !kept
            .map(|(_, text)| text)
            .eq(comments(&made).map(|(_, text)| text))
        {
            return Err(EditError::NotReadBack);
        }
        Ok(made)
    }
}

/// The comments of a text with their places, in their order.
pub(super) fn comments(text: &str) -> impl Iterator<Item = (usize, String)> {
    let skipped = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let options = granit_parser::options! {
        max_buffered_comment_events: usize::MAX,
    };
    Parser::new_from_str_with_options(&text[skipped..], options)
        .filter_map(Result::ok)
        .filter_map(move |(event, span)| match event {
            Event::Comment(text, _) => {
                let at = span.byte_range().map_or(0, |range| range.start) + skipped;
                Some((at, text.trim_end().to_owned()))
            }
            _ => None,
        })
}
