//! The threat model names the tests that show its claims: each name is a test's.

use super::Breach;
use crate::house::House;

const MODEL: &str = "docs/threat-model.md";

/// A name of so many words at least is a test's; routes, settings and events have fewer.
const LEAST_UNDERSCORES: usize = 3;

pub(super) fn check(house: &House) -> Vec<Breach> {
    let Some(model) = house.file(MODEL) else {
        return Vec::new();
    };
    let mut breaches = Vec::new();
    for (at, line) in model.text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter(|text| is_test(text)) {
            let declared = format!("fn {name}(");
            let shown = house
                .files
                .iter()
                .any(|file| file.is_rust() && file.text.contains(&declared));
            if !shown {
                breaches.push(Breach::new(
                    format!("{MODEL}:{}", at + 1),
                    format!("no test is called {name}: name the one that shows the claim"),
                ));
            }
        }
    }
    breaches
}

fn is_test(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.chars().all(plain) && text.matches('_').count() >= LEAST_UNDERSCORES
}

#[cfg(test)]
mod tests {
    use super::super::model_house::with_files;
    use super::*;

    #[test]
    fn a_claim_whose_test_is_gone_is_found_at_its_line() {
        let claims =
            "# Threats\n(`a_thief_gets_nothing`, `a_guess_is_slowed_down`) by `open_rate` of `/dist`\n";
        let test = "#[test]\nfn a_thief_gets_nothing() {}\n";
        let house = with_files(&[(MODEL, claims), ("crates/aami/src/up.rs", test)]);
        let found = check(&house);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, format!("{MODEL}:2"));
        assert!(found[0].what.contains("a_guess_is_slowed_down"));
    }
}
