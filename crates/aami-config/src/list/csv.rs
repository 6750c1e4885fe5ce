//! CSV with the columns' names first: RFC 4180, and what spreadsheets make of it (semicolons, tabs).

use super::draft::{Column, Draft, column, unknown};
use crate::problem::{Gathered, Problem};

/// At most this many columns.
const MOST_COLUMNS: usize = 128;

/// A record with the line it begins in.
struct Record {
    line: usize,
    cells: Vec<String>,
}

/// What a column is read as.
enum Read {
    Known(Column),
    Label(String),
    /// A column without a name.
    Nothing,
}

pub(super) fn read(text: &str, problems: &mut Gathered) -> Vec<Draft> {
    let mut problem = |line, sentence: String, hint: Option<String>| {
        problems.add(Problem {
            line,
            field: String::new(),
            sentence,
            hint,
        });
    };
    let mark = delimiter(text);
    let records = match records(text, mark) {
        Ok(records) => records,
        Err(line) => {
            problem(
                line,
                "a quote is opened here and never closed".to_owned(),
                Some("Close it, or double quotes within a quoted value.".to_owned()),
            );
            return Vec::new();
        }
    };
    let mut records = records.into_iter();
    let Some(header) = records.next() else {
        return Vec::new();
    };
    if header.cells.len() > MOST_COLUMNS {
        problem(
            header.line,
            format!("there are more than {MOST_COLUMNS} columns"),
            None,
        );
        return Vec::new();
    }
    let mut columns = Vec::with_capacity(header.cells.len());
    for cell in &header.cells {
        let name = cell.trim();
        let label = name
            .strip_prefix("label.")
            .or_else(|| name.strip_prefix("labels."));
        columns.push(match (label, column(name)) {
            (Some(label), _) => Read::Label(label.to_owned()),
            (None, Some(column)) => Read::Known(column),
            (None, None) => {
                if !name.is_empty() {
                    let (sentence, hint) = unknown(name);
                    problem(header.line, sentence, Some(hint));
                }
                Read::Nothing
            }
        });
    }
    if !columns
        .iter()
        .any(|read| matches!(read, Read::Known(Column::Name)))
    {
        problem(
            header.line,
            "no column is called `name`".to_owned(),
            Some("The first line names the columns: name,ip,ssh_user,...".to_owned()),
        );
        return Vec::new();
    }
    let mut drafts = Vec::new();
    for record in records {
        if record.cells.len() > columns.len() {
            let sentence = format!(
                "there are {} values for {} columns",
                record.cells.len(),
                columns.len()
            );
            problem(record.line, sentence, None);
            continue;
        }
        let mut draft = Draft::at(record.line);
        for (read, cell) in columns.iter().zip(&record.cells) {
            match read {
                Read::Known(column) => {
                    if let Err(sentence) = draft.set(*column, cell) {
                        problem(record.line, sentence, None);
                    }
                }
                Read::Label(name) if !cell.trim().is_empty() => {
                    draft.labels.push((name.clone(), cell.trim().to_owned()));
                }
                Read::Label(_) | Read::Nothing => {}
            }
        }
        if draft.name.is_empty() {
            problem(record.line, "there is no name".to_owned(), None);
            continue;
        }
        drafts.push(draft);
    }
    drafts
}

/// What stands between values: of the three marks, the one the first line has most of.
fn delimiter(text: &str) -> char {
    let first = text.lines().find(|line| !is_empty(line)).unwrap_or_default();
    let count = |mark: char| first.matches(mark).count();
    [';', '\t']
        .into_iter()
        .filter(|mark| count(*mark) > count(','))
        .max_by_key(|mark| count(*mark))
        .unwrap_or(',')
}

/// Whether a line is a comment or nothing.
fn is_empty(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The records; an error is the line of a quote that is never closed.
fn records(text: &str, mark: char) -> Result<Vec<Record>, usize> {
    let mut records = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if is_empty(line) {
            continue;
        }
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut rest = line.to_owned();
        loop {
            let mut chars = rest.chars().peekable();
            while let Some(c) = chars.next() {
                let is_room = cells.len() <= MOST_COLUMNS;
                let Some(cell) = cells.last_mut() else { break };
                match c {
                    '"' if quoted && chars.peek() == Some(&'"') => {
                        chars.next();
                        cell.push('"');
                    }
                    '"' if quoted => quoted = false,
                    '"' if cell.trim().is_empty() => {
                        cell.clear();
                        quoted = true;
                    }
                    c if c == mark && !quoted && is_room => cells.push(String::new()),
                    c => cell.push(c),
                }
            }
            if !quoted {
                break;
            }
            // A quoted value goes on in the next line.
            let (_, next) = lines.next().ok_or(at + 1)?;
            if let Some(cell) = cells.last_mut() {
                cell.push('\n');
            }
            rest = next.strip_suffix('\r').unwrap_or(next).to_owned();
        }
        records.push(Record { line: at + 1, cells });
    }
    Ok(records)
}
