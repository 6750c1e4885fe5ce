//! Plain lines: `name address [user] [label=value ...]`.
//!
//! A line of `/etc/hosts`, with the address first, is taken as well.

use std::net::IpAddr;

use super::draft::{Column, Draft};
use crate::problem::{Gathered, Problem};
use crate::text::shown;

pub(super) fn read(text: &str, problems: &mut Gathered) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match one(line, at + 1) {
            Ok(draft) => drafts.extend(draft),
            Err(sentence) => problems.add(Problem {
                line: at + 1,
                field: String::new(),
                sentence,
                hint: Some("A line is `name address [user] [label=value ...]`.".to_owned()),
            }),
        }
    }
    drafts
}

fn one(line: &str, number: usize) -> Result<Option<Draft>, String> {
    let mut draft = Draft::at(number);
    let mut place = 0;
    for word in line.split_whitespace() {
        if word.starts_with('#') {
            break;
        }
        match word.split_once('=') {
            Some((name, value)) => draft.labels.push((name.to_owned(), value.to_owned())),
            None => {
                let column = match place {
                    0 => Column::Name,
                    1 => Column::Ip,
                    2 => Column::User,
                    _ => return Err(format!("`{}` is one word too many", shown(word, 60))),
                };
                draft.set(column, word)?;
                place += 1;
            }
        }
    }
    if place == 0 {
        return if draft.labels.is_empty() {
            Ok(None)
        } else {
            Err("there are labels, but no name".to_owned())
        };
    }
    if draft.name.parse::<IpAddr>().is_ok() {
        if draft.ip.is_empty() || draft.ip.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "`{}` is an address, and no name stands with it",
                draft.name
            ));
        }
        std::mem::swap(&mut draft.name, &mut draft.ip);
    }
    Ok(Some(draft))
}
