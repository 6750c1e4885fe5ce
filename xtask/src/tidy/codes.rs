//! Every code a person can meet has its page in `docs/explain/`, and every page its code.

use std::collections::BTreeSet;

use aami_model::Code;

use super::Breach;
use crate::explain::FOLDER;
use crate::house::House;

pub(super) fn check(house: &House) -> Vec<Breach> {
    let codes = Code::all().map(Code::id).collect();
    compare(house, &codes)
}

fn compare(house: &House, codes: &BTreeSet<String>) -> Vec<Breach> {
    let prefix = format!("{FOLDER}/");
    let pages: BTreeSet<String> = house
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix(&prefix)?.strip_suffix(".md"))
        .filter(|stem| *stem != "README")
        .map(str::to_owned)
        .collect();
    let missing = codes.difference(&pages).map(|id| {
        Breach::new(
            format!("{FOLDER}/{id}.md"),
            "the code has no page; run `cargo xtask explain`",
        )
    });
    let orphans = pages.difference(codes).map(|id| {
        Breach::new(
            format!("{FOLDER}/{id}.md"),
            "the page has no code: numbers are never reused, and pages are only generated",
        )
    });
    missing.chain(orphans).collect()
}

#[cfg(test)]
mod tests {
    use super::super::model_house::with_files;
    use super::*;

    fn broken(pages: &[&str], codes: &[&str]) -> Vec<String> {
        let files: Vec<(&str, &str)> = pages.iter().map(|page| (*page, "# Page\n")).collect();
        let codes = codes.iter().map(|id| (*id).to_owned()).collect();
        compare(&with_files(&files), &codes)
            .into_iter()
            .map(|breach| breach.place)
            .collect()
    }

    #[test]
    fn a_code_with_a_page_is_kept() {
        let pages = ["docs/explain/AAMI-P-0001.md", "docs/explain/README.md"];
        assert_eq!(broken(&pages, &["AAMI-P-0001"]), [""; 0]);
    }

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_breaches() {
        assert_eq!(
            broken(&["docs/explain/AAMI-P-0009.md"], &["AAMI-P-0001"]),
            ["docs/explain/AAMI-P-0001.md", "docs/explain/AAMI-P-0009.md"]
        );
    }
}
