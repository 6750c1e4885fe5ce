//! Versions of releases, and which of two is the newer: semantic versioning 2.0.0, <https://semver.org>.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The longest version, in bytes: it stands in paths.
const LONGEST: usize = 40;
/// What stands before the version in the file of a program of ours.
const BEFORE: &[u8] = b"aami-version:";

/// The version of the program that runs, as it stands in its file: `strings` shows it, and a file can be asked which
/// release it is of without running it.
static STAMP: [u8; 64] = stamp(env!("CARGO_PKG_VERSION").as_bytes());

const fn stamp(version: &[u8]) -> [u8; 64] {
    let mut stamp = [0; 64];
    let mut at = 0;
    while at < BEFORE.len() {
        stamp[at] = BEFORE[at];
        at += 1;
    }
    while at < BEFORE.len() + version.len() {
        stamp[at] = version[at - BEFORE.len()];
        at += 1;
    }
    stamp
}

/// The version of the program that runs.
pub fn own() -> &'static str {
    // Read where it stands, and not folded into the code.
    let stamp: &'static [u8; 64] = std::hint::black_box(&STAMP);
    let text = &stamp[BEFORE.len()..];
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).unwrap_or(env!("CARGO_PKG_VERSION"))
}

/// The version of a release: `1.4.0`, `2.0.0-rc.1`. What stands behind a `+` names a build; two versions that differ
/// in it alone are neither newer than the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    numbers: [u64; 3],
    pre: Vec<String>,
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a version is three numbers such as 1.4.0, perhaps with -rc.1 behind them, at most 40 characters")]
pub struct NotAVersion;

impl Version {
    /// As it is written; safe in paths, and in arguments.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which of two is the newer. Builds of one version count as the same.
    pub fn age(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                // What comes before a version is older than it.
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => parts(&self.pre, &other.pre),
            })
    }

    /// Whether this one came before another.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.age(other) == Ordering::Less
    }
}

/// Numbers before words, and by their value; the shorter list first where all else is the same.
fn parts(a: &[String], b: &[String]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if text.len() > LONGEST {
            return Err(NotAVersion);
        }
        let (rest, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
        let (core, pre) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
        let words = |list: Option<&str>| -> Result<Vec<String>, NotAVersion> {
            let Some(list) = list else { return Ok(Vec::new()) };
            let fits =
                |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let words: Vec<String> = list.split('.').map(str::to_owned).collect();
            if words.iter().all(|word| fits(word)) {
                Ok(words)
            } else {
                Err(NotAVersion)
            }
        };
        let number = |text: &str| {
            let fits =
                text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
            text.parse().ok().filter(|_| fits).ok_or(NotAVersion)
        };
        let mut parts = core.split('.');
        let mut next = || parts.next().ok_or(NotAVersion).and_then(number);
        let numbers = [next()?, next()?, next()?];
        if parts.next().is_some() {
            return Err(NotAVersion);
        }
        let pre = words(pre)?;
        words(build)?;
        Ok(Self {
            text: text.to_owned(),
            numbers,
            pre,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `wanted` came before `present`. What is no version of ours is not known to be older, nor to be newer.
pub fn is_downgrade(present: &str, wanted: &str) -> bool {
    match (present.parse::<Version>(), wanted.parse::<Version>()) {
        (Ok(present), Ok(wanted)) => wanted.is_older_than(&present),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_knows_its_own_version() {
        assert_eq!(own(), env!("CARGO_PKG_VERSION"));
        assert!(own().parse::<Version>().is_ok());
    }

    #[test]
    fn the_order_is_that_of_semantic_versioning() {
        let all = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        let read = |text: &str| text.parse::<Version>().unwrap();
        for (at, older) in all.iter().enumerate() {
            assert!(!read(older).is_older_than(&read(older)));
            for newer in &all[at + 1..] {
                assert!(read(older).is_older_than(&read(newer)), "{older} {newer}");
                assert!(!read(newer).is_older_than(&read(older)), "{newer} {older}");
            }
        }
        assert_eq!(read("1.0.0+a").age(&read("1.0.0+b")), Ordering::Equal);
        assert!(is_downgrade("1.2.0", "1.1.9") && !is_downgrade("1.1.9", "1.2.0"));
        assert!(!is_downgrade("dev", "1.0.0"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.x",
            "01.2.3",
            "1.2.3/../..",
            "1.2.3 ",
            "1.2.3+",
            "../1.2.3",
            "1.-2.3",
            "1.2.3-ä",
            "1.2.3-0123456789012345678901234567890123456789",
            "99999999999999999999.0.0",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
