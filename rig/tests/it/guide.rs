//! What the guide points at: each test it names is there, and each page. Its commands are read by the programs themselves,
//! in their own tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rig::guide::pages;

use crate::site::root;

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
    for (page, text) in pages(root())? {
        if matches!(page.as_str(), "README.md" | "CONTRIBUTING.md") {
            continue;
        }
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
