//! What the guide points at: each test, page, file and code it names is there. Its commands are read by the programs
//! themselves, in their own tests, and typed in [`followed`](crate::followed).

use std::fs;
use std::path::Path;

use aami_model::Code;
use anyhow::{Context as _, Result, ensure};
use rig::guide::{pages, spans};

use crate::site::root;

/// Words in capitals that are no codes, and how those begin that are many.
const OTHERS: [&str; 16] = [
    "SOURCE_DATE_EPOCH",
    "SSH_AUTH_SOCK",
    // Variables of our programs.
    "AAMI_",
    "DEFAULT_DAEMON_VERSION",
    "DOCS_BASE_URL",
    "NOTI_SERVICE_URL",
    "RELEASE_BASE_URL",
    // What Linux calls rights, and NVIDIA its metrics.
    "CAP_",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "DCGM_",
];
/// Files of an example that is not there.
const IMAGINED: [&str; 2] = [
    "crates/aami-api/src/finding.rs",
    "crates/aami-server/src/app/findings.rs",
];
/// What a path below the repository's root begins with.
const FOLDERS: [&str; 5] = ["docs/", "scripts/", "crates/", "openapi/", "rig/"];

#[test]
fn every_test_that_the_guide_names_is_there() -> Result<()> {
    let mut tests = String::new();
    read_tests(root(), &mut tests)?;
    let page = fs::read_to_string(root().join("docs/guide/SUCCESS-CRITERIA.md"))?;
    let named: Vec<String> = spans(&page)
        .into_iter()
        .filter(|word| word.matches('_').count() > 3 && !word.contains([' ', '.', '/', '{', '=']))
        .collect();
    ensure!(named.len() > 20, "only {} tests are named", named.len());
    for name in named {
        ensure!(tests.contains(&format!("fn {name}(")), "no test is called {name}");
    }
    Ok(())
}

#[test]
fn every_page_that_the_guide_links_to_is_there() -> Result<()> {
    for (page, text) in pages(root())? {
        let folder = root().join(&page).with_file_name("");
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = match path {
                "" => root().join(&page),
                path => folder.join(path),
            };
            ensure!(path.exists(), "{page} links to {link}");
            let led_to = || fs::read_to_string(&path).with_context(|| path.display().to_string());
            ensure!(
                heading.is_empty() || headings(&led_to()?).iter().any(|known| known == heading),
                "{page} links to {link}, and there is no such heading"
            );
        }
        for path in spans(&text) {
            ensure!(
                !FOLDERS.iter().any(|folder| path.starts_with(folder))
                    || IMAGINED.contains(&path.as_str())
                    || root().join(&path).exists(),
                "{page} names {path}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_code_that_the_guide_names_is_one_of_the_registry() -> Result<()> {
    let mut found = 0;
    for (page, text) in pages(root())? {
        for word in spans(&text).iter().filter(|word| is_in_capitals(word)) {
            found += 1;
            let is_others =
                |known: &&str| *word == **known || known.ends_with('_') && word.starts_with(*known);
            ensure!(
                OTHERS.iter().any(is_others) || Code::find(word).is_some(),
                "{page}: {word} is no code, and none of the words that are known to be others"
            );
        }
        // `[SYMBOL](../explain/ID.md)`: the page is that code's own.
        for (before, link) in text.split("](").zip(text.split("](").skip(1)) {
            let symbol = before.rsplit('[').next().unwrap_or_default();
            let id = link
                .split(".md)")
                .next()
                .and_then(|path| path.split_once("explain/"));
            if let (Some(code), Some((_, id))) = (Code::find(symbol), id) {
                ensure!(code.id() == id, "{page}: {symbol} is {}, not {id}", code.id());
            }
        }
        // `| `CODE` | 5 |`: a code, and how a command ends with it.
        let tables = text
            .split("\n| code |")
            .skip(1)
            .filter_map(|rest| rest.split("\n\n").next());
        for row in tables.flat_map(|table| table.lines().filter(|line| line.starts_with("| `"))) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let exits: Vec<u8> = cells[2]
                .split(", ")
                .filter_map(|exit| exit.parse().ok())
                .collect();
            for name in spans(cells[1]) {
                let code = Code::find(&name).with_context(|| format!("{page}: {name} is no code"))?;
                ensure!(
                    exits.is_empty() || exits.contains(&code.exit.number()),
                    "{page}: {code} ends with {}",
                    code.exit.number()
                );
            }
        }
    }
    ensure!(found > 100, "only {found} words in capitals were found");
    Ok(())
}

/// Where a page links to.
fn links(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    links.filter_map(|rest| rest.split(')').next()).collect()
}

/// The headings of a page, as links name them.
fn headings(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Whether a word looks like a code: `PORT_IN_USE`, `AAMI-P-0012`.
fn is_in_capitals(word: &str) -> bool {
    let of_these = |more: char| {
        word.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == more)
    };
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && (word.contains('_') && of_these('_') || word.starts_with("AAMI-") && of_these('-'))
}

/// Every Rust file of ours, one after the other.
fn read_tests(folder: &Path, into: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            read_tests(&path, into)?;
        } else if name.ends_with(".rs") {
            into.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
