//! Finds codes, Xids and SXids by words.

use aami_model::finding::Severity;
use aami_model::{Code, code};
use serde::Serialize;

use super::xid::{self, Kind};
use crate::cli::failure::Failure;
use crate::cli::paint::Paint;
use crate::cli::screen::Screen;
use crate::cli::table::Table;

/// One hit.
#[derive(Debug, Serialize)]
struct Hit {
    kind: &'static str,
    code: String,
    severity: &'static str,
    #[serde(skip)]
    grave: Option<Severity>,
    name: &'static str,
}

/// Shows everything in which all the words stand, in any case and order.
pub(super) fn search(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let words: Vec<String> = words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .map(str::to_lowercase)
        .collect();
    if words.is_empty() {
        return Err(Failure::invalid("`search` needs words to search for".to_owned()));
    }
    let hits = hits(&words);
    if hits.is_empty() {
        return Err(Failure::found_with(
            code::NOT_FOUND,
            format!(
                "nothing is known in which all of this stands: {}",
                words.join(" ")
            ),
            "Search for fewer words; `aami explain list`, `aami explain xid` and `aami explain sxid` list everything.",
        ));
    }
    screen.show(&hits, |_| {
        let mut table = Table::new(&["KIND", "CODE", "SEVERITY", "NAME"], "nothing");
        for hit in &hits {
            table.row([
                hit.kind.to_owned(),
                hit.code.clone(),
                hit.severity.to_owned(),
                hit.name.to_owned(),
            ]);
            table.paint(2, hit.grave.and_then(Paint::of));
        }
        table
    })
}

fn hits(words: &[String]) -> Vec<Hit> {
    let all_stand_in = |texts: &[&str]| {
        let text = texts.join("\n").to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    let mut hits = Vec::new();
    for kind in [Kind::Xid, Kind::Sxid] {
        for entry in kind.all() {
            let number = entry.code.to_string();
            let mut texts = vec![
                number.as_str(),
                kind.name(),
                entry.name,
                entry.mnemonic,
                entry.category,
                xid::severity(entry.severity),
                entry.meaning,
                entry.first.name(),
            ];
            // Shortened to the life of the number beside them.
            texts.extend(entry.causes().map(|text| -> &str { text }));
            texts.extend(entry.actions().map(|text| -> &str { text }));
            if all_stand_in(&texts) {
                hits.push(Hit {
                    kind: kind.name(),
                    code: number,
                    severity: xid::severity(entry.severity),
                    grave: Some(entry.severity),
                    name: entry.name,
                });
            }
        }
    }
    for code in Code::all() {
        let id = code.id();
        if all_stand_in(&[&id, code.symbol, code.sentence, code.hint, code.explain]) {
            hits.push(Hit {
                kind: "AAMI",
                code: id,
                severity: "",
                grave: None,
                name: code.sentence,
            });
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        hits(&words)
            .into_iter()
            .map(|hit| format!("{} {}", hit.kind, hit.code))
            .collect()
    }

    #[test]
    fn all_words_have_to_stand_somewhere_in_an_entry() {
        let bus = found(&["fallen", "bus"]);
        assert!(bus.contains(&"Xid 79".to_owned()), "{bus:?}");
        assert!(!bus.contains(&"Xid 48".to_owned()), "{bus:?}");
        assert!(
            found(&["port_in_use"])
                .iter()
                .any(|hit| hit.starts_with("AAMI AAMI-"))
        );
        assert!(found(&["fallen", "surely-in-no-entry"]).is_empty());
    }
}
