//! Columns for people. Machines ask for `-o json`.

use std::collections::BTreeMap;
use std::fmt;

use aami_install::render::Colour;
use unicode_width::UnicodeWidthStr as _;

use super::paint::{Paint, painted};

/// Rows under headings, or names beside values.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Cells that have a colour, by row and column.
    paints: BTreeMap<(usize, usize), Paint>,
    /// What to say when there are no rows.
    nothing: &'static str,
}

impl Table {
    /// A table with these headings; `nothing` is said when no row follows.
    pub(crate) fn new(headings: &[&str], nothing: &'static str) -> Self {
        Self {
            rows: vec![headings.iter().map(|text| (*text).to_owned()).collect()],
            paints: BTreeMap::new(),
            nothing,
        }
    }

    /// One thing: a name and a value on each line.
    pub(crate) fn of_one() -> Self {
        Self {
            rows: Vec::new(),
            paints: BTreeMap::new(),
            nothing: "",
        }
    }

    /// One sentence, where that says it all.
    pub(crate) fn of_sentence(sentence: String) -> Self {
        let mut table = Self::of_one();
        table.row([sentence]);
        table
    }

    /// Adds a row.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.rows
            .push(cells.into_iter().map(|cell| harmless(&cell)).collect());
    }

    /// Adds a name and its value; an empty value is left out.
    pub(crate) fn line(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        if !value.is_empty() {
            self.row([format!("{name}:"), value]);
        }
    }

    /// Adds a name and its value in a colour.
    pub(crate) fn painted_line(&mut self, name: &str, value: impl fmt::Display, paint: Option<Paint>) {
        let before = self.rows.len();
        self.line(name, value);
        if self.rows.len() > before {
            self.paint(1, paint);
        }
    }

    /// Colours a cell of the last row, where colours are shown.
    pub(crate) fn paint(&mut self, column: usize, paint: Option<Paint>) {
        if let (Some(row), Some(paint)) = (self.rows.len().checked_sub(1), paint) {
            self.paints.insert((row, column), paint);
        }
    }

    /// The table as text, with its colours where there are any.
    pub(crate) fn in_colour(&self, colour: Colour) -> String {
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = self.put(&mut text, colour);
        text
    }

    fn put(&self, f: &mut impl fmt::Write, colour: Colour) -> fmt::Result {
        if self.rows.len() == 1 && !self.nothing.is_empty() {
            return writeln!(f, "{}", self.nothing);
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.width())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // The blanks behind it have none: they would be kept at the end of a line.
                line.push_str(&painted(cell, self.paints.get(&(at, column)).copied(), colour));
                line.push_str(&" ".repeat(width - cell.width() + 2));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.put(f, Colour::Never)
    }
}

/// A text with nothing in it that a terminal would obey: what a node says of itself may be hostile.
pub(crate) fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if obeyed(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&["NAME", "RACK"], "no nodes");
        table.row(["gpu-1".into(), "A1".into()]);
        table.row(["節点".into(), "B22".into()]);
        assert_eq!(table.to_string(), "NAME   RACK\ngpu-1  A1\n節点   B22\n");
    }

    #[test]
    fn a_colour_moves_no_column() {
        let mut table = Table::new(&["STATE", "NAME"], "nothing");
        table.row(["bad".into(), "a".into()]);
        table.paint(0, Some(Paint::Red));
        table.row(["good".into(), "b".into()]);
        assert_eq!(table.to_string(), "STATE  NAME\nbad    a\ngood   b\n");
        assert_eq!(
            table.in_colour(Colour::Always),
            "STATE  NAME\n\u{1b}[31mbad\u{1b}[0m    a\ngood   b\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(&["NAME"], "no nodes").to_string(), "no nodes\n");
    }

    #[test]
    fn a_hostile_value_moves_no_cursor() {
        let mut table = Table::of_one();
        table.line("Rack", "A1\u{1b}[2J\nroot: \u{202e}x");
        assert_eq!(table.to_string(), "Rack:  A1\u{fffd}[2J\u{fffd}root: \u{fffd}x\n");
    }
}
