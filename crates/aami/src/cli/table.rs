//! Columns for people. Machines ask for `-o json`.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

/// Rows under headings, or names beside values.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// What to say when there are no rows.
    nothing: &'static str,
}

impl Table {
    /// A table with these headings; `nothing` is said when no row follows.
    pub(crate) fn new(headings: &[&str], nothing: &'static str) -> Self {
        Self {
            rows: vec![headings.iter().map(|text| (*text).to_owned()).collect()],
            nothing,
        }
    }

    /// One thing: a name and a value on each line.
    pub(crate) fn of_one() -> Self {
        Self {
            rows: Vec::new(),
            nothing: "",
        }
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
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width() + 2));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
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
