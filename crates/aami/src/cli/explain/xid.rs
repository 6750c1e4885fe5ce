//! What a number in the kernel's log means: an Xid of a GPU, an SXid of an NVSwitch.

use aami_install::render::Colour;
use aami_model::code;
use aami_model::finding::Severity;
use aami_xid::catalogue::{Generation, Reset};
use aami_xid::{Entry, catalogue, nvlink5};
use serde::Serialize;

use super::wrapped;
use crate::cli::failure::Failure;
use crate::cli::paint::{Paint, painted};
use crate::cli::screen::Screen;
use crate::cli::table::Table;

/// Who writes the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Xid,
    Sxid,
}

impl Kind {
    /// The one a word names.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "xid" => Some(Self::Xid),
            "sxid" => Some(Self::Sxid),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Xid => "Xid",
            Self::Sxid => "SXid",
        }
    }

    pub(super) fn all(self) -> &'static [Entry] {
        match self {
            Self::Xid => catalogue::xids(),
            Self::Sxid => catalogue::sxids(),
        }
    }

    fn find(self, number: u32) -> Option<&'static Entry> {
        match self {
            Self::Xid => aami_xid::explain(number),
            Self::Sxid => aami_xid::explain_sxid(number),
        }
    }
}

/// An entry, to programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    kind: Kind,
    code: u32,
    name: &'static str,
    severity: Severity,
    category: &'static str,
    mnemonic: &'static str,
    meaning: &'static str,
    causes: Vec<&'static str>,
    actions: Vec<&'static str>,
    drain: bool,
    reset: Reset,
    replace: bool,
    resolution: &'static str,
    then: &'static str,
    /// Left out where it is not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    generations: Option<Vec<Generation>>,
    recovery_action_since: &'static str,
    /// Empty but for the Xids 144 to 150.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decoded: Vec<Decoded>,
    related: Vec<u32>,
    source: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    unit: &'static str,
    status: Vec<String>,
    is_fatal: bool,
    resolution: &'static str,
    investigate: &'static str,
}

impl Told {
    fn of(kind: Kind, entry: &'static Entry) -> Self {
        Self {
            kind,
            code: entry.code,
            name: entry.name,
            severity: entry.severity,
            category: entry.category,
            mnemonic: entry.mnemonic,
            meaning: entry.meaning,
            causes: entry.causes().collect(),
            actions: entry.actions().collect(),
            drain: entry.drain,
            reset: entry.reset,
            replace: entry.replace,
            resolution: entry.first.name(),
            then: entry.then,
            generations: entry.generations.map(|all| all.iter().collect()),
            recovery_action_since: entry.recovery_action_since,
            decoded: decoded(kind, entry.code),
            related: related(kind, entry),
            source: entry.source,
        }
    }
}

fn decoded(kind: Kind, code: u32) -> Vec<Decoded> {
    let rules = nvlink5::rules(code).filter(|_| kind == Kind::Xid);
    rules
        .map(|rule| Decoded {
            unit: rule.units,
            status: rule
                .status
                .iter()
                .map(|status| format!("{status:#010x}"))
                .collect(),
            is_fatal: rule.is_fatal,
            resolution: rule.resolution.name(),
            investigate: rule.investigate,
        })
        .collect()
}

/// Explains a number, or lists them all.
pub(super) fn explain(screen: &mut Screen, kind: Kind, number: Option<&str>) -> Result<(), Failure> {
    let Some(number) = number.filter(|number| *number != "list") else {
        return list(screen, kind);
    };
    let parsed = number
        .trim()
        .parse()
        .map_err(|_| Failure::invalid(format!("{number:?} is no number of an {}", kind.name())))?;
    let entry = kind.find(parsed).ok_or_else(|| {
        let (name, word) = (kind.name(), kind.name().to_ascii_lowercase());
        Failure::found_with(
            code::NOT_FOUND,
            format!("the catalogue has no {name} {parsed}"),
            format!(
                "Newer drivers know more codes: collect nvidia-bug-report.sh and ask the vendor. `aami explain {word}` \
                 lists what is known."
            ),
        )
    })?;
    if screen.format().is_for_programs() {
        screen.show(&Told::of(kind, entry), |_| Table::of_one())
    } else {
        let page = page(kind, entry, screen.colour());
        screen.write(&page)
    }
}

fn list(screen: &mut Screen, kind: Kind) -> Result<(), Failure> {
    let all: Vec<Told> = kind.all().iter().map(|entry| Told::of(kind, entry)).collect();
    screen.show(&all, |_| {
        let mut table = Table::new(&["CODE", "SEVERITY", "NAME"], "no codes");
        for entry in &all {
            table.row([
                entry.code.to_string(),
                severity(entry.severity).to_owned(),
                entry.name.to_owned(),
            ]);
            table.paint(1, Paint::of(entry.severity));
        }
        table
    })
}

pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// The vendor's page about all of them.
const REFERENCE: &str = "https://docs.nvidia.com/deploy/xid-errors/";

/// The page of an entry.
fn page(kind: Kind, entry: &'static Entry, colour: Colour) -> String {
    let severity = match entry.severity {
        Severity::Info => "Info",
        Severity::Warning => "Warning",
        Severity::Critical => "Critical",
    };
    let severity = painted(severity, Paint::of(entry.severity), colour);
    let mut page = format!(
        "{} {}: {}\n\nSeverity: {severity}\n\nMeaning:\n{}\nCommon Causes:\n",
        kind.name(),
        entry.code,
        entry.name,
        hanging("", entry.meaning)
    );
    for (nth, cause) in entry.causes().enumerate() {
        page.push_str(&hanging(&format!("{}. ", nth + 1), cause));
    }
    page.push_str("\nRecommended Actions:\n");
    for (nth, action) in entry.actions().enumerate() {
        page.push_str(&hanging(&format!("{}. ", nth + 1), action));
    }
    page.push_str("\nFacts:\n");
    for line in facts(kind, entry).to_string().lines() {
        page.push_str(&format!("  {line}\n"));
    }
    let rules = decoded(kind, entry.code);
    if !rules.is_empty() {
        page.push_str("\nWhat the words of the line make of it:\n\n");
        page.push_str(&events(&rules).to_string());
    }
    page.push_str(&format!("\nReference:\n  {REFERENCE}\n  {}\n", entry.source));
    page
}

/// The other Xids that an entry names, ascending.
fn related(kind: Kind, entry: &Entry) -> Vec<u32> {
    let texts = std::iter::once(entry.meaning)
        .chain(entry.causes())
        .chain(entry.actions());
    let mut found = std::collections::BTreeSet::new();
    for text in texts {
        let mut named = false;
        for word in text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            // `Xid 63, 64 or 95`: numbers count for as long as nothing but these words stands between them.
            named = match word.parse() {
                Ok(number) if named && kind.find(number).is_some() => {
                    found.insert(number);
                    true
                }
                _ => {
                    matches!(word, "Xid" | "Xids" | "SXid" | "SXids")
                        || (named && matches!(word, "or" | "and" | "to"))
                }
            };
        }
    }
    found.remove(&entry.code);
    found.into_iter().collect()
}

fn facts(kind: Kind, entry: &Entry) -> Table {
    let mut table = Table::of_one();
    table.line("Part", entry.category);
    table.line("Drain the node", if entry.drain { "yes" } else { "no" });
    table.line("Reset", entry.reset.words());
    table.line("Replacement", if entry.replace { "may be needed" } else { "no" });
    let first = format!("{}: {}", entry.first.name(), entry.first.sentence());
    table.line("Vendor's resolution", first);
    table.line("If that does not help", entry.then);
    if let Some(generations) = entry.generations {
        let names: Vec<&str> = generations.iter().map(Generation::name).collect();
        let none = "none of A100, H100, B100, GB200".to_owned();
        table.line(
            "Occurs on",
            if names.is_empty() { none } else { names.join(", ") },
        );
    }
    table.line("Xid 154 follows since", entry.recovery_action_since);
    table.line("Driver's name", entry.mnemonic);
    let related: Vec<String> = related(kind, entry).iter().map(u32::to_string).collect();
    table.line("Related codes", related.join(", "));
    table
}

fn events(rules: &[Decoded]) -> Table {
    let mut table = Table::new(&["UNIT", "STATUS", "FATAL", "RESOLUTION", "AFTERWARDS"], "");
    for rule in rules {
        let status = if rule.status.is_empty() {
            "any".to_owned()
        } else {
            rule.status.join(", ")
        };
        table.row([
            rule.unit.to_owned(),
            status,
            if rule.is_fatal { "yes" } else { "no" }.to_owned(),
            rule.resolution.to_owned(),
            rule.investigate.to_owned(),
        ]);
    }
    table
}

/// A paragraph whose first line begins with a mark, and the others below its text.
fn hanging(mark: &str, text: &str) -> String {
    let below = " ".repeat(2 + mark.len());
    let lines = wrapped(text, 100 - below.len()).replace('\n', &format!("\n{below}"));
    format!("  {mark}{lines}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_lost_gpu() {
        insta::assert_snapshot!(page(Kind::Xid, aami_xid::explain(79).unwrap(), Colour::Never));
    }

    #[test]
    fn the_page_of_a_code_that_has_to_be_decoded() {
        insta::assert_snapshot!(page(Kind::Xid, aami_xid::explain(150).unwrap(), Colour::Never));
    }

    #[test]
    fn every_paragraph_keeps_to_a_hundred_columns() {
        for kind in [Kind::Xid, Kind::Sxid] {
            for entry in kind.all() {
                let page = page(kind, entry, Colour::Never);
                let (prose, _) = page.split_once("\nFacts:").unwrap();
                let long = prose.lines().find(|line| line.chars().count() > 100);
                assert_eq!(long, None, "{} {}", kind.name(), entry.code);
            }
        }
    }
}
