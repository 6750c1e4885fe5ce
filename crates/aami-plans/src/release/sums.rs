//! The list of a release's files: lines of `<sha256>  <path>`, as `sha256sum` writes them, so that anybody can check
//! a folder with `sha256sum -c`.

use std::collections::BTreeMap;
use std::fmt;

use crate::components::Sha256Sum;

/// Checksums by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<String, Sha256Sum>);

impl Sums {
    /// Reads a list. The error is the line, counted from 1, and what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut sums = Self::default();
        for (at, line) in text.lines().enumerate() {
            let wrong = |why| (at + 1, why);
            let (sum, name) = line
                .split_once("  ")
                .ok_or(wrong("a line is a checksum, two spaces and a path"))?;
            let sum = sum.parse().map_err(|_| wrong("the checksum is not a SHA-256"))?;
            if !is_plain(name) {
                return Err(wrong("the path is not a plain one below the folder"));
            }
            if sums.0.insert(name.to_owned(), sum).is_some() {
                return Err(wrong("the path stands in the list twice"));
            }
        }
        if sums.0.is_empty() {
            return Err((1, "the list names no file"));
        }
        Ok(sums)
    }

    /// Adds a file; `name` is its path relative to the folder. False if that is not a plain path.
    #[must_use]
    pub fn add(&mut self, name: &str, sum: Sha256Sum) -> bool {
        is_plain(name) && self.0.insert(name.to_owned(), sum).is_none()
    }

    /// The checksum of a file.
    pub fn get(&self, name: &str) -> Option<Sha256Sum> {
        self.0.get(name).copied()
    }

    /// Every file, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Sha256Sum)> {
        self.0.iter().map(|(name, sum)| (name.as_str(), *sum))
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, sum) in &self.0 {
            writeln!(f, "{sum}  {name}")?;
        }
        Ok(())
    }
}

/// Whether a path stays below its folder and means the same to every shell and web server.
pub(crate) fn is_plain(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-', '~'])
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b))
    };
    name.len() <= 256 && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let mut sums = Sums::default();
        assert!(sums.add("amd64/aami", Sha256Sum([1; 32])));
        assert!(sums.add("install.sh", Sha256Sum([2; 32])));
        assert!(!sums.add("install.sh", Sha256Sum([3; 32])));
        assert_eq!(Sums::read(&sums.to_string()), Ok(sums));
    }

    #[test]
    fn a_path_that_climbs_out_or_reads_as_something_else_is_refused() {
        let sum = "0".repeat(64);
        for name in [
            "../x",
            "/etc/passwd",
            "a//b",
            "",
            ".hidden",
            "a b",
            "a/../b",
            "-rf",
            "a\\b",
            "$(x)",
            "a\rb",
        ] {
            assert!(Sums::read(&format!("{sum}  {name}\n")).is_err(), "{name:?}");
        }
        assert_eq!(Sums::read(&format!("{sum}  a\n{sum}  a\n")).unwrap_err().0, 2);
        assert_eq!(Sums::read(&format!("{sum}  a\n0123  b\n")).unwrap_err().0, 2);
        assert_eq!(Sums::read("<!doctype html>\n").unwrap_err().0, 1);
        assert!(Sums::read("").is_err());
    }
}
