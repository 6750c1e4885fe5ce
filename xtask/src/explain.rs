//! `docs/explain/`: one page per code and an index, generated from the registry of codes.
//!
//! The registry is the only place to edit. [`write`] brings the folder into line, removing pages whose code
//! is gone; [`check`] only says where it differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use aami_model::{Area, Code, Exit};
use anyhow::{Context, Result};

/// Where the pages are, relative to the root.
pub(crate) const FOLDER: &str = "docs/explain";

/// Writes every page that differs and removes those without a code.
pub(crate) fn write(root: &Path) -> Result<bool> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let wanted = pages();
    let found = on_disk(&folder)?;
    let mut changed = 0;
    for (name, text) in &wanted {
        if found.get(name) != Some(text) {
            std::fs::write(folder.join(name), text)
                .with_context(|| format!("cannot write {FOLDER}/{name}"))?;
            changed += 1;
        }
    }
    for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
        std::fs::remove_file(folder.join(name)).with_context(|| format!("cannot remove {FOLDER}/{name}"))?;
        changed += 1;
    }
    println!("explain: {} pages, {changed} changed", wanted.len());
    Ok(true)
}

/// Says which pages differ from what the registry gives. True when none does.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let differing = differences(&pages(), &on_disk(&root.join(FOLDER))?);
    for name in &differing {
        println!("{FOLDER}/{name}: differs from the registry of codes; run `cargo xtask explain`");
    }
    Ok(differing.is_empty())
}

fn differences(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let changed = wanted
        .iter()
        .filter(|(name, text)| found.get(*name) != Some(*text))
        .map(|(name, _)| name);
    let gone = found.keys().filter(|name| !wanted.contains_key(*name));
    changed.chain(gone).cloned().collect()
}

fn on_disk(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry?.path();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.insert(
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            text,
        );
    }
    Ok(found)
}

fn pages() -> BTreeMap<String, String> {
    let mut pages: BTreeMap<String, String> = Code::all()
        .map(|code| (format!("{}.md", code.id()), page(code)))
        .collect();
    pages.insert("README.md".to_owned(), index());
    pages
}

fn page(code: &Code) -> String {
    format!(
        "# {id}: {symbol}\n\n\
         {sentence}\n\n\
         **What to do.** {hint}\n\n\
         {explain}\n\n\
         | where | what it looks like |\n\
         |---|---|\n\
         | command line | exit code {number} ({meaning}) |\n\
         | HTTP | {http}, `\"code\": \"{symbol}\"`, `\"id\": \"{id}\"` |\n",
        id = code.id(),
        symbol = code.symbol,
        sentence = code.sentence,
        hint = code.hint,
        explain = wrapped(code.explain, 100),
        number = code.exit.number(),
        meaning = meaning(code.exit),
        http = code.http,
    )
}

fn index() -> String {
    let mut text = String::from(
        "# What AAMI can tell you went wrong\n\n\
         Every error names its code twice: a word for programs and a number for people. `aami explain NUMBER`\n\
         prints the same pages. They are generated from the program's own registry; edit them there.\n",
    );
    for area in Area::ALL {
        let mut codes = Code::all().filter(|code| code.area == area).peekable();
        if codes.peek().is_none() {
            continue;
        }
        let _ = write!(
            text,
            "\n## {}\n\n| number | code | what |\n|---|---|---|\n",
            title(area)
        );
        for code in codes {
            let id = code.id();
            let _ = writeln!(
                text,
                "| [{id}]({id}.md) | `{}` | {} |",
                code.symbol, code.sentence
            );
        }
    }
    text
}

fn title(area: Area) -> &'static str {
    match area {
        Area::Access => "Access: keys, roles, certificates",
        Area::Alerts => "Alert rules: presets and an operator's own",
        Area::Agent => "The node's own program",
        Area::Api => "Requests to the control plane",
        Area::Connection => "The connection between a node and the control plane",
        Area::Discovery => "Discovery by Prometheus",
        Area::Enrolment => "Bootstrap tokens and registration",
        Area::Fleet => "A declared fleet and its configuration",
        Area::Install => "Changing a host and undoing it",
        Area::Notify => "Telling others of events, and being told",
        Area::Preflight => "Before anything is changed",
        Area::Release => "Releases, offline bundles, and their signatures",
        Area::Ssh => "Reaching hosts over SSH",
        Area::Stack => "Installing the server",
        Area::Store => "The control plane's store",
        Area::Tools => "What a host's own tools refuse",
    }
}

fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "done",
        Exit::Failed => "failed",
        Exit::Usage => "the command line was wrong",
        Exit::NotHealthy => "checked, and not healthy",
        Exit::NotAuthorised => "not authorised",
        Exit::NotFound => "not found",
        Exit::Conflict => "conflict, or locked by somebody else",
        Exit::Partial => "some of many failed",
        Exit::Pending => "still pending, or timed out",
        Exit::Interrupted => "interrupted, can be resumed",
        Exit::Integrity => "a checksum, signature or certificate did not match",
        Exit::DaemonUsage => "a daemon was started wrongly",
        Exit::DaemonConfig => "a daemon's configuration is wrong",
    }
}

/// Breaks each paragraph into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_says_what_to_do_and_stands_in_the_index() {
        let pages = pages();
        let index = &pages["README.md"];
        for code in Code::all() {
            let page = &pages[&format!("{}.md", code.id())];
            assert!(
                page.contains(code.symbol) && page.contains(code.hint),
                "{}",
                code.symbol
            );
            assert!(
                index.contains(&format!("({}.md)", code.id())),
                "{} is not in the index",
                code.symbol
            );
        }
    }

    #[test]
    fn a_changed_a_missing_and_an_orphaned_page_differ() {
        let wanted = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())]);
        assert!(differences(&wanted, &wanted).is_empty());

        let found = BTreeMap::from([("a".to_owned(), "2".to_owned()), ("c".to_owned(), "1".to_owned())]);
        assert_eq!(differences(&wanted, &found), ["a", "b", "c"]);
    }

    #[test]
    fn text_is_wrapped_at_words() {
        assert_eq!(wrapped("one two three\nfour", 8), "one two\nthree\nfour");
    }
}
