//! Many names told in few characters.
//!
//! Names that differ in numbers only are one shape. Of a shape, number by number from the last to the first,
//! names that agree in all the others are told together: a product of sets, so what is folded says exactly the
//! same names.

use std::collections::{BTreeMap, BTreeSet};

use super::natural::{self, Piece};
use super::{Name, natural as natural_order};

/// More digits than this are text: they are a serial number, and no count.
const DIGITS: usize = 18;

/// Folds names: `gpu[01-97,99],login1`, in natural order. Names that could not be read back (with a comma, say)
/// stand as they are.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    folded(names).join(",")
}

/// The same as a list: one text a shape.
pub fn folded<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut shapes: BTreeMap<Vec<Part<'a>>, BTreeSet<Vec<&'a str>>> = BTreeMap::new();
    for name in names {
        let (shape, numbers) = shape(name);
        shapes.entry(shape).or_default().insert(numbers);
    }
    let mut texts: Vec<Folded> = shapes
        .iter()
        .flat_map(|(shape, all)| fold_shape(shape, all))
        .collect();
    texts.sort_by(|a, b| natural_order(&a.first, &b.first));
    texts.into_iter().map(|folded| folded.text).collect()
}

/// Some names in one text, and the first of them.
struct Folded {
    text: String,
    first: String,
}

/// A part of a shape: text, or a place where a number stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    Number,
}

fn shape(name: &str) -> (Vec<Part<'_>>, Vec<&str>) {
    let (mut shape, mut numbers) = (Vec::new(), Vec::new());
    if super::parse::check_name(name).is_err() {
        return (vec![Part::Text(name)], numbers);
    }
    for piece in natural::pieces(name) {
        match piece {
            Piece::Digits(digits) if digits.len() <= DIGITS => {
                shape.push(Part::Number);
                numbers.push(digits);
            }
            Piece::Digits(text) | Piece::Text(text) => shape.push(Part::Text(text)),
        }
    }
    (shape, numbers)
}

fn fold_shape(shape: &[Part<'_>], all: &BTreeSet<Vec<&str>>) -> Vec<Folded> {
    let places = all.first().map_or(0, Vec::len);
    let mut rows: Vec<Vec<String>> = all
        .iter()
        .map(|numbers| numbers.iter().map(|digits| (*digits).to_owned()).collect())
        .collect();
    for place in (0..places).rev() {
        // What is the same everywhere cannot bring anybody together.
        if rows.windows(2).all(|pair| pair[0][place] == pair[1][place]) {
            continue;
        }
        let mut alike: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for mut row in rows {
            let digits = std::mem::take(&mut row[place]);
            alike.entry(row).or_default().push(digits);
        }
        rows = alike
            .into_iter()
            .map(|(mut row, digits)| {
                row[place] = ranges(digits);
                row
            })
            .collect();
    }
    rows.iter().map(|row| written(shape, row)).collect()
}

fn written(shape: &[Part<'_>], row: &[String]) -> Folded {
    let (mut text, mut first) = (String::new(), String::new());
    let mut numbers = row.iter();
    for part in shape {
        match part {
            Part::Text(part) => {
                text.push_str(part);
                first.push_str(part);
            }
            Part::Number => {
                let number = numbers.next().map_or("", String::as_str);
                let end = number.find(|c: char| !c.is_ascii_digit());
                first.push_str(&number[..end.unwrap_or(number.len())]);
                match end {
                    None => text.push_str(number),
                    Some(_) => text.push_str(&format!("[{number}]")),
                }
            }
        }
    }
    Folded { text, first }
}

/// Numbers one after the other, with as many digits as the first.
struct Run {
    first: String,
    /// How many digits each has at least.
    width: usize,
    last: u64,
    last_text: String,
}

/// `001-128,130`: what stands in brackets. One number alone is only itself.
fn ranges(digits: Vec<String>) -> String {
    // `1` and `01` are other names, so several runs may be open at the same number.
    let (mut open, mut done): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    let numbers: BTreeSet<Name> = digits.into_iter().map(|text| Name(text.into())).collect();
    for Name(text) in numbers {
        // At most 18 digits, so it always fits.
        let Ok(number) = text.parse::<u64>() else { continue };
        let (still, over): (Vec<Run>, Vec<Run>) = open.into_iter().partition(|run| run.last + 1 >= number);
        done.extend(over);
        open = still;
        let next = open
            .iter_mut()
            .find(|run| run.last + 1 == number && format!("{number:0width$}", width = run.width) == *text);
        match next {
            Some(run) => {
                run.last = number;
                run.last_text = text.into();
            }
            None => open.push(Run {
                first: text.to_string(),
                width: if text.len() > 1 && text.starts_with('0') {
                    text.len()
                } else {
                    0
                },
                last: number,
                last_text: text.into(),
            }),
        }
    }
    done.extend(open);
    done.sort_by(|a, b| natural_order(&a.first, &b.first));
    let texts: Vec<String> = done
        .into_iter()
        .map(|run| {
            if run.first == run.last_text {
                run.first
            } else {
                format!("{}-{}", run.first, run.last_text)
            }
        })
        .collect();
    texts.join(",")
}
