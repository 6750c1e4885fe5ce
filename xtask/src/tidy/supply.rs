//! What others wrote: licences that allow shipping one binary, one source, one TLS provider.
//!
//! A cheap part of what `cargo deny` checks with `deny.toml`; the lists there and here say the same.

use super::Breach;
use crate::house::{Foreign, House};

/// Licences that ask for no more than a notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    // Asks that changes to its own files stay open; we change none.
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Second providers of what one already does. TLS is rustls over ring, everywhere.
const BANNED: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
    "rustls-openssl",
    "serde_yaml",
    "chrono",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(house: &House) -> Vec<Breach> {
    house.foreign.iter().filter_map(wrong).collect()
}

fn wrong(package: &Foreign) -> Option<Breach> {
    let place = format!("{} {}", package.name, package.version);
    if BANNED.contains(&package.name.as_str()) {
        return Some(Breach::new(
            place,
            "is banned: another crate of the house already does this",
        ));
    }
    if package.source != REGISTRY {
        return Some(Breach::new(
            place,
            format!("comes from {:?}, not from the registry", package.source),
        ));
    }
    match &package.license {
        Some(license) if allowed(license) => None,
        Some(license) => Some(Breach::new(
            place,
            format!("its licence {license:?} is not on the list"),
        )),
        None => Some(Breach::new(place, "names no licence")),
    }
}

/// Whether an SPDX expression can be met with allowed licences alone. `/` is an old way to write OR; AND
/// binds tighter than OR; parentheses group.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at);
    met && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut met = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut met = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at);
    }
    met
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return ALLOWED.contains(&format!("{word} WITH {exception}").as_str()) || ALLOWED.contains(word);
    }
    ALLOWED.contains(word)
        || word
            .strip_suffix('+')
            .is_some_and(|this_or_later| ALLOWED.contains(&this_or_later))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str, license: Option<&str>, source: &str) -> Option<String> {
        let package = Foreign {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.to_owned(),
        };
        wrong(&package).map(|breach| breach.what)
    }

    #[test]
    fn a_usual_crate_is_kept() {
        assert_eq!(broken("serde", Some("MIT OR Apache-2.0"), REGISTRY), None);
    }

    #[test]
    fn a_second_tls_provider_is_a_breach() {
        assert!(broken("aws-lc-rs", Some("ISC"), REGISTRY).is_some());
    }

    #[test]
    fn a_git_dependency_is_a_breach() {
        assert!(broken("serde", Some("MIT"), "git+https://example.org/serde").is_some());
    }

    #[test]
    fn licences_are_read_as_expressions() {
        assert!(allowed("MIT/Apache-2.0"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(allowed("GPL-2.0 OR MIT"));
        assert!(allowed("MPL-2.0+"));
        assert!(!allowed("GPL-2.0+"));
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(!allowed("GPL-3.0"));
        assert!(!allowed("(MIT"));
        assert!(!allowed(""));
        assert!(broken("odd", None, REGISTRY).is_some());
    }
}
