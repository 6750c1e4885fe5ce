//! The guide's commands, as its readers type them: each is one that the programs understand, and each test it names
//! is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::site::{built, root};

/// What the guide says besides prose: a command line, and the page it is on.
struct Typed {
    page: String,
    line: String,
}

fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root().join("docs/guide"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        pages.push((name, fs::read_to_string(&path)?));
    }
    pages.sort();
    Ok(pages)
}

/// The lines of code blocks, a continued line as one.
fn typed() -> Result<Vec<Typed>> {
    let mut all = Vec::new();
    for (page, text) in pages()? {
        let joined = text.replace("\\\n", " ");
        let lines = joined.lines().filter_map(|line| line.strip_prefix("    "));
        all.extend(lines.map(|line| Typed {
            page: page.clone(),
            line: line.trim().to_owned(),
        }));
    }
    Ok(all)
}

/// The words of a command line up to what is no longer it, as a shell splits them.
fn words(line: &str) -> Result<Vec<String>> {
    let script = "for word in \"$@\"; do printf '%s\\n' \"$word\"; done";
    let output = Command::new("sh")
        .args(["-c", &format!("set -- {line}\n{script}")])
        .output()
        .context("cannot start sh")?;
    ensure!(output.status.success(), "a shell does not read {line:?}");
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Our programs' own lines in a command line: `aami ...`, `aami-agent ...`, and what is handed to one of the scripts.
fn ours(line: &str) -> Vec<(&'static str, String)> {
    let line = line.split(" # ").next().unwrap_or(line);
    let mut found = Vec::new();
    for part in line.split(['|', ';']).flat_map(|part| part.split("&&")) {
        let part = part.trim();
        let part = part.strip_prefix("sudo ").unwrap_or(part);
        for (word, program) in [("aami ", "aami"), ("aami-agent ", "aami-agent")] {
            if let Some(rest) = part.strip_prefix(word) {
                found.push((program, rest.to_owned()));
            }
        }
        if let Some((_, rest)) = part.split_once(" -s -- ") {
            let verb = [
                ("install.sh", "aami", "server install"),
                ("bootstrap.sh", "aami-agent", "bootstrap"),
                ("preflight-check.sh", "aami-agent", "preflight"),
                ("uninstall.sh", "aami-agent", "uninstall"),
            ];
            let script = verb.iter().find(|(script, ..)| line.contains(script));
            let script = script.or_else(|| line.starts_with('…').then_some(&verb[1]));
            if let Some((_, program, verb)) = script {
                found.push((
                    program,
                    format!("{verb} {}", rest.trim_end_matches(['\'', '"', ']'])),
                ));
            }
        }
    }
    found
}

#[test]
fn every_command_of_the_guide_is_one_that_the_programs_understand() -> Result<()> {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for Typed { page, line } in typed()? {
        for (program, rest) in ours(&line) {
            let mut words = words(&rest).with_context(|| format!("{page}: {line}"))?;
            // `--help` ends the reading: whatever stands before it has been understood by then.
            words.push("--help".to_owned());
            let output = Command::new(built(program)?).args(&words).output()?;
            tried += 1;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                wrong.push(format!(
                    "{page}: {line}\n  {}",
                    said.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "not understood:\n{}", wrong.join("\n"));
    ensure!(tried > 40, "only {tried} commands were found");
    Ok(())
}

#[test]
fn every_test_that_the_guide_names_is_there() -> Result<()> {
    let mut tests = String::new();
    read_tests(root(), &mut tests)?;
    let page = fs::read_to_string(root().join("docs/guide/SUCCESS-CRITERIA.md"))?;
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
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
    let folder = root().join("docs/guide");
    for (page, text) in pages()? {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path: PathBuf = folder.join(link.split('#').next().unwrap_or(link));
            ensure!(link.contains("://") || path.exists(), "{page} links to {link}");
        }
    }
    Ok(())
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
