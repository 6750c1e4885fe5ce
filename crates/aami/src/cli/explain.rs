//! `aami explain`: what a code of AAMI means, or a number that the NVIDIA driver wrote into the kernel's log. Needs no
//! control plane.

mod log;
mod search;
mod xid;

use std::path::PathBuf;

use aami_model::{Code, Exit, code};
use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::screen::Format;
use super::surroundings::Surroundings;
use super::table::Table;

/// Explain a code, an Xid or an SXid, list or search them all, or explain a kernel log
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami explain xid 79
  aami explain sxid 12028 -o json
  aami explain AAMI-P-0012
  aami explain port_in_use
  aami explain list
  aami explain search nvlink fatal
  dmesg | aami explain --log -
  journalctl -k --since yesterday | aami explain --log -

A log ends with exit code 3 when something critical stands in it.")]
pub(crate) struct Explain {
    /// An id, a symbol, or `list`; `xid` or `sxid` before a number; `search` before words
    #[arg(default_value = "list", conflicts_with = "log")]
    code: String,
    /// The number of an Xid or SXid, without one they are listed; or the words to search for
    words: Vec<String>,
    /// Explain every Xid and SXid in a log as dmesg, journalctl -k or syslog write it; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    code: &'static str,
    sentence: &'static str,
    hint: &'static str,
    explanation: &'static str,
    exit: u8,
    http: u16,
}

impl From<&Code> for Entry {
    fn from(code: &Code) -> Self {
        Self {
            id: code.id(),
            code: code.symbol,
            sentence: code.sentence,
            hint: code.hint,
            explanation: code.explain,
            exit: code.exit.number(),
            http: code.http,
        }
    }
}

impl Explain {
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut screen = self.output.screen(surroundings);
        if let Some(file) = &self.log {
            return log::explain(&mut screen, file);
        }
        if self.code == "search" {
            search::search(&mut screen, &self.words)?;
            return Ok(Exit::Ok);
        }
        let mut words = self.words.into_iter();
        let (number, more) = (words.next(), words.next());
        let kind = xid::Kind::of(self.code.trim());
        if let Some(meaningless) = if kind.is_some() { &more } else { &number } {
            return Err(Failure::invalid(format!(
                "{meaningless:?} after {:?} means nothing: only `xid` and `sxid` take a number, and `search` takes words",
                self.code
            )));
        }
        if let Some(kind) = kind {
            xid::explain(&mut screen, kind, number.as_deref())?;
            return Ok(Exit::Ok);
        }
        if self.code == "list" {
            let entries: Vec<Entry> = Code::all().map(Entry::from).collect();
            screen.show(&entries, |_| {
                let mut table = Table::new(&["ID", "CODE", "WHAT IT SAYS"], "no codes");
                for entry in &entries {
                    table.row([entry.id.clone(), entry.code.to_owned(), entry.sentence.to_owned()]);
                }
                table
            })?;
            return Ok(Exit::Ok);
        }
        let code = Code::find(self.code.trim()).ok_or_else(|| {
            let known: Vec<String> = Code::all()
                .flat_map(|code| [code.id().to_ascii_lowercase(), code.symbol.to_ascii_lowercase()])
                .chain(["xid", "sxid", "list", "search"].map(str::to_owned))
                .collect();
            Failure::unknown(
                code::NOT_FOUND,
                format!("there is no code {:?}", self.code),
                self.code.trim(),
                known.iter().map(String::as_str),
                "`aami explain list` lists them all.",
            )
        })?;
        if screen.format().is_for_programs() {
            screen.show(&Entry::from(code), |_| Table::of_one())?;
        } else {
            screen.write(&page(code))?;
        }
        Ok(Exit::Ok)
    }
}

/// The page of a code.
pub(crate) fn page(code: &Code) -> String {
    format!(
        "{} {}\n\n{}\n\n{}\n\nWhat to do: {}\n\nCommands end with exit code {}; HTTP answers carry {}.\n",
        code.id(),
        code.symbol,
        code.sentence,
        wrapped(code.explain, 100),
        code.hint,
        code.exit.number(),
        code.http
    )
}

/// Breaks lines between words, after at most `width` columns.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_as_people_see_it() {
        insta::assert_snapshot!(page(&code::PORT_IN_USE));
    }

    #[test]
    fn every_page_keeps_to_a_hundred_columns() {
        for code in Code::all() {
            let long = wrapped(code.explain, 100)
                .lines()
                .find(|line| line.chars().count() > 100)
                .map(str::to_owned);
            assert_eq!(long, None, "{}", code.symbol);
        }
    }
}
